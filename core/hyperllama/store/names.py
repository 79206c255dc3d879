"""Names and digests as they may become paths: judged whole, by full match, before anything is opened."""

from __future__ import annotations

import re

import msgspec

from hyperllama.errors import InvalidRequest

HOST = "registry.ollama.ai"
NAMESPACE = "library"
TAG = "latest"

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}", re.ASCII)
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}", re.ASCII)
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", re.ASCII)
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})", re.ASCII)
_LONGEST = 240  # bytes of one part of a path that every file system takes, a suffix included


class StoredName(msgspec.Struct, frozen=True, order=True):
    """``host/namespace/model:tag``, every part filled in."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def short(self) -> str:
        """As the catalog and lists have it: defaults left out, the tag ``latest`` too."""
        tag = "" if self.tag.casefold() == TAG else f":{self.tag}"
        if self.host != HOST:
            return f"{self.host}/{self.namespace}/{self.model}{tag}"
        space = "" if self.namespace == NAMESPACE else f"{self.namespace}/"
        return f"{space}{self.model}{tag}"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Equal for names that differ in case alone."""
        return (self.host.casefold(), self.namespace.casefold(), self.model.casefold(), self.tag.casefold())


def stored_name(text: str) -> StoredName:
    """Raises InvalidRequest."""
    rest, tag = text, TAG
    colon = rest.rfind(":")
    if colon > rest.rfind("/"):
        rest, tag = rest[:colon], rest[colon + 1 :]
    parts = rest.rsplit("/", 2)
    name = StoredName(parts[0] if len(parts) > 2 else HOST, parts[-2] if len(parts) > 1 else NAMESPACE, parts[-1], tag)
    fits = (
        _HOST.fullmatch(name.host)
        and len(name.host) <= _LONGEST
        and _NAMESPACE.fullmatch(name.namespace)
        and _PART.fullmatch(name.model)
        and _PART.fullmatch(name.tag)
    )
    if not fits:
        raise InvalidRequest("invalid model name", param="model")
    return name


def hex_of(digest: str) -> str:
    """The 64 hex digits of ``sha256:…`` or ``sha256-…``. Raises InvalidRequest."""
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise InvalidRequest("invalid digest format", param="digest")
    return match.group(1)


__all__ = ("HOST", "NAMESPACE", "TAG", "StoredName", "hex_of", "stored_name")
