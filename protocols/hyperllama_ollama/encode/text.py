"""JSON text as Go writes it: its escapes, its digits, its time stamps."""

from __future__ import annotations

import re
import sys
import time
from array import array
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

import msgspec

_JSON = msgspec.json.Encoder()
# Go escapes all of these but U+0085, where a client that splits lines as Python does would break.
_SPECIAL = re.compile("[<>&\u0085\u2028\u2029]")
_SPECIAL_UTF8 = re.compile(rb"[<>&]|\xc2\x85|\xe2\x80[\xa8\xa9]")
_QUOTED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def dumps(value: object) -> bytes:
    """Return compact JSON, keys in order."""
    return escaped(_JSON.encode(value))


def string(text: str) -> bytes:
    """Return ``text`` as a JSON string."""
    encoded = _JSON.encode(text)
    return encoded if _SPECIAL.search(text) is None else escaped(encoded)


def escaped(encoded: bytes) -> bytes:
    """Return JSON text with Go's escapes; the characters that it escapes occur in strings alone."""
    return _SPECIAL_UTF8.sub(_escape, encoded)


def quote(text: str) -> str:
    """Return ``text`` in the form of Go's ``%q``."""
    shown = []
    for char in text:
        if char in '"\\':
            shown.append(f"\\{char}")
        elif char in _QUOTED:
            shown.append(_QUOTED[char])
        elif char.isprintable():
            shown.append(char)
        elif ord(char) < 128:
            shown.append(f"\\x{ord(char):02x}")
        else:
            shown.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return f'"{"".join(shown)}"'


def now() -> str:
    """Return the present in UTC, to the nanosecond, as RFC 3339 with trailing zeros left out."""
    return utc(time.time_ns())


def utc(unix_ns: int) -> str:
    seconds, fraction = divmod(unix_ns, 1_000_000_000)
    return f"{_second(seconds)}{_fraction(fraction)}Z"


def local(unix: float) -> str:
    """Return a time in the server's own zone; microseconds are as exact as ``unix`` is."""
    seconds, fraction = divmod(round(unix * 1_000_000), 1_000_000)
    moment = datetime.fromtimestamp(seconds).astimezone()
    offset = moment.strftime("%z")
    zone = "Z" if offset in ("+0000", "") else f"{offset[:3]}:{offset[3:5]}"
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}{_fraction(fraction * 1000)}{zone}"


def float32s(vector: bytes) -> bytes:
    """Return a JSON array of little-endian float32s, each in the fewest digits that read back as the same float32."""
    values = floats(vector)
    if not values:
        return b"[]"
    shown = _digits(values, 7)
    longer = [at for at, (wanted, got) in enumerate(zip(values, _float32s(shown), strict=True)) if wanted != got]
    if longer:
        left = [values[at] for at in longer]
        eight = _digits(left, 8)
        for at, text, got, wanted in zip(longer, eight, _float32s(eight), left, strict=True):
            shown[at] = text if got == wanted else f"{wanted:.9g}"
    return f"[{','.join([_plain(text) if 'e' in text else text for text in shown])}]".encode()


def float64s(vector: bytes) -> bytes:
    """Return the same floats as a JSON array of float64s."""
    return b"[" + b",".join([_plain(repr(value)).removesuffix(".0").encode() for value in floats(vector)]) + b"]"


def floats(vector: bytes) -> list[float]:
    values = array("f", vector)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


@lru_cache(maxsize=4)  # every line of a stream carries the time; most share the second
def _second(unix: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix))


def _escape(found: re.Match[bytes]) -> bytes:
    return f"\\u{ord(found.group().decode()):04x}".encode()


def _fraction(ns: int) -> str:
    return f".{ns:09d}".rstrip("0") if ns else ""


def _digits(values: Sequence[float], count: int) -> list[str]:
    return (f"%.{count}g " * len(values) % tuple(values)).split()


def _float32s(shown: Sequence[str]) -> array[float]:
    return array("f", map(float, shown))


def _plain(text: str) -> str:
    """Return a number in Go's JSON form: digits alone between 1e-6 and 1e21, else an exponent without leading zero."""
    if "e" not in text:
        return text
    digits, _, exponent = text.partition("e")
    power = int(exponent)
    if -6 <= power < 21:
        return format(Decimal(text), "f")
    return f"{digits}e{'+' if power > 0 else '-'}{abs(power)}"


__all__ = ("dumps", "escaped", "float32s", "float64s", "floats", "local", "now", "quote", "string", "utc")
