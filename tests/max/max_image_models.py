"""Every architecture of the installed MAX that takes images and answers with text, why each needs a GPU, and whether
it is content with the plain context of its kind.

python max_image_models.py > [[name, [encodings], needs signal buffers, plain], ...]
"""

from __future__ import annotations

import json
import logging
import sys

from max.pipelines import PIPELINE_REGISTRY
from max.pipelines.context import TextAndVisionContext
from max.pipelines.modeling.types import InputModality, PipelineTask

logging.disable(logging.WARNING)
found = [
    [
        architecture.name,
        sorted(map(str, architecture.supported_encodings)),
        any("AlwaysSignalBuffers" in base.__name__ for base in architecture.pipeline_model.__mro__),
        architecture.context_type is TextAndVisionContext,
    ]
    for architecture in PIPELINE_REGISTRY.all_architectures()
    if architecture.task == PipelineTask.TEXT_GENERATION and InputModality.IMAGE in architecture.input_modalities
]
json.dump(found, sys.stdout)
