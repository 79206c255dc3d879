"""Stored responses: they outlive the gateway, belong to the key that made them, and are gone when they expire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from hyperllama.app.application import create_app
from hyperllama.config import Config, PluginChoice, Store
from hyperllama.identity import Credentials, Principal
from hyperllama.models import ModelSpec
from hyperllama.spi import Record
from hyperllama.testing.fakes import FakeGateway, MemoryRecords
from hyperllama.testing.serving import serving
from hyperllama_openai.protocol import OpenAI
from hyperllama_openai.settings import Settings
from hyperllama_openai.store import KIND, ResponseStore, StoredResponse

ASK = {"model": "sim", "input": "Hi"}


def config(folder: Path) -> Config:
    return Config(
        models={"sim": ModelSpec(name="sim", engine="sim")},
        store=Store(path=str(folder)),
        plugins=PluginChoice(enabled=("openai", "sim")),
    )


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[httpx.AsyncClient]:
    """The whole application, opened and closed as a server does."""
    app = create_app(config)
    async with app.web.litestar.lifespan():
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/v1") as client:
            yield client


async def test_what_is_kept_outlives_the_gateway(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as client:
        first = (await client.post("/responses", json={**ASK, "instructions": "Be kind."})).json()
        unkept = (await client.post("/responses", json={**ASK, "store": False})).json()
        behind = (await client.post("/responses", json={**ASK, "background": True})).json()
        await client.get(f"/responses/{behind['id']}?stream=true")  # to its end
        behind = (await client.get(f"/responses/{behind['id']}")).json()
        assert behind["status"] == "completed"
    async with running(config(tmp_path)) as client:
        assert (await client.get(f"/responses/{first['id']}")).json() == first
        assert (await client.get(f"/responses/{behind['id']}")).json() == behind
        assert (await client.get(f"/responses/{unkept['id']}")).status_code == 404
        items = (await client.get(f"/responses/{first['id']}/input_items")).json()
        assert items["data"][0]["content"] == [{"type": "input_text", "text": "Hi"}]
        more = {**ASK, "previous_response_id": first["id"], "instructions": None}
        counted = (await client.post("/responses/input_tokens", json=more)).json()
        second = (await client.post("/responses", json=more)).json()
        assert second["usage"]["input_tokens"] == counted["input_tokens"] > first["usage"]["input_tokens"]
        assert (await client.delete(f"/responses/{first['id']}")).json()["deleted"] is True
    async with running(config(tmp_path)) as client:
        assert (await client.get(f"/responses/{first['id']}")).status_code == 404
        assert (await client.get(f"/responses/{second['id']}")).json() == second


@pytest.fixture
def shared() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
async def two(shared: FakeGateway) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Clients with a key each."""

    def who(credentials: Credentials) -> Principal:
        return Principal(id=credentials.token or "nobody")

    async with serving(OpenAI(Settings()), shared, authenticate=who) as url:
        ann, bob = (
            httpx.AsyncClient(base_url=f"{url}/v1", headers={"authorization": f"Bearer {key}"}, timeout=30)
            for key in ("ann", "bob")
        )
        async with ann, bob:
            yield ann, bob


async def test_a_response_is_nobody_elses(
    two: tuple[httpx.AsyncClient, httpx.AsyncClient], shared: FakeGateway
) -> None:
    ann, bob = two
    ask = {**ASK, "model": "fake"}
    shared.hold = asyncio.Event()
    behind = (await ann.post("/responses", json={**ask, "background": True, "stream": False})).json()["id"]
    shared.hold.set()
    made = (await ann.post("/responses", json=ask)).json()["id"]
    for name in (made, behind):
        refusals = [
            await bob.get(f"/responses/{name}"),
            await bob.get(f"/responses/{name}?stream=true"),
            await bob.get(f"/responses/{name}/input_items"),
            await bob.post(f"/responses/{name}/cancel"),
            await bob.delete(f"/responses/{name}"),
        ]
        assert [reply.status_code for reply in refusals] == [404] * 5
        assert {reply.json()["error"]["code"] for reply in refusals} == {"response_not_found"}
        refused = await bob.post("/responses", json={**ask, "previous_response_id": name})
        assert refused.status_code == 400
        assert refused.json()["error"] == {
            "message": f"Previous response with id '{name}' not found.",
            "type": "invalid_request_error",
            "param": "previous_response_id",
            "code": "previous_response_not_found",
        }
        assert (await ann.get(f"/responses/{name}")).status_code == 200


async def test_what_has_expired_is_not_found_and_what_a_dead_gateway_was_making_has_failed() -> None:
    now = 1000.0
    records = MemoryRecords(wall=lambda: now)
    store = ResponseStore(60.0, clock=lambda: now)
    body = msgspec.json.encode({"status": "in_progress", "error": None})
    store.put(records, "me", StoredResponse(id="a", created=now, response=body, items=b"[]", lease=now + 10))
    found = await store.get(records, "me", "a")
    assert found is not None
    assert found.response == body
    now += 20
    found = await store.get(records, "me", "a")
    assert found is not None
    assert msgspec.json.decode(found.response)["status"] == "failed"
    now += 50
    assert await store.get(records, "me", "a") is None


async def test_a_response_is_not_taken_up_before_it_is_complete(
    two: tuple[httpx.AsyncClient, httpx.AsyncClient], shared: FakeGateway
) -> None:
    ann, _ = two
    shared.hold = asyncio.Event()
    behind = (await ann.post("/responses", json={**ASK, "model": "fake", "background": True})).json()["id"]
    early = await ann.post("/responses", json={**ASK, "model": "fake", "previous_response_id": behind})
    assert (early.status_code, early.json()["error"]["param"]) == (400, "previous_response_id")
    shared.hold.set()
    await shared.until_open(0)


async def test_another_gateways_unfinished_response_is_shown_and_neither_streamed_nor_cancelled(
    two: tuple[httpx.AsyncClient, httpx.AsyncClient], shared: FakeGateway
) -> None:
    ann, _ = two
    behind = (await ann.post("/responses", json={**ASK, "model": "fake", "background": True})).json()
    await shared.until_open(0)
    running = {**behind, "status": "in_progress"}
    stored = StoredResponse(id="resp_x", created=0.0, response=msgspec.json.encode(running), items=b"[]", lease=1e12)
    shared.records.put(
        Record(kind=KIND, id="resp_x", owner="ann", created=0.0, expires=1e12, body=msgspec.msgpack.encode(stored))
    )
    assert (await ann.get("/responses/resp_x")).json()["status"] == "in_progress"
    for refused in (await ann.get("/responses/resp_x?stream=true"), await ann.post("/responses/resp_x/cancel")):
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"


def files_of(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*.db*")]


async def test_a_server_that_keeps_nothing_says_so(tmp_path: Path) -> None:
    forgetful = msgspec.structs.replace(config(tmp_path), plugin={"openai": {"response_ttl": 0}})
    async with running(forgetful) as client:
        made = (await client.post("/responses", json=ASK)).json()
        assert made["store"] is False
        assert (await client.get(f"/responses/{made['id']}")).status_code == 404
        refused = await client.post("/responses", json={**ASK, "background": True})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "background")
    assert not any(made["id"].encode() in content for content in files_of(tmp_path))
