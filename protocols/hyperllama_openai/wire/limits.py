"""Numbers as the wire allows them: every one has a floor and a ceiling."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

MAX_STOPS = 16
MAX_STOP_BYTES = 256
MAX_LOGIT_BIAS = 1024
MAX_TOOLS = 1024  # OpenAI documents 128, which agents with large MCP servers pass
MAX_SCHEMA_BYTES = 64 * 1024
MAX_PATTERN_BYTES = 4 * 1024

TokenCount: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]
TokenCountOrZero: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
TokenId: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Choices: TypeAlias = Annotated[int, Meta(ge=1, le=128)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
Repetition: TypeAlias = Annotated[float, Meta(gt=0, le=10)]
TopK: TypeAlias = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
TopLogprobs: TypeAlias = Annotated[int, Meta(ge=0, le=20)]
Seed: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Bias: TypeAlias = Annotated[float, Meta(ge=-100, le=100)]

__all__ = (
    "MAX_LOGIT_BIAS",
    "MAX_PATTERN_BYTES",
    "MAX_SCHEMA_BYTES",
    "MAX_STOPS",
    "MAX_STOP_BYTES",
    "MAX_TOOLS",
    "Bias",
    "Choices",
    "Penalty",
    "Probability",
    "Repetition",
    "Seed",
    "Temperature",
    "TokenCount",
    "TokenCountOrZero",
    "TokenId",
    "TopK",
    "TopLogprobs",
)
