"""Content blocks as text: documents, search results, and what other servers' tools left in a conversation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from hyperllama.errors import UnsupportedFeature
from hyperllama_anthropic import wire

#: Members of results that say something to a model; ids, types and encrypted contents do not.
_SAID: Final = (
    "title",
    "url",
    "text",
    "stdout",
    "stderr",
    "output",
    "tool_name",
    "error_code",
    "error_message",
)
_DEPTH: Final = 8


def document(block: wire.Block | wire.InnerBlock, param: str) -> str:
    """Return the text of a document that is text already. Raise UnsupportedFeature for one that is elsewhere."""
    source = block.source
    if isinstance(source, str) or source is None:
        text = source or ""
    elif source.type == "text":
        text = source.data or ""
    elif source.type == "content":
        text = flat(source.content)
    else:
        raise UnsupportedFeature(
            f"{param}.source.type: This server fetches no documents; send the document's content instead of a "
            f"{source.type[:20]!r} source.",
            param=f"{param}.source.type",
        )
    return with_title(text, block)


def with_title(text: str, block: wire.Block | wire.InnerBlock) -> str:
    """Return the text of a document behind its title and context, where it has them."""
    head = f'Document "{block.title}":\n' if block.title else ""
    return f"{head}{block.context}\n{text}" if block.context else head + text


def search_result(block: wire.Block | wire.InnerBlock) -> str:
    """Return a search result as text: title, source, content."""
    source = block.source if isinstance(block.source, str) else ""
    head = f'Search result "{block.title or ""}"' + (f" ({source})" if source else "")
    return f"{head}:\n{flat(block.content)}"


def flat(content: object) -> str:
    """Return what a string, a block, or blocks in any nesting say, a line for each."""
    return "\n".join(_lines(content, 0))


def _lines(content: object, depth: int) -> Iterator[str]:
    if isinstance(content, str):
        if content:
            yield content
    elif depth > _DEPTH:
        return
    elif isinstance(content, wire.InnerBlock):
        yield from _lines([content.title, content.url, content.text, content.content], depth + 1)
    elif isinstance(content, Mapping):
        yield from _members(content, depth)
    elif isinstance(content, Sequence):
        for inner in content:
            yield from _lines(inner, depth + 1)


def _members(content: Mapping[str, Any], depth: int) -> Iterator[str]:
    for name in _SAID:
        if isinstance(value := content.get(name), str) and value:
            yield value
    if content.get("type") == "text" and isinstance(data := content.get("data"), str):  # a source
        yield data
    for name in ("source", "content", "tool_references"):
        yield from _lines(content.get(name), depth + 1)


__all__ = ("document", "flat", "search_result", "with_title")
