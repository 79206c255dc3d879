"""OpenAI's own client with files and batches, against the running application on sim."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from hyperllama.config import Allowance, Batches, Keys, Limits, StaticKey
from hyperllama.identity import Principal
from hyperllama.models import ModelSpec


def client_of(url: str, key: str = "none") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def jsonl(*lines: dict[str, Any] | str) -> bytes:
    return "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines).encode()


def chat(number: int | str, model: str = "sim", **body: Any) -> dict[str, Any]:
    words = [{"role": "user", "content": f"Tell me about {number}."}]
    body = {"model": model, "messages": words, "max_tokens": 8, **body}
    return {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


async def begun(
    client: openai.AsyncOpenAI, *lines: dict[str, Any] | str, endpoint: str = "/v1/chat/completions"
) -> Any:
    """A batch of these lines."""
    file = await client.files.create(file=("in.jsonl", jsonl(*lines)), purpose="batch")
    return await client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")


async def ended(client: openai.AsyncOpenAI, batch: Any, seconds: float = 30.0) -> Any:
    """The batch once it is in a state that it does not leave."""
    return await reached(client, batch, lambda b: b.status in ("failed", "completed", "expired", "cancelled"), seconds)


async def lines_of(client: openai.AsyncOpenAI, file: str | None) -> list[dict[str, Any]]:
    if file is None:
        return []
    return [json.loads(line) for line in (await client.files.content(file)).text.splitlines()]


def sim(name: str, **options: Any) -> ModelSpec:
    places = options.pop("places", 8)
    return ModelSpec(name=name, engine="sim", max_batch_size=places, options=options)


async def reached(client: openai.AsyncOpenAI, batch: Any, seen: Callable[[Any], bool], seconds: float = 30.0) -> Any:
    """The batch once ``seen`` is true of it."""
    async with asyncio.timeout(seconds):
        while not seen(batch):
            await asyncio.sleep(0.02)
            batch = await client.batches.retrieve(batch.id)
    return batch


def key(secret: str, **fields) -> StaticKey:
    return StaticKey(hash="sha256:" + hashlib.sha256(secret.encode()).hexdigest(), **fields)


@pytest.mark.parametrize("kept", ["sqlite", "postgresql"])
async def test_a_batch_from_upload_to_results(running, kept: str, request: pytest.FixtureRequest) -> None:
    database = request.getfixturevalue("empty_postgres") if kept == "postgresql" else ""
    async with running(database=database) as (_, url), client_of(url) as client:
        file = await client.files.create(file=io.BytesIO(jsonl(*(chat(n) for n in range(20)))), purpose="batch")
        assert (file.object, file.purpose, file.status) == ("file", "batch", "processed")
        assert file.expires_at - file.created_at == 30 * 86_400
        assert [each.id async for each in client.files.list()] == [file.id]
        assert (await client.files.retrieve(file.id)) == file
        batch = await client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"who": "me"},
        )
        assert (batch.object, batch.status, batch.metadata) == ("batch", "validating", {"who": "me"})
        assert batch.expires_at - batch.created_at == 86_400
        done = await ended(client, batch)
        assert (done.status, done.error_file_id, done.errors, done.model) == ("completed", None, None, "sim")
        assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (20, 20, 0)
        assert done.created_at <= done.in_progress_at <= done.finalizing_at <= done.completed_at
        results = await lines_of(client, done.output_file_id)
        assert [result["custom_id"] for result in results] == [f"line-{n}" for n in range(20)]
        assert len({result["id"] for result in results}) == 20
        for result in results:
            assert result["error"] is None
            assert result["response"]["status_code"] == 200
            assert result["response"]["request_id"].startswith("req_")
        bodies = [result["response"]["body"] for result in results]
        online = await client.chat.completions.create(**chat(7)["body"])
        assert bodies[7]["choices"] == online.model_dump(exclude_unset=True)["choices"]
        assert done.usage.input_tokens == sum(body["usage"]["prompt_tokens"] for body in bodies)
        assert done.usage.output_tokens == sum(body["usage"]["completion_tokens"] for body in bodies) > 0
        assert [each.id async for each in client.batches.list(limit=1)] == [batch.id]
        made = await client.files.retrieve(done.output_file_id)
        assert (made.purpose, made.filename) == ("batch_output", f"{batch.id}_output.jsonl")
        assert made.bytes == len((await client.files.content(made.id)).content)
        assert (await client.files.delete(file.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.files.content(file.id)


async def test_what_a_batch_used_is_booked_to_its_key(running) -> None:
    keys = Keys(static={"me": key("mine")}, required=True)
    async with running(keys=keys) as (app, url), client_of(url, "mine") as client:
        batch = await ended(client, await begun(client, *(chat(n) for n in range(5))))
        await app.storage.ledger.write()
        (line,) = await app.storage.ledger.report(since="2000-01-01", until="9", by=("key", "model"))
        assert (line.key, line.model, line.requests) == ("static:me", "sim", 5)
        assert line.prompt_tokens == batch.usage.input_tokens


async def test_one_keys_long_batches_do_not_hold_up_anothers(running) -> None:
    keys = Keys(static={"many": key("many"), "one": key("one")}, required=True)
    slow = sim("sim", places=64, tokens_per_second=2)
    settings = Batches(running=2, concurrency=4)
    async with AsyncExitStack() as stack:
        _, url = await stack.enter_async_context(running(slow, keys=keys, batches=settings))
        many, one = [await stack.enter_async_context(client_of(url, who)) for who in ("many", "one")]
        long = [await begun(many, *(chat(n, max_tokens=200) for n in range(4))) for _ in range(3)]
        await reached(many, long[0], lambda batch: batch.status == "in_progress")
        assert (await ended(one, await begun(one, chat(1, max_tokens=1)))).status == "completed"
        found = [(await many.batches.retrieve(batch.id)).status for batch in long]
        assert found == ["in_progress", "validating", "validating"]
        for batch in long:
            await many.batches.cancel(batch.id)


ENDPOINTS = [
    ("/v1/completions", {"model": "sim", "prompt": "once", "max_tokens": 4}),
    ("/v1/embeddings", {"model": "vec", "input": ["a", "b"]}),
    ("/v1/responses", {"model": "sim", "input": "hello", "max_output_tokens": 16}),
]


async def test_every_endpoint_has_batches(running) -> None:
    async with running() as (_, url), client_of(url) as client:
        for endpoint, body in ENDPOINTS:
            line = {"custom_id": "one", "method": "POST", "url": endpoint, "body": body}
            batch = await ended(client, await begun(client, line, endpoint=endpoint))
            (result,) = await lines_of(client, batch.output_file_id)
            assert batch.status == "completed"
            assert result["response"]["body"]["model"] == body["model"]
            assert batch.usage.input_tokens > 0


async def test_lines_that_fail_are_in_the_error_file_and_the_others_are_not(running) -> None:
    async with running() as (_, url), client_of(url) as client:
        lines = (chat(0), chat("gone", model="nobody"), chat("hot", temperature="very"), chat(1))
        batch = await ended(client, await begun(client, *lines))
        assert batch.status == "completed"
        assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 2)
        wrong = await lines_of(client, batch.error_file_id)
        assert [line["custom_id"] for line in wrong] == ["line-gone", "line-hot"]
        assert [line["response"]["status_code"] for line in wrong] == [404, 400]
        assert wrong[0]["response"]["body"]["error"]["code"] == "model_not_found"
        assert wrong[1]["response"]["body"]["error"]["param"] == "temperature"
        assert [line["custom_id"] for line in await lines_of(client, batch.output_file_id)] == ["line-0", "line-1"]


BAD_FILES = [
    (("{",), "invalid_json_line", 1, None),
    (("[]",), "invalid_json_line", 1, None),
    ((chat(0), "", chat(1), chat(0)), "duplicate_custom_id", 4, "custom_id"),
    (({**chat(0), "custom_id": 7},), "missing_required_parameter", 1, "custom_id"),
    (({**chat(0), "method": "GET"},), "invalid_method", 1, "method"),
    (({**chat(0), "url": "/v1/embeddings"},), "invalid_url", 1, "url"),
    (({**chat(0), "body": "x"},), "invalid_type", 1, "body"),
    ((chat(0, model=""),), "missing_required_parameter", 1, "body.model"),
    ((chat(0, stream=True),), "invalid_value", 1, "body.stream"),
    (("", "  "), "empty_file", None, None),
    (tuple(chat(n) for n in range(6)), "too_many_requests", None, None),
]


async def test_an_input_file_that_cannot_be_is_failed_with_the_line(running) -> None:
    async with running(batches=Batches(max_lines=5)) as (_, url), client_of(url) as client:
        made = [await begun(client, *lines) for lines, *_ in BAD_FILES]
        for batch, (_, code, number, param) in zip(made, BAD_FILES, strict=True):
            failed = await ended(client, batch)
            assert (failed.status, failed.output_file_id) == ("failed", None)
            assert failed.failed_at is not None
            assert [(e.code, e.line, e.param) for e in failed.errors.data] == [(code, number, param)]


async def test_others_find_neither_files_nor_batches(running) -> None:
    keys = Keys(static={"me": key("mine"), "you": key("yours")}, required=True)
    async with running(keys=keys) as (_, url), client_of(url, "mine") as me, client_of(url, "yours") as you:
        batch = await ended(me, await begun(me, chat(0)))
        for ask in (
            lambda: you.files.retrieve(batch.input_file_id),
            lambda: you.files.content(batch.output_file_id),
            lambda: you.files.delete(batch.input_file_id),
            lambda: you.batches.retrieve(batch.id),
            lambda: you.batches.cancel(batch.id),
            lambda: you.files.list(after=batch.input_file_id),
        ):
            with pytest.raises(openai.NotFoundError):
                await ask()
        with pytest.raises(openai.BadRequestError) as refused:
            await you.batches.create(
                input_file_id=batch.input_file_id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        assert refused.value.param == "input_file_id"
        assert [each async for each in you.files.list()] == [] == [each async for each in you.batches.list()]


async def test_cancelling_keeps_what_is_done_and_ends_soon(running) -> None:
    slow = sim("sim", places=4, tokens_per_second=20, answer_tokens=400)
    async with running(slow) as (_, url), client_of(url) as client:
        quick = [chat(n, max_tokens=1) for n in range(3)]
        batch = await begun(client, *quick, *(chat(f"slow-{n}", max_tokens=400) for n in range(40)))
        await reached(client, batch, lambda b: b.request_counts.completed >= 3)
        batch = await client.batches.cancel(batch.id)
        assert batch.status == "cancelling"
        batch = await ended(client, batch, seconds=10)
        assert batch.status == "cancelled"
        assert batch.cancelling_at <= batch.cancelled_at
        assert [line["custom_id"] for line in await lines_of(client, batch.output_file_id)] == [
            f"line-{n}" for n in range(3)
        ]
        with pytest.raises(openai.BadRequestError, match="cancelled"):
            await client.batches.cancel(batch.id)


async def test_a_batch_out_of_time_says_so_for_each_line_it_did_not_reach(running, monkeypatch) -> None:
    from hyperllama_openai.routes import batches as routes

    monkeypatch.setitem(routes.WINDOWS, "24h", 1.0)
    slow = sim("sim", places=4, tokens_per_second=20, answer_tokens=400)
    async with running(slow) as (_, url), client_of(url) as client:
        lines = [chat(0, max_tokens=1), *(chat(f"slow-{n}", max_tokens=400) for n in range(80))]
        batch = await ended(client, await begun(client, *lines))
        assert (batch.status, batch.completed_at) == ("expired", None)
        assert batch.request_counts.completed + batch.request_counts.failed == batch.request_counts.total == 81
        unrun = await lines_of(client, batch.error_file_id)
        assert len(unrun) == batch.request_counts.failed >= 80 - 1
        assert {(line["response"], line["error"]["code"]) for line in unrun} == {(None, "batch_expired")}


async def test_the_owners_limits_hold_and_the_batch_waits_for_them(running) -> None:
    limits = Limits(key=Allowance(requests="4/second"))
    async with running(limits=limits) as (_, url), client_of(url) as client:
        batch = await ended(client, await begun(client, *(chat(n) for n in range(10))))
        assert (batch.status, batch.request_counts.completed) == ("completed", 10)
        assert batch.completed_at - batch.in_progress_at >= 1  # 10 at 4 a second


async def test_a_revoked_key_runs_nothing_more(running, tmp_path) -> None:
    slow = sim("sim", places=4, tokens_per_second=50, answer_tokens=400)
    async with running(slow) as (app, url):
        store = await app.web.authenticator.key_cache.store()
        from hyperllama.database.key_store import Key

        issued = await store.create(Key(name="gone"), actor="test")
        async with client_of(url, issued.secret) as client:
            batch = await begun(client, *(chat(n, max_tokens=400) for n in range(40)))
            await reached(client, batch, lambda b: b.status == "in_progress")
        await store.revoke("gone", actor="test")
        asked = lambda: app.storage.batches.get(batch.id, Principal(id=issued.key.id))  # noqa: E731
        async with asyncio.timeout(10):
            while (found := await asked()).status != "failed":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert found.errors[0].code == "invalid_api_key"
        assert app.pipeline.live == 0


async def test_clients_who_come_meanwhile_go_first(running) -> None:
    slow = sim("sim", places=4, tokens_per_second=100, answer_tokens=100)
    async with running(slow, batches=Batches(concurrency=16)) as (_, url), client_of(url) as client:
        batch = await begun(client, *(chat(n, max_tokens=50) for n in range(60)))
        await reached(client, batch, lambda b: b.request_counts.completed >= 4)
        asked = [client.chat.completions.create(**chat(n, max_tokens=50)["body"]) for n in range(12)]
        await asyncio.gather(*asked)
        left = (await client.batches.retrieve(batch.id)).request_counts
        assert left.completed < 4 + 16 + 12  # those under way, and the lowest class's share of turns
        await client.batches.cancel(batch.id)
        await ended(client, batch)


async def test_uploads_are_bounded_and_leave_nothing_when_refused(running, tmp_path: Path) -> None:
    bounds = Batches(max_file_bytes=5000, max_key_bytes=8000)
    async with running(batches=bounds) as (_, url), client_of(url) as client, httpx.AsyncClient(base_url=url) as raw:
        with pytest.raises(openai.APIStatusError) as large:
            await client.files.create(file=("a.jsonl", b"x" * 5001), purpose="batch")
        assert large.value.status_code == 413
        kept = await client.files.create(file=("../../etc/a\tb/../c;d.jsonl", b"x" * 5000), purpose="batch")
        assert kept.filename == "c;d.jsonl"
        with pytest.raises(openai.APIStatusError, match="delete some first"):
            await client.files.create(file=("b.jsonl", b"x" * 4000), purpose="batch")
        for form, param in (
            ({"files": {"file": b"x"}}, "purpose"),
            ({"files": {"file": b"x"}, "data": {"purpose": "no_such"}}, "purpose"),
            ({"files": {"other": b"x"}, "data": {"purpose": "batch"}}, "file"),
            ({"files": {"file": b"x"}, "data": {"purpose": "batch", "expires_after[seconds]": "9"}}, None),
            ({"json": {"purpose": "batch"}}, None),
            ({"content": b"--b\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=b"}}, None),
        ):
            refused = await raw.post("/v1/files", **form)
            assert refused.status_code == 400, refused.text
            assert param is None or refused.json()["error"]["param"] == param
        names = {path.name for path in (tmp_path / "files").iterdir()}
        assert {name for name in names if not name.startswith(".") and name != "runner.lock"} == {kept.id}
        assert not any(name.startswith(".tmp-") for name in names)
        asked = {"input_file_id": kept.id, "endpoint": "/v1/moderations", "completion_window": "24h"}
        assert (await raw.post("/v1/batches", json=asked)).json()["error"]["param"] == "endpoint"
        asked |= {"endpoint": "/v1/embeddings", "completion_window": "1h"}
        assert (await raw.post("/v1/batches", json=asked)).json()["error"]["param"] == "completion_window"


async def test_one_of_several_gateways_runs_batches_and_another_takes_over(running) -> None:
    first = AsyncExitStack()
    async with first:
        await first.enter_async_context(running())
        async with running() as (_, url), client_of(url) as client:
            batch = await ended(client, await begun(client, chat(0)))  # the first, which has the lock, runs it
            assert batch.status == "completed"
            await first.aclose()
            batch = await ended(client, await begun(client, chat(1)))
            assert batch.status == "completed"


async def test_switched_off_there_are_neither_files_nor_batches(running) -> None:
    async with running(batches=Batches(enabled=False)) as (_, url), client_of(url) as client:
        with pytest.raises(openai.BadRequestError):
            await client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
        with pytest.raises(openai.BadRequestError):
            await client.batches.list()
