"""The engine as the gateway sees it: it describes models and starts a host process for each that is loaded."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Final

import msgspec

from hyperllama.errors import ConfigError, LoadFailed
from hyperllama.host import HostOptions, launch
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.spi import LoadedModel, Report
from hyperllama_max import describe as descriptions
from hyperllama_max import files as model_files
from hyperllama_max.settings import COMPILE_FAILED, MaxSettings

WORKER: Final = "hyperllama_max.worker:MaxWorker"
MISSING: Final = "MAX is not installed; run: pip install 'hyperllama-gateway[max]'"

MEMORY_HINT: Final = "if it ran out of memory while compiling, raise compile_memory in [plugin.max]"

#: MAX reports home, spins and recompiles unless set otherwise before it is imported.
_ENVIRONMENT: Final = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MAX_SERVE_DISABLE_TELEMETRY": "1",
    "MAX_SERVE_METRIC_RECORDING_METHOD": "NOOP",
    "MODULAR_RUNTIME_THREAD_BUSY_WAIT_TIME_US": "0",
    "MODULAR_TELEMETRY_ENABLED": "0",
    "MODULAR_THREAD_BUSY_WAIT_US": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "OTEL_SDK_DISABLED": "true",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


class MaxEngine:
    """Modular MAX on this machine."""

    def __init__(self, settings: MaxSettings | None = None) -> None:
        self._settings = settings or MaxSettings()

    @property
    def name(self) -> str:
        return "max"

    def describe(self, spec: ModelSpec, path: Path | None) -> ModelInfo:
        if not installed():
            raise ConfigError(f"models.{spec.name}: {MISSING}")
        return descriptions.unknown(spec) if path is None else descriptions.describe(spec, path)

    def sharing(self, spec: ModelSpec, path: Path | None) -> str | None:
        settings = (spec.device, spec.max_batch_size, spec.max_length, spec.quantization)
        options = json.dumps(spec.options, sort_keys=True, default=str)
        try:
            files = spec.source if path is None else model_files.identity(path)
        except OSError:
            return None
        return f"{files} {settings} {options}"

    async def load(self, spec: ModelSpec, path: Path | None, report: Report) -> LoadedModel:
        if not installed():
            raise LoadFailed(MISSING)
        if path is None:
            raise LoadFailed(f"model {spec.name!r} has no files to load")
        cache = self._settings.cache()
        modular = cache / "modular"
        try:
            return await self._launch(spec, path, report, modular)
        except LoadFailed as error:
            if "killed by" in error.message:
                raise type(error)(f"{error.message}; {MEMORY_HINT}", retry_after=error.retry_after) from error
            if COMPILE_FAILED not in error.message or not modular.exists():
                raise
        # A damaged file in the compile cache fails every load that hits it: once, compile into an empty one instead.
        fresh = cache / f"modular-{os.getpid()}"
        try:
            model = await self._launch(spec, path, report, fresh)
            await asyncio.to_thread(_replace, modular, fresh)
            return model
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
            raise

    async def _launch(self, spec: ModelSpec, path: Path, report: Report, modular: Path) -> LoadedModel:
        settings = self._settings
        cache = settings.cache()
        options = HostOptions(
            factory=WORKER,
            environment={**_ENVIRONMENT, **_bytecode(cache), "MODULAR_CACHE_DIR": str(modular)},
            settings={"cache": str(cache), "compile_memory": settings.compile_memory},
            silence=settings.silence,
            longest_step=settings.longest_step,
            # MAX's threads keep waking once they have run.
            suspend_after=settings.suspend_idle if settings.suspend_idle >= 0 and spec.device == "cpu" else None,
        )
        return await launch(spec.name, options, *_absolute(spec, path), report)


def installed() -> bool:
    """Return whether MAX can be imported, without importing it."""
    return importlib.util.find_spec("max") is not None and importlib.util.find_spec("tokenizers") is not None


def _absolute(spec: ModelSpec, path: Path) -> tuple[ModelSpec, Path]:
    """Make the paths absolute, since the host runs in a directory of its own."""
    if spec.template is not None:
        spec = msgspec.structs.replace(spec, template=str(Path(spec.template).expanduser().absolute()))
    return spec, path.absolute()


def _bytecode(cache: Path) -> dict[str, str]:
    """Return the environment that moves compiled Python to ``cache`` where MAX's package is read-only."""
    found = importlib.util.find_spec("max")
    origin = Path(next(iter(found.submodule_search_locations or ("",)), "")) if found is not None else Path()
    if (origin / "__pycache__").is_dir() or os.access(origin, os.W_OK):
        return {}
    return {"PYTHONPYCACHEPREFIX": str(cache / f"pyc-{sys.implementation.cache_tag}")}


def _replace(old: Path, new: Path) -> None:
    shutil.rmtree(old, ignore_errors=True)
    if not old.exists():
        new.rename(old)


__all__ = ("MISSING", "WORKER", "MaxEngine", "installed")
