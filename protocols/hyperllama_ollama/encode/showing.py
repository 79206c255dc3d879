"""``/api/show``: a model's card, its parameters as text, and its metadata under GGUF's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from hyperllama.models import ModelInfo
from hyperllama_ollama import names, wire
from hyperllama_ollama.encode import listing, replies
from hyperllama_ollama.encode.text import dumps, local, quote

_LEFT_OUT = frozenset({"general.name", "tokenizer.chat_template"})
_BIG = 64  # elements; a longer array is shown only on request

#: config.json's words and GGUF's, under the architecture's name.
_CONFIG: Mapping[str, str] = {
    "num_hidden_layers": "block_count",
    "n_layer": "block_count",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "layer_norm_eps": "attention.layer_norm_epsilon",
    "rope_theta": "rope.freq_base",
    "num_local_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
}


def show(info: ModelInfo, request: wire.ShowRequest, *, copilot: bool = False) -> bytes:
    """Return the answer of ``/api/show``. ``copilot``: that client expects the requested name as the base name."""
    parameters = {**info.parameters, **request.options}
    system = request.system or info.system or ""
    model_info = metadata(info, verbose=request.verbose)
    if copilot:
        model_info["general.basename"] = request.target
    return dumps(
        replies.Shown(
            license=info.license or UNSET,
            modelfile=modelfile(info, system, parameters),
            parameters=parameter_text(parameters) or UNSET,
            template=info.extra.get("template") or info.template or UNSET,
            system=system or UNSET,
            renderer=info.extra.get("renderer", UNSET),
            parser=info.extra.get("parser", UNSET),
            details=listing.details(info, lengths=False),
            messages=[{"role": message.role, "content": message.text} for message in info.messages] or UNSET,
            model_info=model_info,
            capabilities=listing.capabilities(info) or UNSET,
            tensors=info.tensors or UNSET,
            modified_at=local(info.modified),
            requires=info.extra.get("requires", UNSET),
        )
    )


def metadata(info: ModelInfo, *, verbose: bool) -> dict[str, Any]:
    """Return flat metadata under GGUF's names; values that the files lack come from the model's description."""
    if "general.architecture" in info.metadata:
        found = {key: value for key, value in info.metadata.items() if key not in _LEFT_OUT}
        found.setdefault("general.parameter_count", info.parameter_count)
        return {key: value if verbose or not _is_big(value) else None for key, value in found.items()}
    architecture = str(info.metadata.get("model_type") or info.family or info.engine)
    found = {"general.architecture": architecture, "general.parameter_count": info.parameter_count}
    known = {
        "context_length": info.context_length,
        "embedding_length": info.embedding_length,
        "vocab_size": info.vocab_size,
    }
    for theirs, ours in _CONFIG.items():
        value = info.metadata.get(theirs)
        if isinstance(value, int | float) and not isinstance(value, bool):
            known.setdefault(ours, value)  # type: ignore[arg-type]  # rope's base is a float
    found.update({f"{architecture}.{key}": value for key, value in sorted(known.items()) if value})
    return found


def parameter_text(parameters: Mapping[str, Any]) -> str:
    """Return one line a value: the key in thirty columns, a space, the value; strings quoted, lists a line each."""
    lines = [
        f"{key:<30} {_go(item)}"
        for key, value in parameters.items()
        for item in (value if isinstance(value, list | tuple) else (value,))
    ]
    return "\n".join(lines)


def modelfile(info: ModelInfo, system: str, parameters: Mapping[str, Any]) -> str:
    """Return a Modelfile that could be built upon. Its FROM names the model, since paths are not shown."""
    name = names.shown(info.name)
    lines = [
        '# Modelfile, as written by "ollama show"',
        "# For a new model on top of this one, take this line in place of the FROM below:",
        f"# FROM {name}",
        "",
        f"FROM {info.parent or name}",
    ]
    if template := info.extra.get("template") or info.template:
        lines.append(f"TEMPLATE {_block(template)}")
    if system:
        lines.append(f"SYSTEM {_block(system)}")
    for key, value in parameters.items():
        lines += [f"PARAMETER {key} {_go(item)}" for item in (value if isinstance(value, list | tuple) else (value,))]
    lines += [f"MESSAGE {message.role} {_block(message.text)}" for message in info.messages]
    if info.license:
        lines.append(f"LICENSE {_block(info.license)}")
    return "\n".join(lines) + "\n"


def _block(text: str) -> str:
    return f'"""{text}"""' if "\n" in text or '"' in text else quote(text)


def _go(value: object) -> str:
    """Return a value that came from JSON in the form of Go's ``%#v``."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quote(value)
        case float() if value.is_integer() and abs(value) < 1e21:
            return str(int(value))
    return str(value)


def _is_big(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > _BIG


__all__ = ("metadata", "modelfile", "parameter_text", "show")
