"""What clients of files and batches are told when something is refused: the bytes, and the bounds that refuse."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from hyperllama.config import Batches, Keys, StaticKey
from hyperllama.models import ModelSpec

CHATS = "/v1/chat/completions"
SLOW = ModelSpec(name="sim", engine="sim", max_batch_size=4, options={"tokens_per_second": 2, "answer_tokens": 400})


def line(number: int | str, *, tokens: int = 400, pad: str = "") -> str:
    body = {"model": "sim", "messages": [{"role": "user", "content": "hi" + pad}], "max_tokens": tokens}
    return json.dumps({"custom_id": str(number), "method": "POST", "url": CHATS, "body": body}) + "\n"


def sized(size: int) -> str:
    """One line of so many bytes, that takes minutes."""
    return line(0, pad="y" * (size - len(line(0))))


async def upload(client: httpx.AsyncClient, content: str = "x") -> httpx.Response:
    return await client.post("/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", content.encode())})


async def uploaded(client: httpx.AsyncClient, content: str = "x") -> str:
    return str((await upload(client, content)).json()["id"])


async def begin(client: httpx.AsyncClient, file: str) -> httpx.Response:
    return await client.post("/batches", json={"input_file_id": file, "endpoint": CHATS, "completion_window": "24h"})


async def ended(client: httpx.AsyncClient, batch: str) -> dict[str, Any]:
    for _ in range(3000):
        found: dict[str, Any] = (await client.get(f"/batches/{batch}")).json()
        if found["status"] in ("failed", "completed", "cancelled", "expired"):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


def error(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def client_of(url: str, key: str = "none") -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{url}/v1", headers={"authorization": f"Bearer {key}"}, timeout=30)


async def test_refusals_of_files_and_batches_to_the_byte(running) -> None:
    bad = "invalid_request_error"
    long = "z" * 200
    async with running(SLOW) as (_, url), client_of(url) as client:
        file = await uploaded(client, line(0))
        batch = (await begin(client, file)).json()["id"]
        quick = (await begin(client, await uploaded(client, line(1, tokens=1)))).json()["id"]
        done = await ended(client, quick)
        assert done["status"] == "completed"
        no_file = error(f"No such File object: {long[:80]}", bad, "id", "not_found")
        no_batch = error(f"No batch found with id '{long[:80]}'.", bad, "batch_id", "not_found")
        missing = f"There is no file '{long[:80]}'."
        after = f"there is no '{long[:80]}' to go on after"
        cases = [
            (await client.get(f"/files/{long}"), 404, no_file),
            (await client.get(f"/files/{long}/content"), 404, no_file),
            (await client.delete(f"/files/{long}"), 404, no_file),
            (await client.get(f"/batches/{long}"), 404, no_batch),
            (await client.post(f"/batches/{long}/cancel"), 404, no_batch),
            (await client.get(f"/files?after={long}"), 404, error(after, bad, "after", "not_found")),
            (await client.get(f"/batches?after={long}"), 404, error(after, bad, "after", "not_found")),
            (await begin(client, long), 400, error(missing, bad, "input_file_id", None)),
            (
                await begin(client, done["output_file_id"]),
                400,
                error("The file was not uploaded with purpose 'batch'.", bad, "input_file_id", None),
            ),
            (
                await client.delete(f"/files/{file}"),
                400,
                error("A batch is being made from this file; cancel it first.", bad, "file_id", None),
            ),
            (
                await client.post(f"/batches/{quick}/cancel"),
                400,
                error("Cannot cancel a batch with status 'completed'.", bad, None, None),
            ),
        ]
        for reply, status, body in cases:
            assert (reply.status_code, json.loads(reply.content)) == (status, body), reply.request.url
        await client.post(f"/batches/{batch}/cancel")


FAULTS = [
    (
        line("a", tokens=1) + line("a", tokens=1),
        {
            "code": "duplicate_custom_id",
            "line": 2,
            "message": "The custom_id 'a' is used more than once in this file.",
            "param": "custom_id",
        },
    ),
    (
        line(0, pad="y" * 2000),
        {
            "code": "line_too_long",
            "line": 1,
            "message": "The line is longer than the 1000 bytes that it may have.",
            "param": None,
        },
    ),
    (
        "".join(line(n, tokens=1) for n in range(6)),
        {
            "code": "too_many_requests",
            "line": None,
            "message": "The file has more than 5 requests.",
            "param": None,
        },
    ),
    (
        "\n \n",
        {"code": "empty_file", "line": None, "message": "The file holds no requests.", "param": None},
    ),
]


async def test_what_is_wrong_with_an_input_file_to_the_byte(running) -> None:
    async with (
        running(batches=Batches(max_lines=5, max_line_bytes=1000)) as (_, url),
        client_of(url) as client,
    ):
        for content, fault in FAULTS:
            failed = await ended(client, (await begin(client, await uploaded(client, content))).json()["id"])
            assert failed["status"] == "failed"
            assert failed["errors"]["data"] == [fault]


async def test_an_input_file_whose_bytes_are_gone_fails_its_batch(running, tmp_path: Path) -> None:
    async with running() as (_, url), client_of(url) as client:
        file = await uploaded(client, line(0))
        (tmp_path / "files" / file).unlink()
        failed = await ended(client, (await begin(client, file)).json()["id"])
        text = "The file's content is kept by another gateway, or is gone."
        assert failed["errors"]["data"] == [{"code": "file_not_found", "line": None, "message": text, "param": None}]


async def test_every_bound_on_files_and_batches_refuses_and_lets_others_go_on(running) -> None:
    names = ("one", "two", "three")
    keys = {name: StaticKey(hash="sha256:" + hashlib.sha256(name.encode()).hexdigest()) for name in names}
    bounds = Batches(
        max_key_files=4,
        max_key_bytes=5000,
        max_bytes=9000,
        max_file_bytes=4000,
        max_open=2,
        max_all_open=3,
    )
    async with (
        running(SLOW, keys=Keys(static=keys, required=True), batches=bounds) as (_, url),
        client_of(url, "one") as one,
        client_of(url, "two") as two,
        client_of(url, "three") as three,
    ):
        too_large, big = "invalid_request_error", "request_too_large"
        reply = await upload(one, "x" * 4001)
        text = "The file is larger than the 4000 bytes that it may have."
        assert (reply.status_code, reply.json()) == (413, error(text, too_large, None, big))
        first = await uploaded(one, sized(4000))
        reply = await upload(one, "x" * 1001)
        text = "The files of this key may take 5000 bytes and do; delete some first."
        assert (reply.status_code, reply.json()) == (413, error(text, too_large, None, big))
        for _ in range(3):
            assert (await upload(one)).status_code == 200
        reply = await upload(one)
        text = "This key has 4 files, which is as many as it may have; delete some first."
        assert (reply.status_code, reply.json()) == (413, error(text, too_large, None, big))
        second = await uploaded(two, sized(4000))
        reply = await upload(three, "x" * 1500)
        text = "The gateway keeps as many bytes of files as it may; try again later."
        assert (reply.status_code, reply.json()) == (507, error(text, "server_error", None, "storage_full"))
        assert reply.headers["retry-after"] == "60"
        third = await uploaded(three, sized(900))
        assert [(await begin(one, first)).status_code for _ in range(2)] == [200, 200]
        reply = await begin(one, first)
        text = "This key has 2 batches open; wait for one to end."
        assert (reply.status_code, reply.json()) == (429, error(text, "rate_limit_error", None, "rate_limit_exceeded"))
        assert (await begin(two, second)).status_code == 200
        reply = await begin(three, third)
        text = "The gateway has as many batches open as it may; try again later."
        assert (reply.status_code, reply.json()) == (503, error(text, "server_error", None, "overloaded"))
        assert reply.headers["retry-after"] == "60"
        assert len((await one.get("/batches")).json()["data"]) == 2, "what was refused left no row"


LINES = {
    "a name no model has": {"model": "m" * 300, "messages": [{"role": "user", "content": "hi"}]},
    "NUL in the name": {"model": "a\0b", "messages": [{"role": "user", "content": "hi"}]},
    "NUL in the text": {"model": "sim", "messages": [{"role": "user", "content": "a\0b"}], "max_tokens": 1},
    "a lone surrogate": {"model": "sim\ud800", "messages": [{"role": "user", "content": "\ud800"}], "max_tokens": 1},
    "a name of a megabyte": {"model": "m" * 1_000_000, "messages": []},
}


@pytest.mark.parametrize("kept", ["sqlite", "postgresql"])
@pytest.mark.parametrize("what", list(LINES))
async def test_b4_a_batch_with_any_model_and_text_comes_to_its_end(
    running, kept: str, what: str, request: pytest.FixtureRequest
) -> None:
    database = request.getfixturevalue("empty_postgres") if kept == "postgresql" else ""
    async with running(database=database) as (app, url), client_of(url) as client:
        bad = {"custom_id": "c\0" if "NUL" in what else "c", "method": "POST", "url": CHATS, "body": LINES[what]}
        content = json.dumps(bad) + "\n" + line(1, tokens=1)
        done = await ended(client, (await begin(client, await uploaded(client, content))).json()["id"])
        if done["status"] == "failed":  # the line itself is refused
            assert [each["line"] for each in done["errors"]["data"]] == [1]
        else:
            assert done["status"] == "completed"
            counts = done["request_counts"]
            assert counts["completed"] + counts["failed"] == 2
        after = await ended(client, (await begin(client, await uploaded(client, line(2, tokens=1)))).json()["id"])
        assert after["status"] == "completed", "the next batch is not held up"
        assert app.storage.ledger.lost == 0
