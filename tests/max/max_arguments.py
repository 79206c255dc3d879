"""What the installed MAX makes of model tables, in a process of its own: importing MAX changes the one it is in.

python max_arguments.py < [[spec, ["runtime.max_batch_size", ...]], ...] > [[value, ...] or "the refusal", ...]

A GPU's arguments are read as far as MAX reads them without one.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
from pathlib import Path
from typing import Any

import msgspec
from max.pipelines.lib import PipelineArgs, PipelineConfig

from hyperllama.models import ModelSpec
from hyperllama_max import files as model_files
from hyperllama_max.build import _arguments
from hyperllama_max.describe import describe
from hyperllama_max.settings import options


def value(config: Any, path: str) -> Any:
    found = functools.reduce(getattr, path.split("."), config)
    return found if isinstance(found, bool | int | float | str | None) else str(found)


def read(spec: ModelSpec, paths: list[str]) -> list[Any] | str:
    folder = Path(spec.source)
    info, files = describe(spec, folder), model_files.read(folder, spec.name)
    given = _arguments(spec, files, info, options(spec))
    try:
        arguments = PipelineArgs.from_flat_kwargs(**given)
        config = PipelineConfig.from_args(arguments) if spec.device == "cpu" else arguments
    except (ValueError, OSError) as error:
        return str(error)
    return [value(config, path) for path in paths]


logging.disable(logging.WARNING)
asked = [(msgspec.convert(spec, ModelSpec), paths) for spec, paths in json.load(sys.stdin)]
json.dump([read(spec, paths) for spec, paths in asked], sys.stdout)
