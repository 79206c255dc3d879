"""Texts and numbers against the keywords that are about them alone."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from decimal import Decimal, DecimalException
from typing import Final

_FORMATS: Final = {
    "date-time": r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)",
    "time": r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})",
    "duration": r"P(?=[0-9T])(?:[0-9]+[YMWD])*(?:T(?:[0-9]+(?:\.[0-9]+)?[HMS])+)?",
    "hostname": r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*",
    "email": r"[^@\s]{1,64}@[^@\s]{1,255}",
    "uuid": r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
}


def formatted(name: str, text: str) -> bool:
    """Return whether ``text`` is of the format; of one that is not known here every text is."""
    if (pattern := _FORMATS.get(name)) is not None and (len(text) > 1024 or not re.fullmatch(pattern, text, re.ASCII)):
        return False
    try:
        match name:
            case "date":
                dt.date.fromisoformat(text)
                return len(text) == 10
            case "date-time":
                dt.date.fromisoformat(text[:10])
            case "ipv4":
                ipaddress.IPv4Address(text)
            case "ipv6":
                ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_multiple(value: float, step: float) -> bool | None:
    """Return whether ``value`` is a multiple of ``step`` as both are written; None: they have too many digits."""
    try:
        return not step or not Decimal(repr(value)) % Decimal(repr(step))
    except DecimalException:
        return None


__all__ = ("formatted", "is_multiple")
