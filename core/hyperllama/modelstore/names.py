"""Model names and digests as paths of the store; the grammar is :mod:`hyperllama.names`, display the dialects' own.

Both are judged whole, by full match, before anything is opened.
"""

from __future__ import annotations

import re

import msgspec

from hyperllama.names import HOST, NAMESPACE, TAG, split
from hyperllama.spi import Refused

_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})", re.ASCII)
_LONGEST = 240  # bytes of one part of a path that every file system takes, a suffix included


class StoredName(msgspec.Struct, frozen=True, order=True):
    """A name ``host/namespace/model:tag``, every part filled in."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def short(self) -> str:
        """The name in the catalog and in lists: without defaults, ``latest`` included."""
        tag = "" if self.tag.casefold() == TAG else f":{self.tag}"
        if self.host.casefold() != HOST:
            return f"{self.host}/{self.namespace}/{self.model}{tag}"
        space = "" if self.namespace.casefold() == NAMESPACE else f"{self.namespace}/"
        return f"{space}{self.model}{tag}"

    @property
    def tagged(self) -> str:
        """:attr:`short` with its tag."""
        short = self.short
        return short if self.tag.casefold() != TAG else f"{short}:{TAG}"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """A key that is equal for names that differ in case alone."""
        return (self.host.casefold(), self.namespace.casefold(), self.model.casefold(), self.tag.casefold())


def stored_name(text: str) -> StoredName:
    """Return the parts of ``text``. Raise Refused."""
    parts = split(text)
    if parts is None or len(parts.host) > _LONGEST:
        raise Refused("This is not a model name.", reason="model_name", param="model")
    return StoredName(*parts)


def hex_of(digest: str) -> str:
    """Return the 64 hex digits of ``sha256:…`` or ``sha256-…``. Raise Refused."""
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise Refused("A digest must be sha256: and 64 hex digits.", reason="digest_format", param="digest")
    return match.group(1)


__all__ = ("HOST", "NAMESPACE", "TAG", "StoredName", "hex_of", "stored_name")
