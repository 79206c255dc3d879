"""Query parameters of lists."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama_openai.errors import InvalidValue


def integer(text: str | None, param: str, default: int) -> int:
    """Raises InvalidValue."""
    if text is None:
        return default
    try:
        return int(text[:20])
    except ValueError as error:
        raise InvalidValue(f"Invalid value for '{param}': expected a number.", param=param) from error


def number(text: str | None, param: str, default: int, *, least: int = 1, most: int) -> int:
    """``default`` is between ``least`` and ``most``. Raises InvalidValue."""
    value = integer(text, param, default)
    if not least <= value <= most:
        raise InvalidValue(f"Invalid value for '{param}': expected {least} to {most}.", param=param)
    return value


def chosen(text: str, param: str, options: Sequence[str]) -> str:
    """Raises InvalidValue."""
    if text not in options:
        words = " or ".join(f"'{option}'" for option in options)
        raise InvalidValue(f"Invalid value for '{param}': expected {words}.", param=param)
    return text


__all__ = ("chosen", "integer", "number")
