"""A compressed body obeys the limit of its route, counted as it was before: over a socket, at several limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import zstandard

from hyperllama.config import Server

CONFIG = '[models.sim]\nengine = "sim"\n'
ROUTES = ("/v1/chat/completions", "/v1/embeddings", "/v1/responses")


def sent(url: str, path: str, raw: bytes) -> httpx.Response:
    return httpx.post(f"{url}{path}", content=raw, headers={"content-encoding": "zstd"}, timeout=60)


def body(size: int) -> bytes:
    whole = json.dumps({"model": "sim", "input": "", "messages": [{"role": "user", "content": ""}]}).encode()
    return whole + b" " * (size - len(whole))


@pytest.mark.parametrize("most", [2_000, 300_000, None])
def test_a_bomb_is_413_before_it_is_parsed_and_what_fits_is_read(serving: Callable[..., Any], most: int | None) -> None:
    url = serving((f"[server]\nmax_body_bytes = {most}\n" if most else "") + CONFIG).url
    limit = most or Server().max_body_bytes
    frame = zstandard.ZstdCompressor().compress
    for path in ROUTES if most else ROUTES[:1]:  # the default limit takes seconds to reach
        for bomb in (
            frame(b"x" * (limit + 1)),
            frame(b"x" * (limit * 2)),
            frame(body(limit)) + frame(b" "),  # in two frames
            zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * (limit + 1)),
        ):
            assert len(bomb) <= 2_000 or most is None
            answer = sent(url, path, bomb)
            assert answer.status_code == 413, (path, answer.text)
            assert str(limit) in answer.json()["error"]["message"]
        assert sent(url, path, frame(body(limit))).status_code != 413, path


def test_86_bytes_that_unpack_to_100000(serving: Callable[..., Any]) -> None:
    url = serving(f"[server]\nmax_body_bytes = 2000\n{CONFIG}").url
    whole = json.dumps({"model": "sim", "messages": [{"role": "user", "content": "a" * 100_000}]}).encode()
    assert sent(url, ROUTES[0], zstandard.ZstdCompressor().compress(whole)).status_code == 413
    assert httpx.post(f"{url}{ROUTES[0]}", content=whole).status_code == 413
