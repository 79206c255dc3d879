"""The grammar of model names, ``[host/][namespace/]model[:tag]``, matched whole."""

from __future__ import annotations

import re
from typing import NamedTuple

HOST = "registry.ollama.ai"  # a directory of every store on disk: another default would lose its models
NAMESPACE = "library"
TAG = "latest"

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}", re.ASCII)
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}", re.ASCII)
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", re.ASCII)


class Parts(NamedTuple):
    """The parts of a valid name, with defaults filled in."""

    host: str
    namespace: str
    model: str
    tag: str


def split(text: str) -> Parts | None:
    """Return the parts of ``text``; None: it is no name. A tag needs a colon after the last slash."""
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


__all__ = ("HOST", "NAMESPACE", "TAG", "Parts", "split")
