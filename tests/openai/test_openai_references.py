"""References to stored items: as good as the items themselves, for whoever stored them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from hyperllama.generation import TokenChunk, ToolCallDelta, Usage
from hyperllama.identity import Credentials, Principal
from hyperllama.testing.fakes import FakeGateway, MemoryRecords
from hyperllama.testing.serving import serving
from hyperllama_openai import ids
from hyperllama_openai.protocol import OpenAI
from hyperllama_openai.settings import Settings
from tests.openai.test_openai_tools import PATCH, TINY

TOOLS = [TINY, PATCH, {"type": "shell"}]
USER = {"role": "user", "content": "Hi"}


def everything(_: object) -> list[TokenChunk]:
    """Thoughts, words and a call of each kind."""
    return [
        TokenChunk(reasoning="hm"),
        TokenChunk(text="Wait."),
        TokenChunk(tool_calls=(ToolCallDelta(0, '{"city":"a"}', "call_0", "mcp__tiny__lookup"),)),
        TokenChunk(tool_calls=(ToolCallDelta(1, '{"input":"b"}', "call_1", "apply_patch"),)),
        TokenChunk(tool_calls=(ToolCallDelta(2, '{"commands":["c"]}', "call_2", "shell"),)),
        TokenChunk(tokens=0, finish_reason="tool_calls", usage=Usage(5, 9)),
    ]


OUTPUTS = [
    {"type": "function_call_output", "call_id": "call_0", "output": "1"},
    {"type": "custom_tool_call_output", "call_id": "call_1", "output": "2"},
    {"type": "shell_call_output", "call_id": "call_2", "output": [{"stdout": "3", "stderr": ""}]},
]


async def make(http: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    reply = await http.post("/v1/responses", json={"model": "tiny", "tools": TOOLS, **fields})
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def count(http: httpx.AsyncClient, items: list[Any]) -> int:
    reply = await http.post("/v1/responses/input_tokens", json={"model": "tiny", "tools": TOOLS, "input": items})
    assert reply.status_code == 200, reply.text
    return int(reply.json()["input_tokens"])


@pytest.mark.parametrize("typed", [True, False])
async def test_f04_a_reference_is_the_item_itself(http: httpx.AsyncClient, fake: FakeGateway, typed: bool) -> None:
    fake.answer = everything
    kind = {"type": "item_reference"} if typed else {}
    made = await make(http, input=[USER], reasoning={"summary": "auto"})
    assert [item["type"] for item in made["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
        "shell_call",
    ]
    listed = (await http.get(f"/v1/responses/{made['id']}/input_items")).json()["data"]
    whole = [*listed, *made["output"], *OUTPUTS, {"role": "user", "content": "and?"}]
    named = [*({**kind, "id": item["id"]} for item in (*listed, *made["output"])), *whole[-4:]]
    second = await make(http, input=whole)
    third = await make(http, input=named)
    assert fake.requests[-1].input == fake.requests[-2].input
    assert await count(http, named) == await count(http, whole)
    # What was referred to is stored again: the newest response has all of it, also when the first is gone.
    assert (await http.delete(f"/v1/responses/{made['id']}")).status_code == 200
    again = [*named, *({**kind, "id": item["id"]} for item in third["output"])]
    await make(http, input=again)
    assert fake.requests[-1].input.messages[:2] == fake.requests[-2].input.messages[:2]
    stored = (await http.get(f"/v1/responses/{third['id']}/input_items?order=asc")).json()["data"]
    assert [item["id"] for item in stored[:6]] == [item["id"] for item in (*listed, *made["output"])]
    assert second["id"] != third["id"]


async def test_f04_a_reference_beside_a_previous_response_and_to_the_request_itself(
    http: httpx.AsyncClient, fake: FakeGateway
) -> None:
    made = await make(http, input="Hi")
    fake.requests.clear()
    reference = {"type": "item_reference", "id": made["output"][0]["id"]}
    await make(http, input=[reference, USER], previous_response_id=made["id"])
    assert [message.role for message in fake.requests[0].input.messages] == ["user", "assistant", "assistant", "user"]
    own = {**USER, "type": "message", "id": "msg_mine"}
    await make(http, input=[own, {"id": "msg_mine"}])
    assert [message.text for message in fake.requests[-1].input.messages] == ["Hi", "Hi"]


async def test_f04_long_conversations_by_reference_are_read_once(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    reads: list[str] = []

    class Counting(MemoryRecords):
        async def get(self, kind: str, id: str, owner: str) -> Any:
            reads.append(id)
            return await super().get(kind, id, owner)

    fake.records = Counting()
    items: list[Any] = [USER]
    for _ in range(6):
        made = await make(http, input=items)
        items += [{"type": "item_reference", "id": item["id"]} for item in made["output"]]
        items.append(USER)
    reads.clear()
    await make(http, input=items)
    assert len(reads) == 1 and len(fake.requests[-1].input.messages) == len(items)


@pytest.mark.parametrize("id", ["msg_unknown", "x", "rs_" + "0" * 32, "msg_" + "é" * 300])
async def test_f04_what_is_not_there_is_not_found(http: httpx.AsyncClient, fake: FakeGateway, id: str) -> None:
    kept = await make(http, input="Hi", store=False)
    for unknown in (id, kept["output"][0]["id"]):
        items = [USER, {"type": "item_reference", "id": unknown}]
        for path in ("/v1/responses", "/v1/responses/input_tokens"):
            reply = await http.post(path, json={"model": "tiny", "input": items})
            assert reply.status_code == 404
            assert reply.json()["error"] == {
                "message": f"Item with id '{unknown[:80]}' not found. Items are not persisted when `store` is set to "
                "false. Try again with `store` set to true, or remove this item from your input.",
                "type": "invalid_request_error",
                "param": "input",
                "code": None,
            }
    nameless = await http.post("/v1/responses", json={"model": "tiny", "input": [{"type": "item_reference"}]})
    assert (nameless.status_code, nameless.json()["error"]["param"]) == (400, "input[0].id")


async def test_f04_nobody_refers_to_items_of_another_key_or_to_expired_ones(fake: FakeGateway) -> None:
    wall = 1_000.0
    fake.records = MemoryRecords(lambda: wall)

    def authenticate(credentials: Credentials) -> Principal | None:
        return Principal(id=credentials.token, permissions=frozenset({"infer"}))

    async with (
        serving(OpenAI(Settings(), None), fake, authenticate=authenticate) as url,
        httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer alice"}) as alice,
        httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer bob"}) as bob,
    ):
        made = await make(alice, input="Hi")
        asked = {"model": "tiny", "input": [{"id": made["output"][0]["id"]}]}
        assert (await alice.post("/v1/responses", json=asked)).status_code == 200
        assert (await bob.post("/v1/responses", json=asked)).status_code == 404
        wall = 1e12
        assert (await alice.post("/v1/responses", json=asked)).status_code == 404


def test_ids_of_items_lead_to_their_response() -> None:
    response = ids.response()
    for number in (1, 2, 0xFFFF):
        assert ids.response_of(ids.item(response, "msg_", number)) == response
    assert len({ids.item(response, "msg_", number) for number in range(1, 100)}) == 99
    assert ids.response_of(ids.new("call_")) != response and ids.response_of("msg_1") is None
    assert json.dumps(ids.item("other", "rs_", 1)) != json.dumps(ids.item("other", "rs_", 1))  # random then
