"""From configured allowances to the windows and rooms one call draws from."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

import msgspec
import structlog

from hyperllama.config import Allowance, Limits, rates
from hyperllama.identity import Principal
from hyperllama.limits.windows import Seat
from hyperllama.system.network import counted_as

Kind: TypeAlias = Literal["requests", "input_tokens", "output_tokens", "tokens"]
KINDS: tuple[Kind, ...] = ("requests", "input_tokens", "output_tokens", "tokens")


class Meter(msgspec.Struct, frozen=True):
    """One window a call draws ``kind`` from; ``rate`` and ``whose`` are for messages."""

    key: str
    kind: Kind
    limit: int
    seconds: int
    rate: str
    whose: str


class Plan(msgspec.Struct, frozen=True):
    """Everything that limits one principal's use of one model. ``rooms`` says whose each seat is."""

    meters: tuple[Meter, ...] = ()
    seats: tuple[Seat, ...] = ()
    rooms: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.meters or self.seats)


def of_key(principal: Principal, limits: Limits) -> Allowance:
    """The principal's own allowance: its table over its tier's, or over ``[limits.key]``.

    A table that cannot be read counts for nothing: the caller is limited like any other, never unlimited.
    """
    table = principal.limits
    if not table:
        return limits.key
    base = limits.tiers.get(str(table.get("tier", "")), limits.key)
    own = {key: value for key, value in table.items() if key != "tier"}
    try:
        given = msgspec.convert(own, Allowance)
        for kind in KINDS:
            rates.parse(getattr(given, kind))
    except (msgspec.ValidationError, ValueError) as error:
        structlog.get_logger().warning("limits of a key cannot be read", principal=principal.id, error=str(error))
        return base
    return msgspec.structs.replace(base, **{key: getattr(given, key) for key in own})


def plan(principal: Principal, model: str, limits: Limits) -> Plan:
    """What limits ``principal`` when it uses ``model``."""
    meters: list[Meter] = []
    seats: list[Seat] = []
    rooms: list[str] = []
    for scope, whose, allowance in _scopes(principal, model, limits):
        for kind in KINDS:
            for rate in rates.parse(getattr(allowance, kind)):
                key = f"{scope}:{kind}:{rate.seconds}"
                meters.append(Meter(key, kind, rate.amount, rate.seconds, _words(rate.text, kind), whose))
        if allowance.concurrent is not None:
            seats.append(Seat(scope, allowance.concurrent))
            rooms.append(whose)
    return Plan(tuple(meters), tuple(seats), tuple(rooms))


def _scopes(principal: Principal, model: str, limits: Limits) -> Iterator[tuple[str, str, Allowance]]:
    yield f"key:{principal.id}", "this key", of_key(principal, limits)
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
    """``600 per minute`` of requests is ``600 requests per minute``."""
    amount, _, window = rate.partition(" ")
    return f"{amount} {kind.replace('_', ' ')} {window}"


__all__ = ("KINDS", "Kind", "Meter", "Plan", "of_key", "plan")
