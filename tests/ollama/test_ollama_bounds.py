"""What a body may hold, in any spelling of its fields, is refused before it is built."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from hyperllama.config import BodyLimits
from hyperllama.errors import InvalidRequest
from hyperllama_ollama.decode import bodies, bounds

FEW = BodyLimits(containers=50, values=60, messages=5, tools=3, tool_calls=4, images=2)
MANY: dict[str, Callable[[int], dict[str, Any]]] = {
    "messages": lambda n: {"messages": [{}] * n},
    "MESSAGES": lambda n: {"MESSAGES": [None] * n},
    "tools": lambda n: {"tools": [{}] * n},
    "tool_calls": lambda n: {"messages": [{"tool_calls": [{}] * (n - 1)}, {"tool_calls": [{}]}]},
    "images": lambda n: {"messages": [{"images": [""] * (n - 1)}, {"Images": [""]}]},
}


@pytest.mark.parametrize("field", MANY)
def test_lists_are_counted_over_the_whole_body(field: str) -> None:
    most = getattr(FEW, field.lower())
    bodies.chat(json.dumps(MANY[field](most)).encode(), limits=FEW)
    with pytest.raises(InvalidRequest, match=f"at most {most} "):
        bodies.chat(json.dumps(MANY[field](most + 1)).encode(), limits=FEW)


@pytest.mark.parametrize("piece", [b"{}", b"[]", b'{"a":1}', b"1", b'""', b"null"])
def test_containers_and_values_are_counted_outside_of_strings(piece: bytes) -> None:
    with pytest.raises(InvalidRequest, match="too many values"):
        bounds.check(b"[" + b",".join([piece] * 70) + b"]", FEW)
    bounds.check(b"[" + b",".join([piece] * 40) + b"]", FEW)
    bounds.check(b'["' + b"[{," * 1000 + b'"]', FEW)
    bounds.check(b'["' + b'\\"{,' * 1000 + b'"]', FEW)


@pytest.mark.parametrize("text", [b"a" * 3000, b'\\"' * 2000, b"\\\\" * 2000, b"[{," * 900])
def test_a_string_over_several_pieces_stays_one(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    for size in (1, 2, 3, 7, 64, 1000):
        monkeypatch.setattr("hyperllama.web.strict_json._PIECE", size)
        noisy = b"[" + b"1," * 40 + b'"' + text + b'"'
        bounds.check(noisy + b"]", FEW)
        with pytest.raises(InvalidRequest):
            bounds.check(noisy + b",1" * 40 + b"]", FEW)


@pytest.mark.parametrize("item", [b"{}", b"null", b"[]", b'{"tool_calls":[]}', b'{"a":{}}'])
def test_memory_for_a_byte_sent_is_bounded(item: bytes) -> None:
    """49,000 tiny messages are refused before a message is made of any."""
    raw = b'{"model":"m","messages":[' + b",".join([item] * 49_000) + b"]}"
    tracemalloc.start()
    with pytest.raises(InvalidRequest):
        bodies.chat(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * len(raw)
