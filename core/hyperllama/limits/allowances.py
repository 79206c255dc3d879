"""From configured allowances to the windows and slots of one call."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

import msgspec
import structlog

from hyperllama.config import Allowance, Limits, rates
from hyperllama.identity import Principal
from hyperllama.limits.reservation import Slot
from hyperllama.system.network import counted_as

Kind: TypeAlias = Literal["requests", "input_tokens", "output_tokens", "tokens"]
KINDS: tuple[Kind, ...] = ("requests", "input_tokens", "output_tokens", "tokens")


class Window(msgspec.Struct, frozen=True):
    """One window that a call reserves ``kind`` from. ``rate`` and ``holder`` are for messages."""

    key: str
    kind: Kind
    limit: int
    seconds: int
    rate: str
    holder: str


class LimitPolicy(msgspec.Struct, frozen=True):
    """Everything that limits one principal's use of one model. ``holders`` names the holder of each slot."""

    windows: tuple[Window, ...] = ()
    slots: tuple[Slot, ...] = ()
    holders: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.windows or self.slots)


def key_allowance(principal: Principal, limits: Limits) -> Allowance:
    """Return the principal's own allowance: its table over its tier's, or over ``[limits.key]``.

    A table that cannot be read is ignored and logged: the caller is limited like any other, never unlimited.
    """
    table = principal.limits
    if not table:
        return limits.key
    base = limits.tiers.get(str(table.get("tier", "")), limits.key)
    own = {key: value for key, value in table.items() if key != "tier"}
    try:
        allowance = msgspec.convert(own, Allowance)
        for kind in KINDS:
            rates.parse(getattr(allowance, kind))
    except (msgspec.ValidationError, ValueError) as error:
        structlog.get_logger().warning("limits of a key cannot be read", principal=principal.id, error=str(error))
        return base
    return msgspec.structs.replace(base, **{key: getattr(allowance, key) for key in own})


def policy(principal: Principal, model: str, limits: Limits) -> LimitPolicy:
    """Return all limits of ``principal`` when it uses ``model``."""
    windows: list[Window] = []
    slots: list[Slot] = []
    holders: list[str] = []
    for scope, holder, allowance in _scopes(principal, model, limits):
        for kind in KINDS:
            for rate in rates.parse(getattr(allowance, kind)):
                key = f"{scope}:{kind}:{rate.seconds}"
                windows.append(Window(key, kind, rate.amount, rate.seconds, _words(rate.text, kind), holder))
        if allowance.concurrent is not None:
            slots.append(Slot(scope, allowance.concurrent))
            holders.append(holder)
    return LimitPolicy(tuple(windows), tuple(slots), tuple(holders))


def _scopes(principal: Principal, model: str, limits: Limits) -> Iterator[tuple[str, str, Allowance]]:
    yield f"key:{principal.id}", "this key", key_allowance(principal, limits)
    if principal.owner:
        yield f"owner:{principal.owner}", "this account", limits.owner
    if principal.network:
        yield f"network:{counted_as(principal.network)}", "this network address", limits.network
    for pattern, allowance in limits.models.items():
        if fnmatchcase(model, pattern):
            yield f"model:{pattern}:{model}", f"model {model!r}", allowance
    for pattern, allowance in limits.key_models.items():
        if fnmatchcase(model, pattern):
            yield f"key_model:{principal.id}:{pattern}:{model}", f"this key and model {model!r}", allowance


def _words(rate: str, kind: Kind) -> str:
    """Spell ``600 per minute`` of requests as ``600 requests per minute``."""
    amount, _, window = rate.partition(" ")
    return f"{amount} {kind.replace('_', ' ')} {window}"


__all__ = ("KINDS", "Kind", "LimitPolicy", "Window", "key_allowance", "policy")
