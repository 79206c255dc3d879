"""The settings under ``[plugin.max]`` and the ``options`` of a model that runs on MAX."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from hyperllama.config import Section
from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec

COMPILE_FAILED: Final = "could not be compiled"  # part of the sentence of a load that a damaged cache may have failed


#: Flags of MAX that have a key of their own here, or must not be set at all.
_TAKEN: Final = {
    "custom_architectures": "code that a configuration names is never imported",
    "config_file": "a file of its own would set what this table sets",
    "device_memory_utilization": "set options.device_memory_utilization",
    "device_specs": "set device",
    "devices": "set device",
    "draft_model_path": "set options.draft_model",
    "enable_chunked_prefill": "set options.chunked_prefill",
    "enable_in_flight_batching": "set options.in_flight_batching",
    "enable_lora": "set options.lora",
    "enable_min_tokens": "set options.min_tokens",
    "enable_penalties": "set options.penalties",
    "enable_prefix_caching": "set options.prefix_caching",
    "enable_structured_output": "set options.structured_output",
    "lora_paths": "set options.lora",
    "max_batch_input_tokens": "set options.max_batch_input_tokens",
    "max_batch_size": "set max_batch_size",
    "max_length": "set max_length",
    "model_path": "set source",
    "pool_embeddings": "the model's own files say how",
    "quantization_encoding": "set quantization",
    "trust_remote_code": "code that comes with a model never runs here",
    "weight_path": "set source",
}


class MaxSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cache_dir: str | None = None  # compiled models; None: hyperllama/max beneath XDG_CACHE_HOME, by default ~/.cache
    compile_memory: int | None = None  # bytes a compiling host may map; None: 80 % of what is free, at least 8 GiB
    silence: float = 8.0  # seconds without a sign of life after which a host is taken for hung
    suspend_idle: float = 30.0  # seconds after which an idle CPU model stops using it; negative: never
    longest_step: float = 300.0  # seconds one step of the engine may take

    def cache(self, environ: Mapping[str, str] = os.environ) -> Path:
        """Return the folder of compiled models, which may not exist yet."""
        if self.cache_dir is not None:
            return Path(self.cache_dir).expanduser()
        base = environ.get("XDG_CACHE_HOME", "")
        return (Path(base) if base else Path("~/.cache").expanduser()) / "hyperllama" / "max"


class MaxOptions(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options under ``[models.<name>.options]``; those that change the compiled graphs are marked."""

    max_batch_input_tokens: int | None = None  # prompt tokens a step may take; None: 256 on CPU, MAX's own on GPU
    in_flight_batching: bool = True  # let prompts and running answers share a step
    chunked_prefill: bool = True
    prefix_caching: bool = True
    shared_prefixes: bool = False  # also between tenants, who can then tell by the time whether another sent the same
    penalties: bool = True  # repetition, presence and frequency penalty; compiled in
    min_tokens: bool = True  # compiled in
    structured_output: bool = True  # JSON, schemas, regular expressions, forced tool calls; compiled in
    device_memory_utilization: float | None = None  # share of a GPU's memory; None: MAX's own, 0.9
    draft_model: str | None = None  # path of a model for speculative decoding, GPU only
    lora: dict[str, str] = msgspec.field(default_factory=dict)  # name: path of an adapter, GPU only
    flags: dict[str, Any] = msgspec.field(default_factory=dict)  # those of `max serve`, with underscores


def options(spec: ModelSpec) -> MaxOptions:
    """Return the checked options of ``spec``. Raise ConfigError."""
    try:
        found = msgspec.convert(spec.options, MaxOptions)
    except msgspec.ValidationError as error:
        raise ConfigError(f"models.{spec.name}.options: {error}") from error
    if spec.device.startswith("cpu"):
        for name in ("draft_model", "lora", "device_memory_utilization"):
            if getattr(found, name):
                raise ConfigError(f'models.{spec.name}.options.{name}: MAX has this on GPUs only; set device = "gpu".')
    for name in found.lora:
        if name not in spec.aliases:
            raise ConfigError(f"models.{spec.name}.options.lora: {name!r} must be among the aliases of the model.")
    for name in found.flags:
        if name in _TAKEN:
            raise ConfigError(f"models.{spec.name}.options.flags.{name}: {_TAKEN[name]}")
    if found.max_batch_input_tokens is not None and found.max_batch_input_tokens < spec.max_batch_size:
        raise ConfigError(
            f"models.{spec.name}.options.max_batch_input_tokens: "
            f"Must be at least max_batch_size, {spec.max_batch_size}."
        )
    return found


__all__ = ("COMPILE_FAILED", "MaxOptions", "MaxSettings", "options")
