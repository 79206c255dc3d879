"""Values of a log line, each and all together of bounded size, whatever a client or an exception put into them."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from itertools import islice
from traceback import walk_tb
from types import TracebackType
from typing import TypeAlias

import msgspec
from structlog.typing import EventDict, WrappedLogger

FIELD = 256  # bytes of one value
EXCEPTION = 768  # bytes of an exception with its frames
LINE = 1280  # bytes of all values; with a request's own line of 768 at most, a request that fails writes 2 KiB
ITEMS = 16  # of a list or a mapping that is a value
MESSAGE = 200  # bytes of one exception's own words
FRAMES = (2, 4)  # of a traceback: the outermost and the innermost
CHAIN = 3  # exceptions that led to one

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]
_FIRST = ("level", "timestamp", "event", "request_id", "exception")  # these keep their place when a line is too long


def encode(value: object) -> str:
    """Return ``value`` as JSON on one line, also for readers that take Unicode's line ends for ends of lines."""
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")


def cut(text: str, limit: int) -> str:
    """Return ``text`` with at most ``limit`` bytes as JSON writes it, and three dots where it was cut."""
    short = text[:limit]
    if not short.isascii():
        short = short.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
    if len(text) <= limit and (len(text) * 6 <= limit or _size(short) <= limit):
        return short
    low, high = 0, max(limit - 3, 0)
    while low < high:
        middle = (low + high + 1) // 2
        if _size(short[:middle]) <= limit - 3:
            low = middle
        else:
            high = middle - 1
    return short[:low] + "..."


def _size(value: object) -> int:
    """Return how many bytes ``value`` takes as JSON, quotes not counted."""
    return len(encode(value).encode()) - 2


def bound(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Cut every value of a line to ``FIELD`` bytes, and all of them together to ``LINE``. A processor of structlog."""
    left = LINE
    first = [key for key in _FIRST if key in event]
    for key in (*first, *(key for key in event if key not in _FIRST)):
        if key.startswith("_"):  # structlog's own
            continue
        if left <= 0:
            del event[key]
            continue
        value = _plain(event[key])
        left -= len(key) + 6
        if isinstance(value, str):
            value = cut(value, min(EXCEPTION if key == "exception" else FIELD, max(left, 3)))
        elif isinstance(value, list | dict) and _size(value) > min(FIELD * 2, left):
            value = cut(str(value), max(min(FIELD, left), 3))
        event[key] = value
        left -= _size(value) + 2
    return event


def exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace ``exc_info`` by ``exception``, a text of bounded size without source lines. A processor of structlog."""
    info = _exc_info(event.pop("exc_info", None))
    if info is not None:
        event["exception"] = cut("\n".join(_lines(info[1])), EXCEPTION)
    return event


def describe(error: BaseException) -> str:
    """Return type and message of ``error``, cut; an exception that cannot say its message has none."""
    name = cut(type(error).__name__, 64)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a stranger's __str__
        return f"{name}: (no message)"
    return f"{name}: {cut(message, MESSAGE)}" if message else name


def place(error: BaseException) -> str:
    """Return the innermost frame of ``error`` as ``module:line function``; empty when it was never raised."""
    last = deque(walk_tb(error.__traceback__), maxlen=1)
    return _frame(*last[0]) if last else ""


def _lines(error: BaseException) -> Iterator[str]:
    """Yield the exception, its frames from the innermost out, then what led to it."""
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen and len(seen) < CHAIN:
        yield describe(here) if not seen else f"from {describe(here)}"
        seen.add(id(here))
        frames = list(_frames(here.__traceback__))
        yield from (f"  {frame}" for frame in reversed(frames))
        if isinstance(here, BaseExceptionGroup):
            yield from (f"  of {describe(inner)}" for inner in here.exceptions[:CHAIN])
        here = here.__cause__ or (None if here.__suppress_context__ else here.__context__)


def _frames(traceback: TracebackType | None) -> Iterator[str]:
    outer, inner = FRAMES
    walk = walk_tb(traceback)
    yield from (_frame(*item) for item in islice(walk, outer))
    last = deque[str](maxlen=inner)
    skipped = 0
    for item in walk:
        skipped += len(last) == inner
        last.append(_frame(*item))
    if skipped:
        yield f"({skipped} frames)"
    yield from last


def _frame(frame: object, line: int) -> str:
    module = getattr(frame, "f_globals", {}).get("__name__", "?")
    return f"{module}:{line} {getattr(getattr(frame, 'f_code', None), 'co_name', '?')}"


def _exc_info(value: object) -> ExcInfo | None:
    if isinstance(value, BaseException):
        return type(value), value, value.__traceback__
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[1], BaseException):
        return value  # as sys.exc_info gives it
    if value:
        found = sys.exc_info()
        return found if found[1] is not None else None
    return None


def _plain(value: object, depth: int = 0) -> object:
    """Return ``value`` as something that JSON can hold, of bounded size."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else "(a large number)"
    if isinstance(value, str):
        return cut(value, EXCEPTION)
    if depth < 2 and isinstance(value, list | tuple | set | frozenset):
        items = [_plain(item, depth + 1) for item in islice(value, ITEMS)]
        return [*items, "..."] if len(value) > ITEMS else items
    if depth < 2 and isinstance(value, dict):
        return {cut(str(key), 64): _plain(item, depth + 1) for key, item in islice(value.items(), ITEMS)}
    if isinstance(value, BaseException):
        return describe(value)
    try:
        return cut(str(value), FIELD)
    except Exception:  # noqa: BLE001 - a stranger's __str__
        return f"({type(value).__name__})"


__all__ = ("bound", "cut", "describe", "encode", "exception", "place")
