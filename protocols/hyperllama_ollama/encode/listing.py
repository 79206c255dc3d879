"""Models as lists show them: installed ones, and those in memory."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

from msgspec import UNSET

from hyperllama.models import Capability, ModelInfo, RunningModel
from hyperllama_ollama import names
from hyperllama_ollama.encode import replies
from hyperllama_ollama.encode.text import dumps, local

#: What a model can do, in Ollama's words and order. What Ollama has no word for is left out.
CAPABILITIES: tuple[Capability, ...] = ("completion", "embedding", "vision", "tools", "insert", "thinking")
FOREVER = 292 * 365.25 * 86400  # how far ahead Ollama dates a model that never leaves

_SIZES = ((10**12, "T", 2), (10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0))


def tags(models: Sequence[ModelInfo]) -> bytes:
    """Return the installed models under every name that they have: clients offer what stands here."""
    newest_first = sorted(models, key=lambda info: -info.modified)
    return dumps(replies.Tags([_installed(info, name) for info in newest_first for name in _names(info)]))


def ps(running: Sequence[RunningModel], *, progress: bool = False, now: float | None = None) -> bytes:
    """Return the loaded models under every name; ``progress`` adds the phase of a load, which Ollama lacks."""
    never = (time.time() if now is None else now) + FOREVER
    entries = [(model.expires_at if model.expires_at is not None else never, model) for model in running]
    longest_first = sorted(entries, key=lambda entry: -entry[0])
    return dumps(
        replies.Running(
            [
                _loaded(model, name, expires, progress=progress)
                for expires, model in longest_first
                for name in _names(model.info)
            ]
        )
    )


def details(info: ModelInfo, *, lengths: bool) -> replies.Details:
    said = info.extra.get("info", {})  # by the one who made it
    family = said.get("model_family", info.family)
    return replies.Details(
        parent_model=info.parent,
        format=info.format,
        family=family,
        families=[family] if family else None,
        parameter_size=said.get("parameter_size", human(info.parameter_count) if info.parameter_count else ""),
        quantization_level=said.get("quantization_level", info.quantization),
        context_length=(said.get("context_length", info.context_length) or UNSET) if lengths else UNSET,
        embedding_length=(said.get("embedding_length", info.embedding_length) or UNSET) if lengths else UNSET,
    )


def capabilities(info: ModelInfo) -> list[str]:
    return [name for name in CAPABILITIES if name in info.capabilities]


def digest(info: ModelInfo) -> str:
    """Return 64 hex digits, since the command line cuts twelve off. A model without files has one of its name."""
    found = info.digest.removeprefix("sha256:")
    return found if len(found) == 64 else hashlib.sha256(f"{info.engine}:{info.name}".encode()).hexdigest()


def human(count: int) -> str:
    """Return ``3.2B``, ``22.57M`` or ``7B``: a whole number has no decimals."""
    for size, letter, places in _SIZES:
        if count >= size:
            number = count / size
            return f"{number:.{0 if number.is_integer() else places}f}{letter}"
    return str(count)


def _names(info: ModelInfo) -> list[str]:
    return [names.shown(name) for name in (info.name, *info.aliases)]


def _installed(info: ModelInfo, name: str) -> replies.Installed:
    return replies.Installed(
        name=name,
        model=name,
        modified_at=local(info.modified),
        size=info.size_bytes,
        digest=digest(info),
        details=details(info, lengths=True),
        capabilities=capabilities(info) or UNSET,
    )


def _loaded(running: RunningModel, name: str, expires: float, *, progress: bool) -> replies.Loaded:
    info = running.info
    size = running.size_bytes or running.size_vram or info.size_bytes
    return replies.Loaded(
        name=name,
        model=name,
        size=max(size, running.size_vram),  # a greater share on the accelerator than there is shows as "Unknown"
        digest=digest(info),
        details=details(info, lengths=False),
        expires_at=local(expires),
        size_vram=running.size_vram,
        context_length=info.context_length,
        progress=running.progress if progress else UNSET,
    )


__all__ = ("CAPABILITIES", "FOREVER", "capabilities", "details", "digest", "human", "ps", "tags")
