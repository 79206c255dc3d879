"""The headers that may carry a key, and the one key that a request has in all of them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import cast

from litestar.connection import ASGIConnection
from litestar.types import HTTPScope, Scope

from hyperllama.identity import Credentials

_CARRIERS = frozenset({b"authorization", b"x-api-key", b"api-key"})
_BLANKS = " \t"


def credentials(scope: Scope) -> tuple[Credentials, bool]:
    """Read the key from every header that may carry one; True: there are two different ones, and none counts.

    Every line counts, a header that is sent twice too: of two keys neither is preferred, since a proxy and the gateway
    could prefer different ones. Basic credentials count where there is nothing else: beside a key they are those of a
    proxy. Only ASCII blanks around a key are not part of it.
    """
    sent, basic = set(), set()
    headers: Mapping[str, str] = ASGIConnection[object, object, object, object](scope).headers  # type: ignore[type-var]
    for name, value in cast(HTTPScope, scope)["headers"]:
        if name not in _CARRIERS:
            continue
        token = value.decode("latin-1").strip(_BLANKS)
        if name == b"authorization":
            kind, _, token = token.partition(" ")
            token = token.strip(_BLANKS)
            match kind.lower():
                case "bearer":
                    pass
                case "basic":
                    basic.add(_password(token))
                    continue
                case _:
                    continue
        if token:
            sent.add(token)
    keys = sent or basic - {""}
    client = scope.get("client")
    several = len(keys) > 1
    if several:  # no provider is to prefer one of them either
        headers = {name: value for name, value in headers.items() if name.encode("latin-1") not in _CARRIERS}
    key = keys.pop() if len(keys) == 1 else None
    return Credentials(token=key, headers=headers, client=client[0] if client else None), several


def _password(sent: str) -> str:
    """Return the password of Basic credentials, or the user's name where there is no password; empty: neither."""
    try:
        text = base64.b64decode(sent, validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
    name, _, password = text.partition(":")
    return password or name


__all__ = ("credentials",)
