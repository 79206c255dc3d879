"""Thoughts in an opaque form: a client that keeps no plain ones hands them back, and the model has them again."""

from __future__ import annotations

import hashlib
from base64 import b64decode, urlsafe_b64encode

_PREFIX = "hlt1."  # nothing that another server writes begins so
_CHECK = 8  # bytes


def seal(text: str) -> str:
    """Return ``text`` in the opaque form. It is not secret: the client that gets it has asked for the thoughts."""
    data = text.encode("utf-8", "surrogatepass")
    return _PREFIX + urlsafe_b64encode(hashlib.sha256(data).digest()[:_CHECK] + data).decode("ascii")


def unseal(sealed: str | None) -> str | None:
    """Return the thoughts that :func:`seal` made ``sealed`` from; None for anything else."""
    if sealed is None or not sealed.startswith(_PREFIX):
        return None
    try:
        raw = b64decode(sealed[len(_PREFIX) :].encode("ascii"), b"-_", validate=True)
        data = raw[_CHECK:]
        if hashlib.sha256(data).digest()[:_CHECK] != raw[:_CHECK]:
            return None
        return data.decode("utf-8", "surrogatepass")
    except ValueError:
        return None


__all__ = ("seal", "unseal")
