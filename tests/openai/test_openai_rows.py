"""Every row of ``rows.toml`` has its test; those that belong to no other file are here."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from hyperllama.generation import FinishReason, TokenChunk, ToolCallDelta, Usage
from hyperllama.testing.fakes import FakeGateway

ROOM = Path(__file__).parent
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}


def test_every_row_has_its_test() -> None:
    rows = tomllib.loads((ROOM / "rows.toml").read_text("utf-8"))
    source = "\n".join(path.read_text("utf-8") for path in ROOM.parent.rglob("test_*.py"))
    tests = set(re.findall(r"^\s*(?:async )?def (test_\w+)\(", source, re.MULTILINE))
    named = {name for section in rows.values() for name in section.values()}
    assert {name for name in named if name.partition("[")[0] not in tests} == set()
    golden = {path.stem for path in (ROOM / "golden").iterdir()}
    assert {case for name in named if "[" in name for case in re.findall(r"\[(\w+)\]", name)} <= golden


async def test_a_slash_at_the_end_is_no_redirect(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/models/")).status_code == 200
    assert (await http.post("/v1/chat/completions/", json=CHAT)).status_code == 200


async def test_usage_counts_every_choice_and_the_prompt_once(http: httpx.AsyncClient) -> None:
    usage = (await http.post("/v1/chat/completions", json={**CHAT, "n": 3})).json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (2, 9, 11)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reason", "called", "word"),
    [
        ("stop", False, "stop"),
        ("length", False, "length"),
        ("content_filter", False, "content_filter"),
        ("cancelled", False, "length"),
        ("tool_calls", True, "tool_calls"),
        ("tool_calls", False, "stop"),
        ("stop", True, "tool_calls"),
        ("length", True, "length"),
    ],
)
async def test_every_way_an_answer_ends_has_one_of_the_words_clients_know(
    http: httpx.AsyncClient, fake: FakeGateway, reason: FinishReason, called: bool, word: str, stream: bool
) -> None:
    said = TokenChunk(tool_calls=(ToolCallDelta(0, "{}", "call_1", "f"),)) if called else TokenChunk(text="a")
    fake.answer = lambda _: [said, TokenChunk(tokens=0, finish_reason=reason, usage=Usage(1, 1))]
    reply = await http.post("/v1/chat/completions", json={**CHAT, "stream": stream})
    last = reply.text.rstrip().removesuffix("data: [DONE]").rstrip().rpartition("data: ")[2] if stream else reply.text
    assert json.loads(last)["choices"][0]["finish_reason"] == word


async def test_ids_are_prefixed_long_and_never_the_same(http: httpx.AsyncClient) -> None:
    found = set()
    for path, body, prefix in (
        ("chat/completions", CHAT, "chatcmpl-"),
        ("completions", {"model": "tiny", "prompt": "Hi"}, "cmpl-"),
        ("responses", {"model": "tiny", "input": "Hi"}, "resp_"),
    ):
        for _ in range(2):
            made = (await http.post(f"/v1/{path}", json=body)).json()["id"]
            assert made.startswith(prefix)
            assert len(made) >= len(prefix) + 24
            found.add(made)
    assert len(found) == 6


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", CHAT),
        ("completions", {"model": "tiny", "prompt": "Hi"}),
        ("responses", {"model": "tiny", "input": "Hi"}),
        ("responses", {"model": "tiny", "input": "Hi", "background": True}),
    ],
)
async def test_a_stream_has_the_headers_that_proxies_and_pages_look_for(
    http: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    reply = await http.post(f"/v1/{path}", json={**body, "stream": True}, headers={"accept-encoding": "gzip"})
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.headers["x-request-id"]
    assert not {"content-length", "content-encoding"} & set(reply.headers)


@pytest.mark.parametrize("head", ["HTTP/1.0\r\n", "HTTP/1.1\r\nConnection: close\r\n"], ids=["1.0", "close"])
async def test_an_old_client_that_wants_its_connection_closed_is_streamed_to(base_url: str, head: str) -> None:
    place = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    body = json.dumps({**CHAT, "stream": True}).encode()
    length = f"Host: {place.netloc}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(f"POST /v1/chat/completions {head}{length}".encode() + body)
    async with asyncio.timeout(20):
        said = await reader.read(-1)  # to the end of the connection
    writer.close()
    assert said.split()[1] == b"200"
    assert b"data: [DONE]\n\n" in said
