"""Chat completions kept by ``"store": true``: read back, listed, changed and deleted by the key that made them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from hyperllama.identity import Credentials, Principal
from hyperllama.testing.fakes import FakeGateway
from hyperllama.testing.serving import serving
from hyperllama_openai.protocol import OpenAI
from hyperllama_openai.settings import Settings

MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}]


async def kept(client: openai.AsyncOpenAI, **more: Any) -> Any:
    return await client.chat.completions.create(model="tiny", messages=MESSAGES, store=True, **more)


async def test_a_kept_completion_is_read_changed_and_deleted(client: openai.AsyncOpenAI) -> None:
    chats = client.chat.completions
    made = await kept(client, metadata={"topic": "greeting"})
    found = await chats.retrieve(made.id)
    assert found.model_dump() == {**made.model_dump(), "metadata": {"topic": "greeting"}}
    changed = await chats.update(made.id, metadata={"topic": "other"})
    assert changed.metadata == {"topic": "other"}
    assert (await chats.retrieve(made.id)).choices == made.choices
    assert (await chats.delete(made.id)).model_dump() == {
        "id": made.id,
        "deleted": True,
        "object": "chat.completion.deleted",
    }
    with pytest.raises(openai.NotFoundError, match=made.id):
        await chats.retrieve(made.id)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("logprobs", [False, True])
async def test_what_is_streamed_is_kept_as_what_is_whole(client: openai.AsyncOpenAI, n: int, logprobs: bool) -> None:
    whole = await kept(client, n=n, logprobs=logprobs)
    async with await kept(client, n=n, logprobs=logprobs, stream=True) as stream:
        ids = {chunk.id async for chunk in stream}
    found = await client.chat.completions.retrieve(ids.pop())
    assert (found.choices, found.usage) == (whole.choices, whole.usage)


async def test_nothing_is_kept_without_being_asked_to(client: openai.AsyncOpenAI) -> None:
    for more in ({}, {"store": False}, {"store": None}):
        made = await client.chat.completions.create(model="tiny", messages=MESSAGES, **more)
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.retrieve(made.id)
    assert [chat async for chat in client.chat.completions.list()] == []


async def test_the_list_is_in_pages_and_filtered(client: openai.AsyncOpenAI) -> None:
    made = [(await kept(client, metadata={"turn": str(turn % 2)})).id for turn in range(5)]
    chats = client.chat.completions
    assert [chat.id async for chat in chats.list(limit=2)] == made
    assert [chat.id async for chat in chats.list(limit=2, order="desc")] == made[::-1]
    assert [chat.id async for chat in chats.list(metadata={"turn": "1"})] == made[1::2]
    assert [chat.id async for chat in chats.list(model="tiny")] == made
    assert [chat.id async for chat in chats.list(model="another")] == []
    page = await chats.list(limit=2, after=made[1])
    assert ([chat.id for chat in page.data], page.has_more) == (made[2:4], True)
    with pytest.raises(openai.NotFoundError):
        await chats.list(after="chatcmpl-none")


async def test_messages_are_listed_with_ids(client: openai.AsyncOpenAI) -> None:
    made = await kept(client)
    messages = client.chat.completions.messages
    listed = [message.model_dump(exclude_unset=True) async for message in messages.list(made.id, limit=1)]
    assert [(message["role"], message["content"]) for message in listed] == [("system", "Be kind."), ("user", "Hi")]
    assert listed[1]["content_parts"] == [{"type": "text", "text": "Hi"}]
    assert [message.id async for message in messages.list(made.id, order="desc")] == [f"{made.id}-1", f"{made.id}-0"]
    with pytest.raises(openai.BadRequestError):
        await messages.list(made.id, after="none")


@pytest.mark.parametrize(
    "metadata", ["text", ["a"], {"a": 1}, {"k" * 65: "v"}, {"k": "v" * 513}, {str(n): "" for n in range(17)}]
)
async def test_metadata_is_bounded_where_it_is_kept(http: httpx.AsyncClient, metadata: object) -> None:
    ask = {"model": "tiny", "messages": MESSAGES, "metadata": metadata}
    refused = await http.post("/v1/chat/completions", json={**ask, "store": True})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "metadata")
    assert (await http.post("/v1/chat/completions", json=ask)).status_code == 200


@pytest.fixture
async def two(fake: FakeGateway) -> AsyncIterator[tuple[openai.AsyncOpenAI, openai.AsyncOpenAI]]:
    """Clients with a key each."""

    def who(credentials: Credentials) -> Principal:
        return Principal(id=credentials.token or "nobody")

    async with serving(OpenAI(Settings()), fake, authenticate=who) as url:
        clients = [openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) for key in ("one", "two")]
        yield clients[0], clients[1]
        for client in clients:
            await client.close()


async def test_another_key_finds_nothing(two: tuple[openai.AsyncOpenAI, openai.AsyncOpenAI]) -> None:
    ours, theirs = two
    made = await kept(ours)
    chats = theirs.chat.completions
    for attempt in (
        chats.retrieve(made.id),
        chats.delete(made.id),
        chats.update(made.id, metadata={}),
        chats.messages.list(made.id),
    ):
        with pytest.raises(openai.NotFoundError):
            await attempt
    assert [chat async for chat in chats.list()] == []
    assert (await ours.chat.completions.retrieve(made.id)).id == made.id


class TestKeepsNothing:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(response_ttl=0)

    async def test_nothing_is_kept_where_the_server_keeps_nothing(self, client: openai.AsyncOpenAI) -> None:
        made = await kept(client)
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.retrieve(made.id)
