"""The memory that a loaded model takes, estimated from its files before it is loaded."""

from __future__ import annotations

from typing import Any, Final

from hyperllama.models import ModelSpec
from hyperllama_max import support
from hyperllama_max.files import ModelFiles

MIB: Final = 1 << 20
HOST: Final = 340 * MIB  # of a host with MAX and no model to speak of
GPU_HOST: Final = 1536 * MIB  # the same with a GPU's driver; weights and cache are in the GPU's own memory
FLOAT: Final = 4  # bytes a number on a CPU, whatever the files hold


def footprint(spec: ModelSpec, files: ModelFiles, length: int) -> int:
    """Return the bytes of memory needed. ``length`` is the context's in tokens."""
    if not spec.device.startswith("cpu"):
        return GPU_HOST
    weights = (
        files.parameter_count * FLOAT if files.gguf is None else sum(path.stat().st_size for path in files.weights)
    )
    return HOST + weights + spec.max_batch_size * place(spec, files, length)


def place(spec: ModelSpec, files: ModelFiles, length: int) -> int:
    """Return the bytes that each place of the batch takes of these, for a whole context."""
    if not spec.device.startswith("cpu") or files.architecture in support.EMBEDDING:
        return 0
    return length * _per_token(files.decoder)


def _per_token(config: dict[str, Any]) -> int:
    """Return the bytes of the key-value cache, which MAX reserves for every token of every place in the batch."""
    heads = _number(config, "num_attention_heads")
    width = _number(config, "head_dim") or (_number(config, "hidden_size") // heads if heads else 0)
    groups = _number(config, "num_key_value_heads") or heads
    return 2 * FLOAT * _number(config, "num_hidden_layers") * groups * width


def _number(config: dict[str, Any], key: str) -> int:
    found = config.get(key)
    return found if isinstance(found, int) else 0


__all__ = ("footprint", "place")
