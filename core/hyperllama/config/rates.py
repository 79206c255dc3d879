"""Rates as configured: ``600/minute``, ``100000/5 minutes``, read with the ``limits`` library's own notation."""

from __future__ import annotations

import re

import msgspec


class Rate(msgspec.Struct, frozen=True, gc=False):
    """At most ``amount`` in any ``seconds`` on end."""

    amount: int
    seconds: int
    text: str  # as messages show it


def parse(value: str | tuple[str, ...]) -> tuple[Rate, ...]:
    """Parse one rate or several, and return them, shortest window first. Raises ValueError with a sentence."""
    texts = (value,) if isinstance(value, str) else value
    rates: list[Rate] = []
    for text in texts:
        rates.extend(_parse(text))
    return tuple(sorted(rates, key=lambda rate: (rate.seconds, rate.amount)))


def _parse(text: str) -> list[Rate]:
    from limits import parse_many  # 80 ms of imports, for those who set limits

    try:
        items = parse_many(re.sub(r"(?<=\d)_(?=\d)", "", text))
    except ValueError as error:
        raise ValueError(f'{text!r} is not a rate. Write "600/minute" or "100000/5 minutes".') from error
    rates = []
    for item in items:
        if item.amount < 1:
            raise ValueError(f"{text!r}: An amount must be at least 1.")
        unit = item.GRANULARITY.name
        window = unit if item.multiples == 1 else f"{item.multiples} {unit}s"
        rates.append(Rate(item.amount, item.get_expiry(), f"{item.amount} per {window}"))
    return rates


__all__ = ("Rate", "parse")
