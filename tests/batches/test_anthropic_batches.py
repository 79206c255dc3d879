"""Anthropic's Message Batches over the running application on sim, as its own clients call them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hyperllama.config import Allowance, Batches, BodyLimits, Keys, Limits
from hyperllama.spi import BatchError
from tests.batches.test_openai_batches import key, sim

VERSION = {"anthropic-version": "2023-06-01"}
BATCHES = "/v1/messages/batches"


def client_of(url: str, who: str = "none") -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={**VERSION, "x-api-key": who}, timeout=30)


def item(custom_id: str, text: str = "Hello", **params: Any) -> dict[str, Any]:
    words = [{"role": "user", "content": text}]
    return {"custom_id": custom_id, "params": {"model": "sim", "max_tokens": 8, "messages": words, **params}}


async def begun(http: httpx.AsyncClient, *items: dict[str, Any]) -> dict[str, Any]:
    reply = await http.post(BATCHES, json={"requests": items})
    assert reply.status_code == 200, reply.text
    return reply.json()


async def reached(http: httpx.AsyncClient, batch: dict[str, Any], seen: Callable[[Any], bool]) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while not seen(batch):
            await asyncio.sleep(0.02)
            batch = (await http.get(f"{BATCHES}/{batch['id']}")).json()
    return batch


async def ended(http: httpx.AsyncClient, batch: dict[str, Any]) -> dict[str, Any]:
    return await reached(http, batch, lambda b: b["processing_status"] == "ended")


async def results(http: httpx.AsyncClient, batch: dict[str, Any]) -> dict[str, Any]:
    reply = await http.get(batch["results_url"])
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("application/x-jsonl")
    found = [json.loads(line) for line in reply.text.splitlines()]
    assert len({line["custom_id"] for line in found}) == len(found)
    return {line["custom_id"]: line["result"] for line in found}


def counts(**some: int) -> dict[str, int]:
    return {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0, **some}


@pytest.mark.parametrize("kept", ["sqlite", "postgresql"])
async def test_f_message_batches_from_creation_to_deletion(running, kept: str, request: pytest.FixtureRequest) -> None:
    database = request.getfixturevalue("empty_postgres") if kept == "postgresql" else ""
    async with running(database=database) as (_, url), client_of(url) as http:
        batch = await begun(http, *(item(f"a-{n}", f"Tell me {n}") for n in range(5)), item("lost", model="nothing"))
        assert batch["id"].startswith("msgbatch_")
        assert (batch["type"], batch["processing_status"]) == ("message_batch", "in_progress")
        assert batch["request_counts"] == counts(processing=6)
        none = ("ended_at", "archived_at", "cancel_initiated_at", "results_url")
        assert [batch[name] for name in none] == [None] * 4
        batch = await ended(http, batch)
        assert batch["request_counts"] == counts(succeeded=5, errored=1)
        assert batch["ended_at"] >= batch["created_at"] < batch["expires_at"]
        assert batch["results_url"] == f"{url}{BATCHES}/{batch['id']}/results"
        found = await results(http, batch)
        assert {name: result["type"] for name, result in found.items()} == {
            **{f"a-{n}": "succeeded" for n in range(5)},
            "lost": "errored",
        }
        alone = (await http.post("/v1/messages", json=item("a", "Tell me 3")["params"])).json()
        message = found["a-3"]["message"]
        assert {**message, "id": ""} == {**alone, "id": ""}
        refused = await http.post("/v1/messages", json=item("a", model="nothing")["params"])
        assert found["lost"]["error"] == refused.json()
        assert (await http.post(f"{BATCHES}/{batch['id']}/cancel")).status_code == 400
        gone = await http.delete(f"{BATCHES}/{batch['id']}")
        assert gone.json() == {"id": batch["id"], "type": "message_batch_deleted"}
        for path in ("", "/results"):
            missing = await http.get(f"{BATCHES}/{batch['id']}{path}")
            assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")
        assert (await http.get("/v1/files", headers={"anthropic-version": ""})).status_code == 400
        async with httpx.AsyncClient(base_url=url) as plain:
            assert (await plain.get("/v1/files")).json()["data"] == []


async def test_requests_that_messages_would_refuse_end_as_errored_with_its_refusal(running) -> None:
    bad = {
        "no-model": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1},
        "no-max": {"model": "sim", "messages": [{"role": "user", "content": "x"}]},
        "empty": {},
        "hot": item("x", temperature=7)["params"],
        "role": item("x", messages=[{"role": "robot", "content": "x"}])["params"],
        "null": {"model": None, "messages": None, "max_tokens": None},
        "number": {"model": 7, "messages": 7, "max_tokens": "7"},
        "tools": item("x", tools=[{"type": "web_search_20250305", "name": "web_search"}])["params"],
    }
    async with running() as (_, url), client_of(url) as http:
        items = [{"custom_id": name, "params": params} for name, params in bad.items()]
        streams = [item("stream", stream=True), item("no-stream", stream=False)]
        batch = await ended(http, await begun(http, *items, *streams, item("good")))
        found = await results(http, batch)
        assert batch["request_counts"] == counts(succeeded=2, errored=len(bad) + 1)
        for name, params in bad.items():
            alone = await http.post("/v1/messages", json=params)
            assert alone.status_code >= 400
            assert found[name] == {"type": "errored", "error": alone.json()}, name
        assert found["stream"]["error"]["error"]["type"] == "invalid_request_error"
        assert "stream" in found["stream"]["error"]["error"]["message"]
        assert found["no-stream"]["type"] == found["good"]["type"] == "succeeded"


REFUSED = (
    ({}, "requests: Field required"),
    ({"requests": []}, "requests:"),
    ({"requests": "x"}, "requests:"),
    ({"requests": [{"params": {}}]}, "requests.0.custom_id: Field required"),
    ({"requests": [{"custom_id": "a"}]}, "requests.0.params: Field required"),
    ({"requests": [{"custom_id": "a", "params": []}]}, "requests.0.params:"),
    ({"requests": [item("")]}, "requests.0.custom_id:"),
    ({"requests": [item("a" * 65)]}, "requests.0.custom_id:"),
    ({"requests": [item("a b")]}, "requests.0.custom_id:"),
    ({"requests": [item("a\n")]}, "requests.0.custom_id:"),
    ({"requests": [item("ä")]}, "requests.0.custom_id:"),
    ({"requests": [item("a"), item("b"), item("a")]}, "requests.2.custom_id:"),
    ({"requests": [item(f"a{n}") for n in range(6)]}, "requests: at most 5"),
    ({"requests": [item("a"), item("b", "x" * 3000)]}, "requests.1: longer than"),
)


async def test_a_batch_that_cannot_be_is_refused_and_nothing_is_kept(running) -> None:
    bounds = Batches(max_lines=5, max_line_bytes=2000)
    async with running(batches=bounds) as (_, url), client_of(url) as http:
        for body, part in REFUSED:
            reply = await http.post(BATCHES, json=body)
            assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")
            assert reply.json()["error"]["message"].startswith(part)
        async with httpx.AsyncClient(base_url=url) as plain:
            assert (await plain.get("/v1/files")).json()["data"] == []


async def test_a_batch_is_counted_as_a_body_and_its_requests_as_messages(running) -> None:
    async with running(body=BodyLimits(inputs=2, messages=2)) as (_, url), client_of(url) as http:
        over = await http.post(BATCHES, json={"requests": [item(f"a{n}") for n in range(3)]})
        assert (over.status_code, over.json()["error"]["type"]) == (400, "invalid_request_error")
        long = item("long", messages=[{"role": "user", "content": "x"}] * 3)
        batch = await ended(http, await begun(http, long, item("short")))
        found = await results(http, batch)
        assert (found["long"]["type"], found["short"]["type"]) == ("errored", "succeeded")


async def test_cancelling_ends_the_rest_as_canceled(running) -> None:
    async with (
        running(sim("sim", tokens_per_second=20, answer_tokens=400, places=2)) as (_, url),
        client_of(url) as http,
    ):
        batch = await begun(http, *(item(f"a{n}", max_tokens=400) for n in range(30)))
        early = await http.delete(f"{BATCHES}/{batch['id']}")
        assert (early.status_code, early.json()["error"]["type"]) == (400, "invalid_request_error")
        assert (await http.get(f"{BATCHES}/{batch['id']}/results")).status_code == 400
        for _ in range(2):
            cancelled = (await http.post(f"{BATCHES}/{batch['id']}/cancel")).json()
            assert cancelled["processing_status"] in ("canceling", "ended")
            if cancelled["processing_status"] == "ended":
                break
        batch = await ended(http, batch)
        assert batch["cancel_initiated_at"] is not None
        found = await results(http, batch)
        kinds = [result["type"] for result in found.values()]
        assert set(found) == {f"a{n}" for n in range(30)}
        assert kinds.count("canceled") == batch["request_counts"]["canceled"] > 20
        assert sum(batch["request_counts"].values()) == 30
        assert all(result == {"type": "canceled"} for result in found.values() if result["type"] == "canceled")


async def test_a_batch_out_of_time_ends_the_rest_as_expired(running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperllama_anthropic.routes.batches.SECONDS", 0.2)
    async with (
        running(sim("sim", tokens_per_second=20, answer_tokens=400, places=2)) as (_, url),
        client_of(url) as http,
    ):
        batch = await ended(http, await begun(http, *(item(f"a{n}", max_tokens=400) for n in range(12))))
        found = await results(http, batch)
        assert batch["request_counts"]["expired"] == sum(r == {"type": "expired"} for r in found.values()) > 6
        assert sum(batch["request_counts"].values()) == len(found) == 12


async def test_pages_go_both_ways_and_hold_no_batches_of_another_dialect(running) -> None:
    async with running() as (_, url), client_of(url) as http, httpx.AsyncClient(base_url=url) as plain:
        made = [(await begun(http, item("a")))["id"] for _ in range(5)][::-1]
        file = (await plain.post("/v1/files", files={"file": b"{}"}, data={"purpose": "batch"})).json()["id"]
        body = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        other = (await plain.post("/v1/batches", json=body)).json()["id"]
        assert [batch["id"] for batch in (await plain.get("/v1/batches")).json()["data"]] == [other]
        for path in (f"/v1/batches/{made[0]}", f"/v1/batches/{made[0]}/cancel"):
            assert (await plain.request("POST" if "cancel" in path else "GET", path)).status_code == 404
        for path in (f"{BATCHES}/{other}", f"{BATCHES}/{other}/results"):
            assert (await http.get(path)).status_code == 404
        assert (await http.delete(f"{BATCHES}/{other}")).status_code == 404

        async def page(**query: Any) -> tuple[list[str], bool]:
            found = (await http.get(BATCHES, params=query)).json()
            ids = [batch["id"] for batch in found["data"]]
            assert (found["first_id"], found["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
            return ids, found["has_more"]

        assert await page() == (made, False)
        assert await page(limit=2) == (made[:2], True)
        assert await page(limit=2, after_id=made[1]) == (made[2:4], True)
        assert await page(limit=2, after_id=made[3]) == (made[4:], False)
        assert await page(limit=2, before_id=made[3]) == (made[1:3], True)
        assert await page(limit=2, before_id=made[2]) == (made[:2], False)
        assert await page(before_id=made[0]) == ([], False)
        for query in ({"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"after_id": made[0], "before_id": made[1]}):
            refused = await http.get(BATCHES, params=query)
            assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
        for name in ("after_id", "before_id"):
            assert (await http.get(BATCHES, params={name: other})).status_code == 404


async def test_another_keys_batch_is_not_found_and_usage_is_booked_to_its_own(running) -> None:
    keys = Keys(static={"me": key("mine"), "you": key("yours")}, required=True)
    async with running(keys=keys) as (app, url), client_of(url, "mine") as mine, client_of(url, "yours") as yours:
        batch = await ended(mine, await begun(mine, item("a"), item("b")))
        at = f"{BATCHES}/{batch['id']}"
        refusals = [await yours.get(at), await yours.get(f"{at}/results"), await yours.post(f"{at}/cancel")]
        refusals += [await yours.delete(at), await yours.get(BATCHES, params={"after_id": batch["id"]})]
        assert {(reply.status_code, reply.json()["error"]["type"]) for reply in refusals} == {(404, "not_found_error")}
        assert (await yours.get(BATCHES)).json()["data"] == []
        await app.storage.ledger.write()
        (line,) = await app.storage.ledger.report(since="2000-01-01", until="9", by=("key", "model"))
        answers = (await results(mine, batch)).values()
        assert (line.key, line.model, line.requests) == ("static:me", "sim", 2)
        assert line.completion_tokens == sum(a["message"]["usage"]["output_tokens"] for a in answers)
        async with client_of(url, "wrong") as wrong:
            for reply in (await wrong.get(BATCHES), await wrong.post(BATCHES, json={"requests": [item("a")]})):
                assert (reply.status_code, reply.json()["error"]["type"]) == (401, "authentication_error")


async def test_the_owners_limits_hold_and_too_many_open_leave_no_file(running) -> None:
    limits = Limits(key=Allowance(requests="4/second"))
    async with running(limits=limits, batches=Batches(max_open=1)) as (_, url), client_of(url) as http:
        batch = await begun(http, *(item(f"a{n}") for n in range(8)))
        over = await http.post(BATCHES, json={"requests": [item("a")]})
        assert (over.status_code, over.json()["error"]["type"]) == (429, "rate_limit_error")
        async with httpx.AsyncClient(base_url=url) as plain:
            assert len((await plain.get("/v1/files")).json()["data"]) == 1
        batch = await reached(http, batch, lambda b: b["processing_status"] == "ended")
        assert batch["request_counts"] == counts(succeeded=8)


async def test_a_batch_goes_on_where_a_gateway_stopped(running) -> None:
    slow = sim("sim", tokens_per_second=50, places=2)
    async with running(slow) as (_, url), client_of(url) as http:
        batch = await begun(http, *(item(f"a{n}", max_tokens=8) for n in range(10)))
    async with running(slow) as (_, url), client_of(url) as http:
        batch = await ended(http, (await http.get(f"{BATCHES}/{batch['id']}")).json())
        assert batch["request_counts"] == counts(succeeded=10)
        assert set(await results(http, batch)) == {f"a{n}" for n in range(10)}


async def test_a_batch_that_fails_as_a_whole_has_an_error_for_each_request(running) -> None:
    slow = sim("sim", tokens_per_second=20, answer_tokens=400)
    async with running(slow, batches=Batches(running=1)) as (app, url), client_of(url) as http:
        blocker = await begun(http, *(item(f"b{n}", max_tokens=400) for n in range(4)))
        batch = await begun(http, *(item(f"a{n}", "x" * 900) for n in range(400)))
        kept = await app.storage.batches.get(batch["id"], (await _owner(app, batch["id"])))
        await app.storage.batches.fail(kept, BatchError(code="authentication_error", message="Gone."))
        batch = await ended(http, batch)
        assert batch["request_counts"] == counts(errored=400)
        error = {"type": "error", "error": {"type": "authentication_error", "message": "Gone."}}
        assert await results(http, batch) == {f"a{n}": {"type": "errored", "error": error} for n in range(400)}
        await http.post(f"{BATCHES}/{blocker['id']}/cancel")


async def _owner(app: Any, id: str) -> Any:
    for batch, principal in await app.storage.batches.due(100, 100):
        if batch.id == id:
            return principal
    raise AssertionError(id)


async def test_switched_off_the_refusal_is_anthropics(running) -> None:
    async with running(batches=Batches(enabled=False)) as (_, url), client_of(url) as http:
        for reply in (
            await http.get(BATCHES),
            await http.post(BATCHES, json={"requests": [item("a")]}),
            await http.get(f"{BATCHES}/msgbatch_1/results"),
        ):
            assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")
