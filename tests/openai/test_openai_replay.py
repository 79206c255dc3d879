"""A conversation goes on after a call whose arguments are no JSON object: cut short, or simply wrong."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from hyperllama.generation import TokenChunk, ToolCallDelta, Usage
from hyperllama.testing.fakes import FakeGateway

#: Ours when cut short, and what models write.
BROKEN = (
    '{"city"',
    '{"cmd": "echo',
    "null",
    "[]",
    '"x"',
    "1",
    "{}{}",
    "{'a': 1}",
    " ",
    '{"a":NaN}',
    "ls -l",
    "\ufffd\u0000",
    '{"a":' * 5000,
    '{"a":' * 5000 + "1" + "}" * 5000,
)


def chat(arguments: str) -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    turns = [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1"}]
    return {"messages": [{"role": "user", "content": "hi"}, turns[0], {**turns[1], "content": "bad JSON"}]}


def legacy(arguments: str) -> dict[str, Any]:
    turn = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": arguments}}
    return {"messages": [{"role": "user", "content": "hi"}, turn, {"role": "function", "name": "f", "content": "no"}]}


def items(arguments: str) -> dict[str, Any]:
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": arguments}
    return {"input": [{"role": "user", "content": "hi"}, call, answer("c1")]}


def answer(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "bad JSON"}


@pytest.mark.parametrize("arguments", BROKEN)
@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", chat), ("/v1/chat/completions", legacy), ("/v1/responses", items)],
    ids=["chat", "legacy", "responses"],
)
async def test_f03_a_replayed_call_may_have_any_arguments(
    http: httpx.AsyncClient, fake: FakeGateway, path: str, body: Any, arguments: str
) -> None:
    reply = await http.post(path, json={"model": "tiny", **body(arguments)})
    assert reply.status_code == 200, reply.text
    check(fake, arguments)


@pytest.mark.parametrize("arguments", BROKEN)
async def test_f03_a_call_of_ours_that_was_cut_short_is_gone_on_from(
    http: httpx.AsyncClient, fake: FakeGateway, arguments: str
) -> None:
    end = TokenChunk(tokens=1, finish_reason="length", usage=Usage(5, 4))
    fake.answer = lambda _: [TokenChunk(tool_calls=(ToolCallDelta(0, arguments, "c1", "f"),)), end]
    first = (await http.post("/v1/responses", json={"model": "tiny", "input": "hi"})).json()
    call = next(item for item in first["output"] if item["type"] == "function_call")
    assert call["arguments"] == arguments
    more = {"model": "tiny", "previous_response_id": first["id"], "input": [answer(call["call_id"])]}
    reply = await http.post("/v1/responses", json=more)
    assert reply.status_code == 200, reply.text
    check(fake, arguments)


def check(fake: FakeGateway, arguments: str) -> None:
    """Templates parse the arguments as a JSON object."""
    (call,) = [call for message in fake.requests[-1].input.messages for call in message.tool_calls]
    assert json.loads(call.arguments) == {"arguments": arguments}
