"""Descriptions of models (:class:`ModelInfo`) from their files; neither MAX nor a tokenizer is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hyperllama.errors import ConfigError
from hyperllama.models import Capability, ModelInfo, ModelSpec
from hyperllama_max import files as model_files
from hyperllama_max import pooling, support
from hyperllama_max.files import ModelFiles
from hyperllama_max.footprint import footprint, place
from hyperllama_max.gguf import KEPT_ITEMS
from hyperllama_max.settings import options

MAX_LOGPROBS: Final = 7  # asking MAX for more raises inside its worker
CPU_LENGTH: Final = 2048  # tokens, where the config names no max_length: a CPU's patience, not the model's limit
FILL_IN_MIDDLE: Final = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<PRE>", "<SUF>", "<MID>"),
)


def describe(spec: ModelSpec, path: Path) -> ModelInfo:
    """Return the description of a model. Raise ConfigError for one that can never be loaded as configured."""
    files = model_files.read(path, f"models.{spec.name}")
    support.check(spec, files)
    options(spec)
    template = chat_template(spec, files)
    length = context_length(spec, files)
    width = int(files.decoder.get("hidden_size") or 0)
    if files.architecture in support.EMBEDDING:
        width *= len(pooling.read(files, f"models.{spec.name}").modes)
    return ModelInfo(
        name=spec.name,
        engine="max",
        capabilities=capabilities(spec, files, template),
        context_length=length,
        aliases=spec.aliases,
        modified=files.modified(),
        digest=files.digest(),
        size_bytes=files.size(),
        memory_bytes=footprint(spec, files, length),
        place_bytes=place(spec, files, length),
        format=files.format,
        family=str(files.config.get("model_type", "")),
        parameter_count=files.parameter_count,
        quantization=files.quantization,
        embedding_length=width,
        vocab_size=files.vocab_size,
        max_batch_size=spec.max_batch_size,
        max_logprobs=0 if files.architecture in support.EMBEDDING else MAX_LOGPROBS,
        system=spec.system,
        template=template,
        license=files.license(),
        parent=files.card("base_model"),
        parameters=spec.parameters,
        metadata=_metadata(files),
        tensors=files.gguf.tensors if files.gguf is not None else (),
    )


def unknown(spec: ModelSpec) -> ModelInfo:
    """Return the description of a model whose files are not here yet; nothing is refused before they can be read."""
    options(spec)
    return ModelInfo(
        name=spec.name,
        engine="max",
        capabilities=frozenset({"chat", "completion", "embedding", "tools"}),
        context_length=spec.max_length or 0,
        aliases=spec.aliases,
        max_batch_size=spec.max_batch_size,
        system=spec.system,
        parameters=spec.parameters,
    )


def chat_template(spec: ModelSpec, files: ModelFiles) -> str:
    """Return the configured template, or else the model's own; empty if there is none."""
    if spec.template is None:
        return files.template()
    try:
        return Path(spec.template).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"models.{spec.name}.template: {spec.template} cannot be read: {error}") from error


def capabilities(spec: ModelSpec, files: ModelFiles, template: str) -> frozenset[Capability]:
    if files.architecture in support.EMBEDDING:
        return frozenset({"embedding"})
    found: set[Capability] = {"completion"}
    if template:
        found.add("chat")
        if "tools" in template:
            found.add("tools")
        if "enable_thinking" in template or "<think>" in template or spec.reasoning_parser is not None:
            found.add("thinking")
    if any(files.added_tokens.issuperset(tokens) for tokens in FILL_IN_MIDDLE):
        found.add("insert")
    if options(spec).structured_output:
        found.add("structured")
    found.add("logprobs")
    return frozenset(found)


def context_length(spec: ModelSpec, files: ModelFiles) -> int:
    """Return the tokens of prompt and answer together; of an encoder, of one input.

    Raise ConfigError for a configured length beyond the model's own.
    """
    own = files.positions
    if spec.max_length is not None:
        if own and spec.max_length > own:
            raise ConfigError(
                f"models.{spec.name}.max_length: Must be at most {own}, the length of the model, not {spec.max_length}."
            )
        return spec.max_length
    if files.architecture in support.EMBEDDING:
        own = pooling.longest(files, f"models.{spec.name}")
    if spec.device.startswith("cpu"):
        return min(own or CPU_LENGTH, CPU_LENGTH)
    return own or CPU_LENGTH


def _metadata(files: ModelFiles) -> dict[str, Any]:
    if files.gguf is not None:
        lengths = files.gguf.lengths  # of an array only the beginning was read, which is not what it holds
        return {key: None if lengths.get(key, 0) > KEPT_ITEMS else value for key, value in files.gguf.metadata.items()}
    return files.config


__all__ = (
    "CPU_LENGTH",
    "FILL_IN_MIDDLE",
    "MAX_LOGPROBS",
    "capabilities",
    "chat_template",
    "context_length",
    "describe",
    "unknown",
)
