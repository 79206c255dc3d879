"""The steps from files to a pipeline of MAX: configuration, compiled graphs, the scheduler's plan."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from hyperllama.errors import ConfigError, LoadFailed
from hyperllama.host import available_memory, mapped_memory
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama_max import compat, pooling, support
from hyperllama_max.extensions import import_max
from hyperllama_max.families import decoder_of
from hyperllama_max.files import ModelFiles
from hyperllama_max.graphs import GraphStore
from hyperllama_max.load_times import LoadTimes
from hyperllama_max.progress import LoadReporter
from hyperllama_max.settings import COMPILE_FAILED, MaxOptions

GIB = 1 << 30
#: Keys of config.json that no graph knows of.
_SHAPELESS = frozenset(
    {"_name_or_path", "bos_token_id", "dtype", "eos_token_id", "torch_dtype", "transformers_version", "use_cache"}
)
CPU_STEP_TOKENS = 256  # prompt tokens a step: with in-flight batching, what keeps running answers flowing


class Built(msgspec.Struct):
    """MAX's own objects: the ``pipeline`` that executes, with the ``config`` and ``plan`` it was built from."""

    pipeline: Any
    config: Any
    plan: Any
    tokenizer: Any
    architecture: Any
    embeds: bool

    @property
    def tells_logprobs(self) -> bool:
        """Return whether MAX has log-probabilities: not where steps overlap or a draft model proposes the tokens."""
        return not (self.config.runtime.enable_overlap_scheduler or self.config.speculative)


def build(
    spec: ModelSpec,
    files: ModelFiles,
    info: ModelInfo,
    options: MaxOptions,
    cache: Path,
    compile_memory: int | None,
    new_reporter: Callable[[float | None], LoadReporter],
) -> Built:
    """Build the pipeline on the main thread, where it will run, since MLIR's context belongs to a thread."""
    new_reporter(None).phase("importing", "MAX")
    import_max()
    from max.pipelines import PIPELINE_REGISTRY
    from max.pipelines.lib import PipelineArgs, PipelineConfig
    from max.pipelines.modeling.types import PipelineTask

    arguments = _arguments(spec, files, info, options)
    if (decoder := decoder_of(spec, files)) is not None:
        from hyperllama_max.families.architecture import architecture as described

        PIPELINE_REGISTRY.register(described(files.architecture, decoder), allow_override=True)
    try:
        config = PipelineConfig.from_args(PipelineArgs.from_flat_kwargs(**arguments))
        name = config.models.main_architecture_name
        task = PIPELINE_REGISTRY.retrieve_pipeline_task(name)
        retrieved = PIPELINE_REGISTRY.retrieve_factory(config, task=task)
        architecture = PIPELINE_REGISTRY.retrieve_architecture(name)
    except (ValueError, OSError, KeyError, NotImplementedError) as error:
        raise LoadFailed(f"MAX refuses model {spec.name!r} as configured: {_first(error)}") from error
    graphs = GraphStore(cache)
    times = LoadTimes(cache, _ingredients(spec, files, arguments, len(retrieved.tokenizer.delegate)))
    reporter = new_reporter(times.estimate(graphs))
    logger = logging.getLogger("max.pipelines")
    logger.setLevel(logging.INFO)
    logger.addHandler(reporter)

    def obtain(name: str, digest: str, read: Callable[[Path], Any], compile_graph: Callable[[], Any]) -> Any:
        def compile_here() -> Any:
            reporter.phase("compiling", f"{name}, once on this machine")
            with _limited(compile_memory, cpu=spec.device.startswith("cpu")):
                return compile_graph()

        try:
            return graphs.obtain(name, digest, read, compile_here)
        except OSError as error:
            raise ConfigError(f"[plugin.max] cache_dir: {graphs.folder}: {error.strerror}") from error

    try:
        reporter.phase("loading")
        with compat.reusing_graphs(obtain):
            pipeline = _built(graphs, retrieved.factory)
    except MemoryError as error:
        raise LoadFailed(f"model {spec.name!r} needs more memory to compile than it may have") from error
    except RuntimeError as error:
        if "Failed to compile" in str(error):
            raise LoadFailed(f"model {spec.name!r} {COMPILE_FAILED}: {_first(error)}") from error
        raise LoadFailed(f"MAX could not load model {spec.name!r}: {_first(error)}") from error
    finally:
        logger.removeHandler(reporter)
        logger.setLevel(logging.WARNING)
    times.remember(reporter.seconds, graphs)
    return Built(
        pipeline=pipeline,
        config=config,
        plan=retrieved.memory_plan,
        tokenizer=retrieved.tokenizer,
        architecture=architecture,
        embeds=task == PipelineTask.EMBEDDINGS_GENERATION,
    )


def _arguments(spec: ModelSpec, files: ModelFiles, info: ModelInfo, options: MaxOptions) -> dict[str, Any]:
    """Return the flags of ``max serve``, by their Python names."""
    from max.driver import DeviceSpec

    cpu = spec.device.startswith("cpu")
    arguments: dict[str, Any] = {
        "model_path": str(files.folder),
        "device_specs": [DeviceSpec.cpu()] if cpu else spec.device,
        "max_length": info.context_length,
        "max_batch_size": spec.max_batch_size,
    }
    if (encoding := support.encoding(spec, files)) is not None:
        arguments["quantization_encoding"] = encoding
    if files.gguf is not None or decoder_of(spec, files) is not None:
        arguments["weight_path"] = list(files.weights)
    if files.architecture in support.EMBEDDING:
        if not pooling.read(files, f"models.{spec.name}").by_engine:
            arguments["pool_embeddings"] = False
        return {**arguments, "enable_prefix_caching": False, **options.flags}
    if cpu or options.max_batch_input_tokens is not None:
        arguments["max_batch_input_tokens"] = options.max_batch_input_tokens or max(
            CPU_STEP_TOKENS, spec.max_batch_size
        )
    arguments |= {
        "enable_in_flight_batching": options.in_flight_batching and options.chunked_prefill,
        "enable_chunked_prefill": options.chunked_prefill,
        "enable_prefix_caching": options.prefix_caching and not options.lora,
        "enable_penalties": options.penalties,
        "enable_min_tokens": options.min_tokens,
    }
    if options.structured_output:
        # Any name makes MAX compile the sampler that takes a mask; the flag made for it is refused on CPUs.
        arguments["tool_parser"] = "hyperllama"
    if options.device_memory_utilization is not None:
        arguments["device_memory_utilization"] = options.device_memory_utilization
    if options.draft_model is not None:
        # Without a method a draft is read and not used; `flags` may name another one.
        arguments |= {"draft_model_path": options.draft_model, "speculative_method": "eagle"}
    if options.lora:
        paths = [f"{name}={path}" for name, path in options.lora.items()]
        # Only these graphs take adapters.
        arguments |= {"enable_lora": True, "lora_paths": paths, "max_num_loras": len(paths), "prefer_module_v3": True}
    return {**arguments, **options.flags}


def _ingredients(spec: ModelSpec, files: ModelFiles, arguments: dict[str, Any], tokens: int) -> dict[str, Any]:
    """Return the settings that shape the graphs: no paths, weights or scheduler's. ``tokens`` bounds the samplers."""
    ignored = {
        "device_specs",
        "enable_chunked_prefill",
        "enable_in_flight_batching",
        "enable_prefix_caching",
        "max_batch_input_tokens",
        "max_batch_size",
        "model_path",
        "weight_path",
    }
    return {
        "config": {name: value for name, value in files.config.items() if name not in _SHAPELESS},
        "format": files.format,
        "device": spec.device,
        "flags": {name: value for name, value in arguments.items() if name not in ignored},
        "tokens": tokens,
        "tensors": [(tensor.name, tensor.type) for tensor in files.gguf.tensors] if files.gguf is not None else [],
    }


def _built(graphs: GraphStore, factory: Callable[[], Any]) -> Any:
    """Return what ``factory`` builds, a second time from graphs compiled anew if those at hand do not do."""
    try:
        return factory()
    except Exception as error:
        if not graphs.reused or isinstance(error, ConfigError):
            raise
        logging.getLogger("hyperllama").warning("compiled model unusable, compiling again: %s", _first(error))
    graphs.forget()
    return factory()


@contextlib.contextmanager
def _limited(limit: int | None, *, cpu: bool) -> Iterator[None]:
    """Cap the address space while MAX compiles, since compiling one model once took all memory of a machine.

    A GPU's driver maps more addresses than there is memory, so that there only a configured cap holds.
    """
    if limit is None and not cpu:
        yield
        return
    old = resource.getrlimit(resource.RLIMIT_AS)
    wanted = limit if limit is not None else max(8 * GIB, int(available_memory(16 * GIB) * 0.8))
    size = max(wanted, GIB) + mapped_memory(os.getpid())
    if old[1] == resource.RLIM_INFINITY or size < old[1]:
        resource.setrlimit(resource.RLIMIT_AS, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


def _first(error: BaseException) -> str:
    """Return the first line of an error, without paths of this machine."""
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return " ".join(word if not word.strip("'\"(").startswith("/") else "..." for word in line.split())[:300]


__all__ = ("Built", "build")
