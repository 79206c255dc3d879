"""The routes that change the model store, over a real socket."""

from __future__ import annotations

import json
from typing import Any

import httpx


def _error(reply: httpx.Response) -> tuple[int, str]:
    assert list(reply.json()) == ["error"]
    return reply.status_code, reply.json()["error"]


def _lines(reply: httpx.Response) -> list[dict[str, Any]]:
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.text.endswith("\n")
    return [json.loads(line) for line in reply.text[:-1].split("\n")]


def test_trap_24_the_store_has_its_own_answers(http: httpx.Client, gateway: Any, store: Any) -> None:
    copied = http.post("/api/copy", json={"source": "llama3.2", "destination": "x"})
    assert (copied.status_code, copied.content) == (200, b"")
    deleted = http.request("DELETE", "/api/delete", json={"name": "llama3.2"})
    assert (deleted.status_code, deleted.content) == (200, b"")
    assert _error(http.post("/api/copy", json={"source": "Nope", "destination": "x"})) == (
        404,
        'model "Nope" not found',
    )
    assert _error(http.post("/api/copy", json={"source": "a", "destination": "-"})) == (
        400,
        'destination "-" is invalid',
    )
    assert _error(http.request("DELETE", "/api/delete", json={"model": "Nope"})) == (404, "model 'Nope' not found")
    assert _error(http.request("DELETE", "/api/delete", json={"model": "a b"})) == (400, 'name "a b" is invalid')

    missing = "pull model manifest: file does not exist"
    assert _lines(http.post("/api/pull", json={"name": "nope"})) == [{"status": "pulling manifest"}, {"error": missing}]
    reply = http.post("/api/pull", json={"name": "nope", "stream": False})
    assert (*_error(reply), reply.headers["content-type"]) == (500, missing, "application/json")
    assert _lines(http.post("/api/pull", json={"name": "llama3.2"})) == [
        {"status": "pulling manifest"},
        {"status": "pulling dde5aa3fc5ff", "digest": "sha256:dde5aa3fc5ff", "total": 10},
        {"status": "pulling dde5aa3fc5ff", "digest": "sha256:dde5aa3fc5ff", "total": 10, "completed": 10},
        {"status": "success"},
    ]
    reply = http.post("/api/pull", json={"name": "llama3.2", "stream": False})
    assert (reply.text, reply.headers["content-type"]) == ('{"status":"success"}', "application/json")

    digest = "sha256:" + "a" * 64
    assert http.head(f"/api/blobs/{digest}").status_code == 404
    posted = [http.post(f"/api/blobs/{digest}", content=b"x" * 100_000) for _ in range(2)]
    assert [(reply.status_code, reply.content) for reply in posted] == [(201, b""), (200, b"")]
    assert store.blobs == {digest: 100_000}
    assert http.head(f"/api/blobs/{digest.replace(':', '-')}").status_code == 200
    assert http.head("/api/blobs/sha256:x").status_code == 400
    assert http.post("/api/blobs/..%2f..%2fetc", content=b"").status_code == 404
    assert _error(http.post("/api/blobs/sha256:x", content=b"")) == (400, "invalid digest format")


def test_trap_24_creating_checks_names_and_files_first(http: httpx.Client, store: Any) -> None:
    def create(**body: object) -> httpx.Response:
        return http.post("/api/create", json={"model": "new", **body})

    for path in ("/etc/passwd", "../x", "a/../../x", "C:\\x", "\\\\host\\x", ""):
        assert _error(create(files={path: "sha256:" + "a" * 64})) == (400, "file path must be relative")
    assert _error(create(files={"a.gguf": "sha256:../x"})) == (400, "invalid digest format")
    assert _error(create(draft_quantize="Q4_0")) == (400, "--draft-quantize requires a DRAFT model")
    assert _error(http.post("/api/create", json={"model": "a b"})) == (400, "invalid model name")
    assert _error(create()) == (400, "neither 'from' or 'files' was specified")
    reply = create(stream=False)
    assert (*_error(reply), reply.headers["content-type"]) == (
        400,
        "neither 'from' or 'files' was specified",
        "application/json",
    )
    assert _error(create(**{"from": "x", "remote_host": "y"})) == (400, "bad remote")
    assert _lines(create(**{"from": "llama3.2"})) == [{"status": "success"}]


def test_trap_24_a_server_without_a_store_says_so(http: httpx.Client) -> None:
    for path, body in (
        ("pull", {"model": "m"}),
        ("create", {"model": "m"}),
        ("copy", {"source": "a", "destination": "b"}),
    ):
        status, message = _error(http.post(f"/api/{path}", json=body))
        assert (status, "no model store" in message) == (501, True)
