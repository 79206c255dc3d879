"""The formats in which families of models write a tool call into their text."""

from __future__ import annotations

import msgspec


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """``marks`` open a call anywhere in the text, ``bare`` characters at its very beginning and right after a call.

    ``closes`` may follow a call and are dropped with it, as are ``separators`` between two.
    ``named``: the tool's name may stand between mark and arguments.
    """

    marks: tuple[str, ...]
    bare: str = ""
    closes: tuple[str, ...] = ()
    separators: str = ""
    named: bool = False


def formats() -> dict[str, Format]:
    """Return the formats by the names that ``tool_parser`` takes. ``json`` reads all of them as far as it can."""
    return {
        "hermes": Format(marks=("<tool_call>",), closes=("</tool_call>",)),
        "llama": Format(marks=("<|python_tag|>",), bare="{", separators=";,", closes=("<|eom_id|>", "<|eot_id|>")),
        "mistral": Format(marks=("[TOOL_CALLS]",), named=True),
        "json": Format(
            marks=("<tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "```json", "```tool_call"),
            bare="{[",
            closes=("</tool_call>", "```", "<|eom_id|>", "<|eot_id|>"),
            separators=";,",
            named=True,
        ),
    }


__all__ = ("Format", "formats")
