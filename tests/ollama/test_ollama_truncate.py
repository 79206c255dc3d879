"""Conversations that are too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
import pytest

from hyperllama.errors import ContextTooLong, InvalidRequest
from hyperllama.generation import GenerationRequest, ToolSpec
from hyperllama.identity import Caller
from hyperllama.messages import Chat, Input, Message, Prompt, Text, ToolCall
from hyperllama.stream import TokenStream
from hyperllama_ollama import kept_context, truncate
from hyperllama_ollama.kept_context import Kept


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
    fitted = await truncate.fit(LONG, _count, room, truncate.of_chat(LONG))
    assert fitted is not None
    assert (_texts(fitted.input), fitted.used) == (left, len("".join(left)))
    assert fitted.dropped == 6 - len(left)


async def test_what_cannot_be_shortened_is_none() -> None:
    assert await truncate.fit(LONG, _count, 4, truncate.of_chat(LONG)) is None
    assert await truncate.fit(LONG, _count, 13, None) is None
    assert await truncate.fit(Prompt("abcdef"), _count, 3, None) is None
    assert await truncate.fit(Prompt("ab"), _count, 3, None) == truncate.Fitted(Prompt("ab"), 2)


def _agent(turns: int, parallel: int = 1, *, ids: str = "own") -> Chat:
    """An agent's conversation: in each turn ``parallel`` calls and their results, of the same ids in all if "same"."""
    messages = [*_chat(("system", "ss"), ("user", "question")).messages]
    for turn in range(turns):
        names = [f"c{turn}-{number}" if ids == "own" else f"c{number}" for number in range(parallel)]
        messages.append(
            Message(
                role="assistant",
                parts=(Text("let me see"),),
                tool_calls=tuple(ToolCall(name, f"f{turn}", "{}") for name in names),
            )
        )
        messages += [Message(role="tool", parts=(Text(f"r{turn}"),), tool_call_id=name) for name in names]
    return Chat(tuple(messages))


def _paired(messages: Sequence[Message]) -> bool:
    """Whether each result follows a call of its turn, and each call that is kept has its result."""
    open_: dict[str | None, str] = {}
    for message in messages:
        for call in message.tool_calls:
            assert call.id not in open_, "a call without a result"
            open_[call.id] = call.name
        if message.role == "tool" and open_.pop(message.tool_call_id, "")[1:] != message.text[1:]:
            return False
    return not open_


@pytest.mark.parametrize("parallel", [1, 2, 4])
@pytest.mark.parametrize("ids", ["own", "same"])
async def test_b01_no_result_loses_its_call(parallel: int, ids: str) -> None:
    agent = _agent(9, parallel, ids=ids)
    assert _paired(agent.messages)
    length = 0
    for room in range(6, 9 * 40):
        fitted = await truncate.fit(agent, _count, room, truncate.of_chat(agent))
        if fitted is not None:
            assert isinstance(fitted.input, Chat)
            assert _paired(fitted.input.messages), (room, fitted.input.messages)
            assert fitted.input.messages[-1] == agent.messages[-1]
            assert len(fitted.input.messages) >= length
            length = len(fitted.input.messages)
    assert length == len(agent.messages)


@pytest.mark.parametrize("messages", [10, 1000, 10_000])
async def test_b01_counting_is_cheap(messages: int) -> None:
    counted: list[int] = []

    async def count(input: Input) -> int:
        counted.append(len(_texts(input)))
        return len(_texts(input))

    chat = _chat(*[("user", "a")] * messages)
    assert await truncate.fit(chat, count, 8, truncate.of_chat(chat)) is not None
    assert len(counted) <= 2 + messages.bit_length()


@pytest.mark.parametrize("refusal", ["two of a role in a row", "no question"])
async def test_b01_a_template_that_refuses_a_beginning_keeps_the_question_before_it(refusal: str) -> None:
    async def count(input: Input) -> int:
        assert isinstance(input, Chat)
        roles = [message.role for message in input.messages if message.role != "system"]
        if roles[0] != "user" if refusal != "no question" else "user" not in roles:
            raise InvalidRequest("The chat template refuses these messages.")
        return await _count(input)

    said = [(role, f"{number:02}") for number in range(10) for role in ("user", "assistant")]
    chat = _chat(*said, ("user", "zz")) if refusal != "no question" else _agent(9)
    for room in range(30, 60):
        fitted = await truncate.fit(chat, count, room, truncate.of_chat(chat))
        assert fitted is not None
        assert fitted.used < room


class _Small:
    """Wraps a fake gateway's ``generate`` with a context of ``room`` tokens, as an engine has.

    Tools, calls and thinking cost tokens, and more messages than the context has tokens are refused uncounted.
    """

    def __init__(self, gateway: Any, room: int) -> None:
        self._words, self._inner, self._room = gateway.tokenize, gateway.generate, room
        gateway.infos = [msgspec.structs.replace(info, context_length=room) for info in gateway.infos]
        gateway.generate, gateway.tokenize = self.generate, self.tokenize
        self.counted = 0

    async def tokenize(
        self, name: str, input: Input, caller: Caller, *, tools: Sequence[ToolSpec] = (), reasoning: Any = None
    ) -> tuple[int, ...]:
        self.counted += 1
        ids = await self._words(name, input, caller)
        if not isinstance(input, Chat):
            return tuple(ids)
        if len(input.messages) + len(tools) > self._room:
            raise ContextTooLong(f"more than {self._room} tokens do not fit into {self._room}")
        calls = sum(len(message.tool_calls) for message in input.messages)
        return (*ids, *([7] * (4 * len(tools) + calls + 3 * bool(reasoning))))

    async def generate(self, request: GenerationRequest, caller: Caller) -> TokenStream:
        used = len(
            await self.tokenize(request.model, request.input, caller, tools=request.tools, reasoning=request.reasoning)
        )
        wanted = max(request.reserved, request.sampling.max_tokens or 1)
        if used + wanted > min(self._room, request.context_length or self._room):
            raise ContextTooLong(f"{used} tokens do not fit into {self._room}")
        found: TokenStream = await self._inner(request, caller)
        return found


WORDS = [{"role": role, "content": text} for role, text in (("user", "a b c"), ("assistant", "d e"), ("user", "f g"))]
TOOLS = [{"type": "function", "function": {"name": f"f{number}", "parameters": {}}} for number in range(8)]


@pytest.mark.parametrize("tools", [0, 1, 4, 8])
@pytest.mark.parametrize("context", [None, 48])
@pytest.mark.parametrize("turns", [3, 14, 300])
def test_b01_what_is_counted_is_what_the_engine_sees(
    http: httpx.Client, gateway: Any, tools: int, context: int | None, turns: int
) -> None:
    small = _Small(gateway, 64)
    call = {"function": {"name": "f0", "arguments": {}}}
    turn = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_name": "f0", "content": "ok it is"}]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, *turn * turns]
    body = {"model": "llama3.2", "messages": messages, "tools": TOOLS[:tools], "stream": False}
    reply = http.post("/api/chat", json={**body, "options": {} if context is None else {"num_ctx": context}})
    assert reply.status_code == 200, reply.text
    kept = gateway.asked[-1].input.messages
    assert (kept[0].role, kept[-1].role) == ("system", "tool")
    assert len(gateway.asked[-1].tools) == tools
    calls = [call.id for message in kept for call in message.tool_calls]
    assert calls == [message.tool_call_id for message in kept if message.role == "tool"]
    assert small.counted <= 3 + len(messages).bit_length()


def test_b01_thinking_counts(http: httpx.Client, gateway: Any) -> None:
    _Small(gateway, 10)
    for think in (None, True, False):
        body = {"model": "qwen3", "messages": WORDS * 3, "stream": False, "think": think}
        reply = http.post("/api/chat", json={**body, "options": {"num_predict": 1}})
        assert reply.status_code == 200, reply.text


def test_b01_a_chat_of_a_template_in_gos_language_is_shortened(http: httpx.Client, gateway: Any) -> None:
    _Small(gateway, 12)
    written = "{{ range .Messages }}{{ .Role }} {{ .Content }} {{ end }}"
    gateway.infos = [msgspec.structs.replace(info, extra={**info.extra, "template": written}) for info in gateway.infos]
    messages = [{"role": "system", "content": "s"}, *WORDS * 30]
    body = {"model": "llama3.2", "messages": messages, "stream": False, "options": {"num_predict": 1}}
    reply = http.post("/api/chat", json=body)
    assert reply.status_code == 200, reply.text
    assert gateway.asked[-1].input.text == "system s assistant d e user f g "
    assert gateway.asked[-1].truncated == 89 - 1
    assert http.post("/api/chat", json={**body, "truncate": False}).status_code == 400


IDS = tuple(range(100, 140))


@pytest.mark.parametrize(
    ("begin", "turn", "room", "reserved", "left"),
    [
        (0, 4, 41, 1, IDS),
        (0, 4, 40, 1, IDS[1:]),
        (0, 4, 30, 1, IDS[11:]),
        (0, 4, 30, 15, IDS[25:]),
        (0, 4, 30, 26, IDS[36:]),
        (0, 4, 30, 5, IDS[15:]),
        (1, 4, 30, 1, (IDS[0], *IDS[12:])),
        (2, 4, 7, 1, (*IDS[:2], *IDS[36:])),  # nothing but the turn
        (1, 28, 30, 7, (IDS[0], *IDS[12:])),
        (1, 29, 30, 1, (IDS[0], *IDS[11:])),  # too long as it is, which the engine says
    ],
)
def test_b01_of_tokens_the_oldest_go_and_the_beginning_and_the_turn_stay(
    begin: int, turn: int, room: int, reserved: int, left: tuple[int, ...]
) -> None:
    assert kept_context.cut(Kept(IDS, turn, begin), room, reserved) == left


def test_b01_of_tokens_what_is_left_begins_with_a_turn() -> None:
    user, assistant, end = 1, 2, 3
    said = (0, *((user, 50, 61, end, assistant, 50, 62, 63, end) * 9))
    ids = (*said, user, 50, 71, end, assistant)
    for room in range(8, len(ids)):
        left = kept_context.cut(Kept(ids, 5, 1), room, 1)
        assert left[:3] == (0, user, 50)
        assert left[-5:] == ids[-5:]
        assert room - 10 < len(left) < room or len(left) == 6


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("think", [None, True, False])
def test_b01_a_context_that_grows_is_never_refused(http: httpx.Client, gateway: Any, stream: bool, think: Any) -> None:
    _Small(gateway, 40)
    body = {"model": "qwen3", "prompt": "a b c", "stream": stream, "think": think}
    for length in (1, 20, 36, 37, 60, 4000):
        reply = http.post("/api/generate", json={**body, "context": [1, *range(2, length + 1)]})
        assert reply.status_code == 200, reply.text
        ids = gateway.asked[-1].input.ids
        assert ids[0] == 1
        assert ids[-6:] == (101, 101, 101, 7, 7, 7) if think is not False else ids[-3:] == (101, 101, 101)
        assert len(ids) < 40
    long = {**body, "context": list(range(1, 61))}
    assert http.post("/api/generate", json={**long, "truncate": False}).status_code == 400
    assert http.post("/api/generate", json={**long, "prompt": "a " * 50}).status_code == 400


@pytest.mark.parametrize("tools", [0, 8])
def test_b01_the_prompt_that_is_shown_is_the_one_that_would_be_answered(
    http: httpx.Client, gateway: Any, tools: int
) -> None:
    _Small(gateway, 60)
    body = {"model": "llama3.2", "messages": WORDS * 20, "tools": TOOLS[:tools], "stream": False}
    assert http.post("/api/chat", json=body).status_code == 200
    shown = http.post("/api/chat", json={**body, "_debug_render_only": True}).json()["_debug_info"]["rendered_template"]
    words = " ".join(_texts(gateway.asked[-1].input)).split()
    assert shown.strip("<>").split()[1 : len(words) + 1] == [str(100 + len(word)) for word in words]
    for more in ({"context": list(range(1, 100))}, {}):
        one = {"model": "llama3.2", "prompt": "a b", "_debug_render_only": True, **more}
        shown = http.post("/api/generate", json=one).json()["_debug_info"]["rendered_template"]
        assert shown.endswith(" 101 101>")
        assert len(shown.split()) < 60


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
