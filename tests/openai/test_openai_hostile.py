"""JSON made to break parsers, and text made to break streams: never a 5xx, never a byte out of place."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator

import httpx
import openai
import pytest

from hyperllama.errors import InvalidRequest
from hyperllama.generation import TokenChunk, ToolCallDelta, Usage
from hyperllama.web.body import MAX_DEPTH, parse_json

CHAT = b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}]'
PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/tokenize",
    "/detokenize",
    "/v1/responses",
    "/v1/rerank",
    "/v1/score",
)


def no_json() -> Iterator[bytes]:
    yield from (b"", b" ", b"\x00", b"{", b"}", b"[", b'"', b"nul", b"NaN", b"Infinity", b"-Infinity", b"{]", b"[}")
    yield from (
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"{}{}",
        b"{} x",
        b"{}\x00",
        b"// c\n{}",
        b"{'a':1}",
        b"{a:1}",
    )
    yield from (
        b'{"a":1,}',
        b"[1,]",
        b'{"a"}',
        b'{"a":}',
        b'{,"a":1}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":1.}',
    )
    yield from (
        b'{"a":0x10}',
        b'{"a":1e}',
        b'{"a":"\\x"}',
        b'{"a":"\\u12"}',
        b'{"a":"\n"}',
        b'{"a":"\t"}',
        b'{"a":"\x00"}',
    )
    yield from (b'{"a":"\xff"}', b'{"a":"\xc3\x28"}', b'{"a":"\xed\xa0\x80"}', b'{"\xff":1}', b'{"a":"\xf0\x9f"}')
    yield from (b'{"a":"\\ud800"}', b'{"a":"\\udfff\\ud800"}', b'{"\\ud83d":1}', b'[{"a":["\\uDBFF"]}]')
    yield from (b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1e999}', b'{"a":-1e400}', b'{"a":1E+0999}')
    yield from (b'{"a":%s}' % (b"9" * 400_000), b'{"a":%s}' % (b"9" * 400), b'{"a":18446744073709551616}')
    yield from (b'{"a":-%s}' % (b"9" * 20), b'{"a":1,"a":2}', b'{"a":{"b":1,"\\u0062":2}}', b'[[{"x":1,"x":1}]]')
    for depth in (MAX_DEPTH + 1, 998, 5_000, 100_000):
        yield b"[" * depth + b"]" * depth
        yield b'{"a":' * depth + b"1" + b"}" * depth
        yield b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        yield b"[" * depth
        yield b'{"a":' * depth
        yield b'[{"a":' * depth
    yield b"[" + b"[]," * 300_000 + b"1]"
    yield b"[" + b"1," * 2_100_000 + b"1]"


def not_the_right_json() -> Iterator[bytes]:
    """Good JSON in the wrong places: each value at the top, and as every field of a chat."""
    values = [
        b"null",
        b"true",
        b"0",
        b"-1",
        b"1.5",
        b'""',
        b'"a"',
        b"[]",
        b"[[]]",
        b"{}",
        b'{"":null}',
        b"[null]",
        b"1e308",
    ]
    yield from values
    fields = [
        b"model",
        b"messages",
        b"stream",
        b"n",
        b"stop",
        b"tools",
        b"tool_choice",
        b"response_format",
        b"logit_bias",
    ]
    fields += [
        b"stream_options",
        b"prompt",
        b"input",
        b"tokens",
        b"chat_template_kwargs",
        b"structured_outputs",
        b"query",
    ]
    fields += [b"documents", b"text_1", b"reasoning", b"previous_response_id", b"text", b"metadata", b"include"]
    for field in fields:
        for value in values:
            yield (
                b'{"model":"tiny","%s_":0,"%s":%s}' % (field, field, value)
                if field == b"model"
                else (b'{"model":"tiny","%s":%s}' % (field, value))
            )
    deep = b"[" * (MAX_DEPTH - 4) + b"]" * (MAX_DEPTH - 4)
    yield CHAT + b',"metadata":' + deep + b"}"
    yield CHAT + b',"tools":[{"type":"function","function":{"name":"f","parameters":{"a":' + deep[4:-4] + b"}}}]}"
    yield CHAT + b',"response_format":{"type":"json_schema","json_schema":{"schema":{"$ref":"#"}}}}'
    yield CHAT + b',"guided_regex":"(a+)+$"}'
    yield CHAT + b',"logit_bias":{"%s":1}}' % (b"9" * 5000)
    yield CHAT + b',"stop":["%s"]}' % (b"\\u0000" * 40)
    yield b'{"model":"%s","messages":[{"role":"user","content":"x"}]}' % (b"a" * 100_000)
    yield b'{"model":"\\u0000\\r\\n../../etc","messages":[{"role":"user","content":"x"}]}'


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_no_json_is_400_everywhere(http: httpx.AsyncClient, capsys, path: str) -> None:
    """All of it on one route, a part on the others: they read their bodies with the same function."""
    for body in itertools.islice(no_json(), None, None, 1 if path == PATHS[0] else 7):
        reply = await http.post(path, content=body, headers={"content-type": "application/json"})
        assert reply.status_code == 400, (body[:80], reply.text[:200])
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
        assert len(reply.content) < 1000
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("path", PATHS)
async def test_json_in_the_wrong_place_is_never_a_5xx(http: httpx.AsyncClient, capsys, path: str) -> None:
    for body in not_the_right_json():
        reply = await http.post(path, content=body, headers={"content-type": "application/json"})
        assert reply.status_code < 500, (body[:80], reply.text[:200])
        if reply.status_code >= 400:
            assert reply.json()["error"]["type"] == "invalid_request_error"
    assert "Traceback" not in "".join(capsys.readouterr())


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
