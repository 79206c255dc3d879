"""Template text to actions and the text between them, and an action to tokens. Linear in the text."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from hyperllama_ollama.template.nodes import bad, shown

_ACTION = re.compile(r'\{\{((?:[^"`}]++|"(?:[^"\\]|\\.)*+"|`[^`]*+`|\}(?!\}))*+)\}\}', re.DOTALL)
_COMMENT = re.compile(r"\{\{(?:-\s++)?/\*")
_COMMENT_END = re.compile(r"\*/(?:\s++-)?\}\}")
_TOKEN = re.compile(r'\s*+("(?:[^"\\]|\\.)*+"|`[^`]*+`|[()|]|[^\s()|"`]++)')


def split(template: str) -> Iterator[tuple[str, str | None]]:
    """Yield each piece of text with the action behind it, None at the end; a comment is the action ``/*``.

    Space around an action is trimmed where the action says so. Raise Failure for an action without an end.
    """
    at, trim = 0, False
    comments = [found.span() for found in _COMMENT_END.finditer(template)] if "/*" in template else []
    while (start := template.find("{{", at)) >= 0:
        end = _comment_end(template, start, comments)
        if end is None:
            found = _ACTION.match(template, start)
            if found is None:
                raise bad("unclosed action")
            end = found.end()
        action = template[start + 2 : end - 2]
        text = template[at:start]
        text = text.lstrip() if trim else text
        trims_before = action[:1] == "-" and action[1:2].isspace()
        trim = action[-1:] == "-" and action[-2:-1].isspace()
        yield text.rstrip() if trims_before else text, action[1 if trims_before else 0 : -1 if trim else None].strip()
        at = end
    rest = template[at:]
    yield rest.lstrip() if trim else rest, None


def tokens(text: str) -> list[str]:
    """Return the words of an action. Raise Failure for what is no word."""
    found, at, text = [], 0, text.strip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise bad(f"unexpected {shown(text[at])} in command")
        found.append(token.group(1))
        at = token.end()
    return found


def _comment_end(template: str, start: int, ends: list[tuple[int, int]]) -> int | None:
    """Return the end of the comment that begins at ``start``; None: none begins there, or it has no end."""
    begun = _COMMENT.match(template, start) if ends else None
    if begun is None:
        return None
    place = bisect_left(ends, (begun.end(), 0))
    return ends[place][1] if place < len(ends) else None


__all__ = ("split", "tokens")
