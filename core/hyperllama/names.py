"""The grammar of model names, ``[host/][namespace/]model[:tag]``, as Ollama fixed it, judged whole in one place."""

from __future__ import annotations

import re
from typing import NamedTuple

HOST = "registry.ollama.ai"
NAMESPACE = "library"
TAG = "latest"

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}", re.ASCII)
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}", re.ASCII)
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", re.ASCII)


class Parts(NamedTuple):
    """A valid name's parts, the defaults filled in."""

    host: str
    namespace: str
    model: str
    tag: str


def split(text: str) -> Parts | None:
    """The parts of the name that ``text`` spells; None: it spells none. A tag needs a colon after the last slash."""
    rest, tag = text, TAG
    colon = rest.rfind(":")
    if colon > rest.rfind("/"):
        rest, tag = rest[:colon], rest[colon + 1 :]
    parts = rest.rsplit("/", 2)
    name = Parts(parts[0] if len(parts) > 2 else HOST, parts[-2] if len(parts) > 1 else NAMESPACE, parts[-1], tag)
    fits = (
        _HOST.fullmatch(name.host)
        and _NAMESPACE.fullmatch(name.namespace)
        and _PART.fullmatch(name.model)
        and _PART.fullmatch(name.tag)
    )
    return name if fits else None


def of_cloud(text: str) -> str | None:
    """What a name that asks for ollama.com, ``m:cloud`` or ``m:20b-cloud``, is without saying so; None: it does not."""
    head, colon, suffix = text.rpartition(":")
    if not colon or "/" in suffix:
        return None
    if suffix.lower() == "cloud":
        return head
    return text[: -len("-cloud")] if suffix.lower().endswith("-cloud") else None


__all__ = ("HOST", "NAMESPACE", "TAG", "Parts", "of_cloud", "split")
