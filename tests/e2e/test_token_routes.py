"""The token routes over HTTP, on the sim engine and on MAX."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

TEXTS = ("What port does the gateway listen on?", "a  b\n\tc", "1 + 1 = 2", "x" * 500)


def _checked(url: str, model: str) -> None:
    with httpx.Client(base_url=url, timeout=120) as client:
        for text in TEXTS:
            reply = client.post("/tokenize", json={"model": model, "prompt": text, "return_token_strs": True})
            assert reply.status_code == 200, reply.text
            found = reply.json()
            assert found["count"] == len(found["tokens"]) == len(found["token_strs"])
            assert "".join(found["token_strs"]).endswith(text)
            plain = client.post("/tokenize", json={"model": model, "prompt": text}).json()
            assert plain["tokens"] == found["tokens"]
            assert not plain.get("token_strs")
            back = client.post("/detokenize", json={"model": model, "tokens": found["tokens"]}).json()
            assert back["prompt"].endswith(text)


def test_the_texts_of_tokens_are_the_prompt_on_sim(sim: Any) -> None:
    _checked(sim.url, "sim")


@pytest.mark.max
@pytest.mark.timeout(900)
def test_the_texts_of_tokens_are_the_prompt_on_max(max_gateway: Any) -> None:
    _checked(max_gateway.url, "hyperllama-tiny")
