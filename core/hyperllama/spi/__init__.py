"""What a plugin implements. Protocols only: nothing here runs.

A plugin hands these objects over at start-up, through the hooks in
``hyperllama.hookspecs``. From then on the gateway calls them directly; the
plugin manager is not on the request path.
"""

from __future__ import annotations

from hyperllama.spi.engines import (
    Beats,
    Embeds,
    Engine,
    GeneratesBatches,
    LoadedModel,
    ModelSource,
    Report,
    Tokenizes,
)
from hyperllama.spi.protocols import (
    ChunkEncoder,
    DescribesErrors,
    ErrorReply,
    ErrorText,
    Gateway,
    WireProtocol,
)
from hyperllama.spi.storage import (
    ENDED,
    Batch,
    BatchAnswer,
    BatchDialect,
    BatchError,
    Batches,
    BatchLine,
    BatchResult,
    Files,
    FileSink,
    KeptFile,
    NewBatch,
    Record,
    Records,
    Status,
)
from hyperllama.spi.walk import (
    AuthProvider,
    Auxiliary,
    AuxiliaryWork,
    Call,
    CallNext,
    Command,
    Gate,
    Observer,
    Outcome,
    Stage,
    Transform,
    TransformFactory,
)

__all__ = (
    "ENDED",
    "AuthProvider",
    "Auxiliary",
    "AuxiliaryWork",
    "Batch",
    "BatchAnswer",
    "BatchDialect",
    "BatchError",
    "BatchLine",
    "BatchResult",
    "Batches",
    "Beats",
    "Call",
    "CallNext",
    "ChunkEncoder",
    "Command",
    "DescribesErrors",
    "Embeds",
    "Engine",
    "ErrorReply",
    "ErrorText",
    "FileSink",
    "Files",
    "Gate",
    "Gateway",
    "GeneratesBatches",
    "KeptFile",
    "LoadedModel",
    "ModelSource",
    "NewBatch",
    "Observer",
    "Outcome",
    "Record",
    "Records",
    "Report",
    "Stage",
    "Status",
    "Tokenizes",
    "Transform",
    "TransformFactory",
    "WireProtocol",
)
