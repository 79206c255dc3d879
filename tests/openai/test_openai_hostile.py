"""JSON made to break parsers, and text made to break streams: never a 5xx, never a byte out of place."""

from __future__ import annotations

import json
import random

import httpx
import openai
import pytest

from hyperllama.errors import InvalidRequest
from hyperllama.generation import TokenChunk, ToolCallDelta, Usage
from hyperllama.web.strict_json import parse_json

CHAT = b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}]'


async def test_a_form_is_refused_and_curls_default_type_is_not(http: httpx.AsyncClient) -> None:
    form = await http.post("/v1/chat/completions", files={"a": b"b"})
    assert form.status_code == 400
    assert "application/json" in form.json()["error"]["message"]
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert (await http.post("/v1/chat/completions", content=CHAT + b"}", headers=kind)).status_code == 200


async def test_too_large_a_body_is_413_in_the_envelope(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/chat/completions", content=b" " * (16 * 1024 * 1024 + 1))
    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "request_too_large"


def test_good_json_is_what_json_says_it_is() -> None:
    rng = random.Random(6)
    for _ in range(2_000):
        value = _value(rng, 0)
        raw = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode()
        assert parse_json(raw) == value


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_random_damage_is_refused_or_read_and_nothing_else(count: int) -> None:
    rng = random.Random(7)
    for _ in range(count):
        raw = bytearray(json.dumps(_value(rng, 0)).encode())
        for _ in range(rng.randrange(1, 4)):
            raw[rng.randrange(len(raw))] = rng.choice(b'{}[]",:\\u0dD8eE+-9\x00\xff\xed a')
        try:
            parse_json(bytes(raw))
        except InvalidRequest as error:
            assert error.message


HOSTILE = (
    "\n\ndata: [DONE]\n\n", "\r\n\r\n", "\r", "\u2028", "\u2029", "\x85", "\x00", '"}]}\n\n', "event: error\n",
    "id: 1\n",
    ": comment\n\n", "\\", '\\"', "\ufeff", "\U0001f469\u200d\U0001f469", "e\u0301", "\ufffd", "</script>", "\x1b[2J",
)  # fmt: skip


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.nightly)])
async def test_any_text_round_trips_through_a_stream(client: openai.AsyncOpenAI, fake, count: int) -> None:
    rng = random.Random(20)
    texts = [
        "".join(rng.choice(HOSTILE) if rng.random() < 0.5 else chr(_code(rng)) for _ in range(9)) for _ in range(count)
    ]
    end = TokenChunk(tokens=0, finish_reason="tool_calls", usage=Usage(1, 1))
    calls = [
        TokenChunk(tool_calls=(ToolCallDelta(0, text, *(("c", "f") if not i else ())),)) for i, text in enumerate(texts)
    ]
    fake.answer = lambda _: [
        [TokenChunk(reasoning=text) for text in texts],
        [TokenChunk(text=text) for text in texts],
        [*calls, end],
    ]
    content, thought, arguments = "", "", ""
    async for chunk in await client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "".join(texts[:200])}], stream=True
    ):
        delta = chunk.choices[0].delta
        content += delta.content or ""
        thought += (delta.model_extra or {}).get("reasoning_content", "")
        arguments += "".join(item.function.arguments or "" for item in delta.tool_calls or ())
    assert content == thought == arguments == "".join(texts)
    assert fake.requests[0].input.messages[0].text == "".join(texts[:200])


async def test_a_hostile_model_name_stays_inside_the_json(http: httpx.AsyncClient) -> None:
    for text in HOSTILE:
        body = {"model": text, "messages": [{"role": "user", "content": "x"}], "stream": True}
        reply = await http.post("/v1/chat/completions", json=body)
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] == "model_not_found"


def _code(rng: random.Random) -> int:
    while 0xD800 <= (code := rng.randrange(0x110000)) <= 0xDFFF:
        pass
    return code


def _value(rng: random.Random, depth: int) -> object:
    match rng.randrange(8 if depth < 6 else 5):
        case 0:
            return None
        case 1:
            return rng.random() < 0.5
        case 2:
            return rng.randrange(-(2**63), 2**64)
        case 3:
            return rng.uniform(-1e300, 1e300)
        case 4 | 5:
            return "".join(chr(_code(rng)) for _ in range(rng.randrange(6)))
        case 6:
            return [_value(rng, depth + 1) for _ in range(rng.randrange(5))]
    return {f"k{n}": _value(rng, depth + 1) for n in range(rng.randrange(5))}
