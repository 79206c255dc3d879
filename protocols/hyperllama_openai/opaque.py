"""Text in an opaque form: a client that keeps no plain one hands it back, and the model has it again."""

from __future__ import annotations

import hashlib
from base64 import b64decode, urlsafe_b64encode

_PREFIX = "hlt1."  # nothing that another server writes begins so
_CHECK = 8  # bytes


def seal(text: str, scope: str = "") -> str:
    """Return ``text`` in the opaque form, which :func:`unseal` reads in the same ``scope`` only.

    It is not secret: the client that gets it may read what is in it.
    """
    data = text.encode("utf-8", "surrogatepass")
    return _PREFIX + urlsafe_b64encode(_check(data, scope) + data).decode("ascii")


def unseal(sealed: str | None, scope: str = "") -> str | None:
    """Return the text that :func:`seal` made ``sealed`` from; None for anything else."""
    if not is_sealed(sealed):
        return None
    try:
        raw = b64decode((sealed or "")[len(_PREFIX) :].encode("ascii"), b"-_", validate=True)
        data = raw[_CHECK:]
        if _check(data, scope) != raw[:_CHECK]:
            return None
        return data.decode("utf-8", "surrogatepass")
    except ValueError:
        return None


def is_sealed(text: str | None) -> bool:
    """Return whether ``text`` has the opaque form; :func:`unseal` may still refuse it."""
    return text is not None and text.startswith(_PREFIX)


def _check(data: bytes, scope: str) -> bytes:
    prefix = f"{scope}\0".encode() if scope else b""
    return hashlib.sha256(prefix + data).digest()[:_CHECK]


__all__ = ("is_sealed", "seal", "unseal")
