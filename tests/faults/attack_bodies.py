"""Requests that an ordinary key may send and that cost far more to serve than to write."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

USER = {"role": "user", "content": "hi"}


class Attack(msgspec.Struct, frozen=True):
    """One hostile request; ``body`` is bytes where it is no JSON."""

    name: str
    path: str
    body: bytes
    method: str = "POST"
    headers: dict[str, str] = {}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _chat(model: str, **more: object) -> dict[str, object]:
    return {"model": model, "messages": [USER], "stream": False, **more}


def _templates(model: str, size: int) -> Iterator[tuple[str, str, object]]:
    base = {"model": model, "prompt": "x", "stream": False}
    nested = 10
    for name, template in (
        ("comments", "{{/*}}" * (size // 6)),
        ("trims", "{{-  -}}" * (size // 8)),
        ("opens", "{{" * (size // 2)),
        ("quotes", '{{"' * (size // 3)),
        ("nots", "{{1" + " | not" * (size // 6) + "}}"),
        ("parentheses", "{{" + "(" * (size // 2) + "1" + ")" * (size // 2) + "}}"),
        ("ifs", "{{if .Prompt}}" * (size // 30) + "{{end}}" * (size // 30)),
        ("variables", "".join(f"{{{{$v{n} := .Prompt}}}}" for n in range(size // 24))),
        ("fields", "{{" + ".Messages" * (size // 9) + "}}"),
    ):
        yield f"template-{name}", "/api/generate", {**base, "template": template}
    loops = "{{range $.Messages}}" * nested + "{{$x := json $.Prompt}}" + "{{end}}" * nested
    yield "template-loops", "/api/generate", {**base, "system": "s", "prompt": "p" * (size * 2), "template": loops}
    prints = "{{range $.Messages}}" * nested + '{{printf "%s%s%s" $.Prompt $.Prompt $.Prompt}}' + "{{end}}" * nested
    yield "template-prints", "/api/generate", {**base, "system": "s", "prompt": "p" * size, "template": prints}


def _messages(model: str, n: int) -> Iterator[tuple[str, str, object]]:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}
    yield (
        "calls-unanswered",
        "/api/chat",
        _chat(
            model,
            messages=[
                {"role": "assistant", "content": "", "tool_calls": [call] * n},
                *({"role": "tool", "tool_call_id": "z", "content": "r"} for _ in range(n)),
            ],
        ),
    )
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    yield "items", "/v1/responses", {"model": model, "input": [call] * (n * 5)}
    empty = {"role": "user", "content": ""}
    for path in ("/api/chat", "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses"):
        field = "input" if path == "/v1/responses" else "messages"
        more: dict[str, object] = {"max_tokens": 1} if path == "/v1/messages" else {}
        yield f"messages{path}", path, {"model": model, field: [empty] * (n * 10), **more}
        parts = [{"type": "input_text" if field == "input" else "text", "text": ""}] * (n * 10)
        yield f"parts{path}", path, {"model": model, field: [{"role": "user", "content": parts}], **more}
        tools: list[object]
        if path == "/v1/messages" or path.endswith("count_tokens"):
            tools = [{"name": f"t{k}", "input_schema": {"type": "object"}} for k in range(n * 4)]
        elif path == "/v1/responses":
            tools = [{"type": "function", "name": f"t{k}", "parameters": {"type": "object"}} for k in range(n * 4)]
        else:
            tools = [
                {"type": "function", "function": {"name": f"t{k}", "parameters": {"type": "object"}}}
                for k in range(n * 4)
            ]
        yield f"tools{path}", path, {"model": model, field: [USER], "tools": tools, **more}
    yield "empty-objects", "/api/chat", {"model": model, "messages": [{}] * (n * 30)}


def _schemas(model: str, n: int) -> Iterator[tuple[str, str, object]]:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(25):
        deep = {"type": "object", "properties": {"a": deep}, "required": ["a"]}
    fields = {f"f{k}": {"type": "string", "maxLength": 100} for k in range(n)}
    for name, schema in (
        ("deep", deep),
        ("wide", {"type": "object", "properties": fields, "required": list(fields)}),
        ("enum", {"enum": [f"value {k}" for k in range(n * 10)]}),
        ("pattern", {"type": "string", "pattern": "(a+)+(b|a)*c" * 100}),
        ("repeat", {"type": "string", "pattern": "((a{1,50}){1,50}){1,50}"}),
        ("any-of", {"anyOf": [{"type": "string", "pattern": f"^{k}a*$"} for k in range(n)]}),
        ("reference", {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#"}]}}}),
    ):
        shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        yield f"schema-{name}", "/v1/chat/completions", _chat(model, response_format=shape, max_tokens=8)
        yield f"format-{name}", "/api/chat", _chat(model, format=schema, options={"num_predict": 8})


def _lists(model: str, n: int) -> Iterator[tuple[str, str, object]]:
    chat = "/v1/chat/completions"
    yield "stops", chat, _chat(model, stop=[f"s{k}" for k in range(n * 20)])
    yield "bias", chat, _chat(model, logit_bias={str(k): 1 for k in range(n * 20)})
    yield "metadata", chat, _chat(model, metadata={f"k{k}": "v" for k in range(n * 20)})
    yield "long-key", chat, {"a" * (n * 400): 1, **_chat(model)}
    yield "floats", chat, _chat(model, x=[1.25] * (n * 400))
    yield "inputs", "/v1/embeddings", {"model": model, "input": ["a"] * (n * 40)}
    yield "ids", "/v1/embeddings", {"model": model, "input": [[1]] * (n * 40)}
    yield "embed", "/api/embed", {"model": model, "input": [""] * (n * 40)}
    yield "prompts", "/v1/completions", {"model": model, "prompt": ["a"] * (n * 40), "max_tokens": 1}
    yield "prompt-ids", "/v1/completions", {"model": model, "prompt": [1] * (n * 400), "max_tokens": 0}
    yield "detokenize", "/detokenize", {"model": model, "tokens": [1] * (n * 400)}
    yield "tokenize", "/tokenize", {"model": model, "prompt": "ab " * (n * 400), "return_token_strs": True}
    yield "context", "/api/generate", {"model": model, "prompt": "x", "context": [1] * (n * 400), "stream": False}
    yield "long-prompt", chat, _chat(model, messages=[{"role": "user", "content": "a " * (n * 1000)}])
    yield "odd-text", chat, _chat(model, messages=[{"role": "user", "content": "\u0301\ud7ff<|" * (n * 100)}])
    yield "unload", "/api/generate", {"model": model, "keep_alive": 0}
    yield "pin", "/api/generate", {"model": model, "keep_alive": -1}
    yield "many", chat, _chat(model, n=128, max_tokens=100_000)
    yield "best", "/v1/completions", {"model": model, "prompt": "x", "best_of": 128, "n": 128, "max_tokens": 4096}


def _raw(n: int) -> Iterator[Attack]:
    for path in ("/v1/chat/completions", "/api/chat", "/v1/messages"):
        yield Attack(f"escapes{path}", path, b'{"model":"' + b'\\"' * (n * 2000) + b'"' + b"[" * 80)
        yield Attack(f"numbers{path}", path, b'{"x":[' + b"1e5," * (n * 400) + b"1]}")
        yield Attack(f"objects{path}", path, b'{"x":[' + b"{}," * (n * 400) + b"1]}")
        yield Attack(f"deep{path}", path, b"[" * (n * 100))


def attacks(model: str, *, n: int = 4000, template: int = 200_000) -> list[Attack]:
    """Every hostile request against ``model``; ``n`` scales lists (4,000: up to about 12 MB a body)."""
    found = [
        Attack(name, path, _json(body))
        for group in (_templates(model, template), _messages(model, n), _schemas(model, n // 8), _lists(model, n))
        for name, path, body in group
    ]
    return [*found, *_raw(n)]


def mixed(model: str, seed: int) -> Callable[[], Attack]:
    """Draw small hostile requests without end: every kind above, at random sizes of up to a few kilobytes."""
    random_ = random.Random(seed)
    pool = [each for n in (1, 3, 12) for each in attacks(model, n=n, template=60 * n)]

    def draw() -> Attack:
        each = random_.choice(pool)
        if random_.random() < 0.5:
            return each
        body = bytearray(each.body[: random_.randrange(1, 4096)])
        for _ in range(random_.randrange(4)):
            body[random_.randrange(len(body))] = random_.randrange(256)
        return Attack(f"broken-{each.name}", each.path, bytes(body))

    return draw


__all__ = ("Attack", "attacks", "mixed")
