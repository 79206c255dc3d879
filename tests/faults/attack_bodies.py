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
    """Yield bodies whose text is the cost: valid JSON, and the same with an end that is none."""
    whole = b'{"model":"%s","x":%s}'
    for path in ("/v1/chat/completions", "/api/chat", "/v1/messages", "/api/embed", "/v1/responses"):
        yield Attack(f"escapes{path}", path, b'{"model":"' + b'\\"' * (n * 2000) + b'"' + b"[" * 80)
        yield Attack(f"numbers{path}", path, b'{"x":[' + b"1e5," * (n * 400) + b"1]}")
        yield Attack(f"objects{path}", path, b'{"x":[' + b"{}," * (n * 400) + b"1]}")
        yield Attack(f"deep{path}", path, b"[" * (n * 100))
        for name, text in (
            ("quotes", b'"' + b'\\"' * (n * 2000) + b'"'),
            ("pairs", b'"' + b"\\ud83d\\ude00" * (n * 330) + b'"'),
            ("surrogates", b'"' + b"\\ud800" * (n * 660) + b'"'),
            ("plain", b'"' + b"a" * (n * 4000) + b'"'),
            ("emoji", b'"' + "\U0001f600".encode() * (n * 1000) + b'"'),
            ("bad-bytes", b'"' + b"\xff" * (n * 4000) + b'"'),
            ("strings", b"[" + b'"abcde",' * (n * 249) + b"1]"),
            ("decimals", b"[" + b"1.25e5," * (n * 249) + b"1]"),
            ("digits", b"1" * (n * 4000)),
            ("fraction", b"0." + b"1" * (n * 4000)),
            ("brackets", b'"' + b"[{,:" * (n * 1000) + b'"'),
            ("spaces", b" " * (n * 4000) + b"1"),
            ("lists", b"[" + b"[[[]]]," * (n * 8) + b"1]"),
        ):
            yield Attack(f"{name}{path}", path, whole % (b"m", text))
            yield Attack(f"{name}-broken{path}", path, whole % (b"m", text) + b"!")


def _shapes(n: int) -> Iterator[tuple[str, object]]:
    """Yield values that few fields are meant to hold: deep, wide, many, long, and of every wrong type."""
    deep: object = 1
    for _ in range(min(n, 60)):
        deep = {"a": [deep]}
    yield "deep", deep
    yield "wide", {f"k{k}": k for k in range(n)}
    yield "many-objects", [{}] * n
    yield "many-strings", ["a"] * n
    yield "many-numbers", [1] * n
    yield "many-lists", [[]] * n
    yield "long", "a\u0301" * n * 10
    yield "number", 2**63 - 1
    yield "negative", -1
    yield "false", False
    yield "odd", {"type": "x" * n, "role": None, "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}


def _requests() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Yield each route that an ordinary key may post JSON to, with the type of its requests."""
    from hyperllama_anthropic import wire as anthropic
    from hyperllama_ollama import wire as ollama
    from hyperllama_openai.wire import chat, completions, embeddings, models, rerank, responses

    for path, module, name in (
        ("/v1/chat/completions", chat, "ChatRequest"),
        ("/v1/completions", completions, "CompletionRequest"),
        ("/v1/embeddings", embeddings, "EmbeddingRequest"),
        ("/v1/responses", responses, "ResponsesRequest"),
        ("/v1/rerank", rerank, "RerankRequest"),
        ("/v1/score", rerank, "ScoreRequest"),
        ("/tokenize", models, "TokenizeRequest"),
        ("/detokenize", models, "DetokenizeRequest"),
        ("/v1/messages", anthropic, "MessagesRequest"),
        ("/v1/messages/count_tokens", anthropic, "MessagesRequest"),
        ("/api/generate", ollama, "GenerateRequest"),
        ("/api/chat", ollama, "ChatRequest"),
        ("/api/embed", ollama, "EmbedRequest"),
        ("/api/embeddings", ollama, "EmbeddingRequest"),
        ("/api/show", ollama, "ShowRequest"),
        ("/api/create", ollama, "CreateRequest"),
        ("/api/copy", ollama, "CopyRequest"),
    ):
        yield path, getattr(module, name)


def wire_fields(model: str, n: int) -> Iterator[Attack]:
    """Yield every field of every request of the three dialects in every shape. Nothing of it is a valid request."""
    given: dict[str, object] = {
        "model": model,
        "messages": [USER],
        "prompt": "x",
        "input": "x",
        "query": "q",
        "documents": ["d"],
    }
    given |= {"max_tokens": 2, "tokens": [1], "text_1": "a", "text_2": "b"}
    for path, type_ in _requests():
        fields = [field.encode_name for field in msgspec.structs.fields(type_)]
        base: dict[str, object] = {name: value for name, value in given.items() if name in fields}
        if "stream" in fields:
            base["stream"] = False
        for name in fields:
            for shape, value in _shapes(n):
                yield Attack(f"{name}-{shape}{path}", path, _json({**base, name: value}))


def multipart(n: int) -> Iterator[Attack]:
    """Yield forms with many parts, long headers of parts, and boundaries that are none."""
    part = b'--b\r\nContent-Disposition: form-data; name="%d"\r\n\r\nx\r\n'
    long = b'--b\r\nContent-Disposition: form-data; name="purpose"; %s="x"\r\n\r\nbatch\r\n--b--\r\n' % (b"f" * n * 40)
    escaped = b'--b\r\nContent-Disposition: form-data; name="' + b'\\"' * n * 20 + b'"\r\n\r\nx\r\n--b--\r\n'
    lines = b'--b\r\nContent-Disposition: form-data; name="a"\r\n' + b"x: y\r\n" * n * 10 + b"\r\nx\r\n--b--\r\n"
    for name, body in (
        ("parts", b"".join(part % k for k in range(n)) + b"--b--\r\n"),
        ("long-header", long),
        ("escaped-name", escaped),
        ("many-headers", lines),
        ("dashes", b"--b" + b"-" * n * 100),
        ("boundaries", b"--b\r\n" * n * 20),
        ("no-end", b"--b\r\n" + b"\r" * n * 100),
    ):
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        yield Attack(f"form-{name}", "/v1/files", body, headers=headers)
    for name, type_ in (
        ("semicolons", "multipart/form-data" + ";" * 4000),
        ("quotes", 'multipart/form-data; boundary="' + '\\"' * 2000),
        ("long-boundary", "multipart/form-data; boundary=" + "b" * 4000),
    ):
        yield Attack(f"form-{name}", "/v1/files", b"x", headers={"Content-Type": type_})


def queries(n: int) -> Iterator[Attack]:
    """Yield long and odd targets: many parameters, percents, long names in paths."""
    for path in ("/v1/models", "/v1/files", "/api/tags", "/v1/batches", "/v1/messages/batches"):
        yield Attack(f"query-many{path}", f"{path}?" + "&".join(f"k{k}=v" for k in range(n)), b"", method="GET")
        yield Attack(f"query-same{path}", f"{path}?" + "limit=1&" * n, b"", method="GET")
        yield Attack(f"query-percents{path}", f"{path}?after=" + "%00%ff" * n, b"", method="GET")
    for path in ("/v1/models/", "/v1/responses/", "/v1/files/", "/v1/batches/", "/v1/messages/batches/", "/"):
        yield Attack(f"path-long{path}", path + "a" * n * 10, b"", method="GET")
        yield Attack(f"path-slashes{path}", path + "/" * n, b"", method="GET")
        yield Attack(f"path-dots{path}", path + "../" * n, b"", method="GET")
        yield Attack(f"path-percents{path}", path + "%2f%00" * n, b"", method="GET")


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


__all__ = ("Attack", "attacks", "mixed", "multipart", "queries", "wire_fields")
