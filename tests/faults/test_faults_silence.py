"""Streams whose engine says nothing for a while."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest

from tests.support.live import asked, chat, events, text_of, unchunked, until, whole

SILENT = """
[server]
sse_keep_alive = {seconds}
[models.slow]
engine = "sim"
[models.slow.options]
tokens_per_second = 4
answer_tokens = 3
text = "one two three"
"""
COMMENT = b": keep-alive\n\n"
RESPONSE = {"model": "slow", "input": "hi", "stream": True}
MESSAGE = {"model": "slow", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True}


def said(live: Any, path: str, body: object) -> bytes:
    with live.post(path, body) as one:
        head, _, rest = until(one, b"\r\n\r\n").partition(b"\r\n\r\n")
        assert b"text/event-stream" in head or b"ndjson" in head
        return unchunked(whole(one, rest))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", chat("slow")),
        ("/v1/chat/completions", chat("slow", n=2)),
        ("/v1/responses", RESPONSE),
        ("/v1/messages", MESSAGE),
    ],
    ids=["chat", "choices", "responses", "messages"],
)
def test_a_silent_event_stream_gets_comments_between_its_events(serving: Any, path: str, body: object) -> None:
    plugins = '\n[plugins]\nenabled = ["sim", "openai", "ollama", "anthropic"]\n'
    got = said(serving(SILENT.format(seconds=0.1) + plugins), path, body)
    assert got.count(COMMENT) >= 3
    for event in got.split(b"\n\n")[:-1]:
        assert event == b": keep-alive" or event.startswith((b"data: ", b"event: "))
        assert b"\nid:" not in event


async def test_the_sdk_reads_past_comments(serving: Any) -> None:
    live = serving(SILENT.format(seconds=0.1))
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="slow", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        text = [event.choices[0].delta.content or "" async for event in stream]
    assert "".join(text) == "one two three"


def test_no_comments_where_nobody_asked_or_could_read_them(serving: Any) -> None:
    live = serving(SILENT.format(seconds=0))
    got = said(live, "/v1/chat/completions", chat("slow"))
    assert text_of(events(got)) == "one two three"
    assert b"\n:" not in got
    assert b"keep-alive" not in said(
        serving(SILENT.format(seconds=0.1)), "/api/generate", {"model": "slow", "prompt": "hi"}
    )


def test_a_stream_that_speaks_gets_none_and_one_that_has_ended_neither(serving: Any) -> None:
    """Its connection, kept open, stays as the client left it."""
    live = serving(SILENT.format(seconds=0.3).replace("tokens_per_second = 4", "tokens_per_second = 20"))
    with live.post("/v1/chat/completions", chat("slow")) as one:
        got = whole(one, until(one, b"\r\n\r\n"))
        assert COMMENT not in got
        time.sleep(0.8)
        one.sendall(asked("/api/version", b"", method="GET"))
        assert until(one, b"\r\n").startswith(b"HTTP/1.1 200")
