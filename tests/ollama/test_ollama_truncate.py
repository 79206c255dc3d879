"""Conversations that are too long."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from hyperllama.errors import ContextTooLong
from hyperllama.generation import GenerationRequest
from hyperllama.identity import Caller
from hyperllama.messages import Chat, Input, Message, Prompt, Text
from hyperllama.stream import TokenStream
from hyperllama_ollama import truncate


def _chat(*said: tuple[str, str]) -> Chat:
    return Chat(tuple(Message(role=role, parts=(Text(text),)) for role, text in said))  # type: ignore[arg-type]


def _texts(input: Input) -> list[str]:
    assert isinstance(input, Chat)
    return [message.text for message in input.messages]


async def _count(input: Input) -> int:
    return len(input.text) if isinstance(input, Prompt) else sum(len(text) for text in _texts(input))


LONG = _chat(("system", "ss"), ("user", "aaaa"), ("assistant", "bbb"), ("system", "t"), ("user", "cc"), ("user", "d"))


@pytest.mark.parametrize(
    ("room", "left"),
    [
        (14, ["ss", "aaaa", "bbb", "t", "cc", "d"]),
        (13, ["ss", "bbb", "t", "cc", "d"]),
        (10, ["ss", "bbb", "t", "cc", "d"]),
        (9, ["ss", "t", "cc", "d"]),
        (7, ["ss", "t", "cc", "d"]),
        (6, ["ss", "t", "d"]),
        (5, ["ss", "t", "d"]),
    ],
)
async def test_the_oldest_go_first_and_system_messages_and_the_last_stay(room: int, left: list[str]) -> None:
    fitted = await truncate.fit(LONG, _count, room, truncate=True)
    assert fitted is not None
    assert (_texts(fitted[0]), fitted[1]) == (left, len("".join(left)))


async def test_what_cannot_be_shortened_is_none() -> None:
    assert await truncate.fit(LONG, _count, 4, truncate=True) is None
    assert await truncate.fit(LONG, _count, 13, truncate=False) is None
    assert await truncate.fit(Prompt("abcdef"), _count, 3, truncate=True) is None
    assert await truncate.fit(Prompt("ab"), _count, 3, truncate=False) == (Prompt("ab"), 2)


class _Small:
    """Wraps a fake gateway's ``generate`` with a context of ``room`` tokens, as an engine has."""

    def __init__(self, gateway: Any, room: int) -> None:
        self._gateway, self._inner, self._room = gateway, gateway.generate, room
        gateway.infos = [msgspec.structs.replace(info, context_length=room) for info in gateway.infos]
        gateway.generate = self.generate

    async def generate(self, request: GenerationRequest, caller: Caller) -> TokenStream:
        used = len(await self._gateway.tokenize(request.model, request.input, caller))
        if used + (request.sampling.max_tokens or 1) > self._room:
            raise ContextTooLong(f"{used} tokens do not fit into {self._room}")
        found: TokenStream = await self._inner(request, caller)
        return found


WORDS = [{"role": role, "content": text} for role, text in (("user", "a b c"), ("assistant", "d e"), ("user", "f g"))]


def test_a_long_conversation_is_shortened_unless_that_is_forbidden(http: httpx.Client, gateway: Any) -> None:
    _Small(gateway, 6)
    body = {"model": "llama3.2", "messages": WORDS, "stream": False, "options": {"num_predict": 1}}
    assert http.post("/api/chat", json=body).status_code == 200
    assert _texts(gateway.asked[-1].input) == ["d e", "f g"]
    assert gateway.asked[-1].sampling.max_tokens == 1
    reply = http.post("/api/chat", json={**body, "truncate": False})
    assert (reply.status_code, reply.json()) == (400, {"error": "8 tokens do not fit into 6"})


def test_asking_for_more_than_there_is_room_for_ends_with_the_context(http: httpx.Client, gateway: Any) -> None:
    _Small(gateway, 20)
    body = {"model": "llama3.2", "messages": WORDS, "options": {"num_predict": 100}, "truncate": False}
    assert http.post("/api/chat", json=body).status_code == 200
    assert gateway.asked[-1].sampling.max_tokens == 20 - 8
    assert len(gateway.asked[-1].input.messages) == 3


def test_a_prompt_that_is_too_long_by_itself_is_refused(http: httpx.Client, gateway: Any) -> None:
    _Small(gateway, 6)
    reply = http.post("/api/generate", json={"model": "llama3.2", "prompt": "a b c d e f g"})
    assert reply.status_code == 400
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["error"].startswith("the prompt is longer than the context length currently available to")
