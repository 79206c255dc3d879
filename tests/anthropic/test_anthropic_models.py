"""Paths that Anthropic's clients share with OpenAI's: the header ``anthropic-version`` decides whose words answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.live import Live, keys

CONFIG = """
[models.sim]
engine = "sim"
aliases = ["claude-alias", "team/other"]
max_length = 2048
[models.thinker]
engine = "sim"
[models.thinker.options]
capabilities = ["chat", "completion", "thinking"]
[models.vec]
engine = "sim"
[models.vec.options]
embedding = 4
capabilities = ["embedding"]
[keys]
required = true
[plugins]
enabled = ["sim", "openai", "ollama", "anthropic"]
"""
VERSION = {"anthropic-version": "2023-06-01", "x-api-key": "reader-secret"}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder: Path = tmp_path_factory.mktemp("models")
    who = keys(reader='permissions = ["models:read"]\n', infer='permissions = ["infer"]\n')
    found = Live(CONFIG.replace("[plugins]", who + "[plugins]"), folder)
    yield found
    found.stop()


@pytest.fixture
def http(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, headers=VERSION, timeout=30) as client:
        yield client


def refused(reply: httpx.Response, status: int, kind: str) -> None:
    assert (reply.status_code, reply.json()["type"], reply.json()["error"]["type"]) == (status, "error", kind), (
        reply.text
    )
    assert reply.headers["request-id"]


def test_models_are_anthropics_for_its_clients_and_openais_for_others(http: httpx.Client) -> None:
    found = http.get("/v1/models").json()
    names = [model["id"] for model in found["data"]]
    assert set(names) == {"sim", "claude-alias", "team/other", "thinker", "vec"}
    assert (found["has_more"], found["first_id"], found["last_id"]) == (False, names[0], names[-1])
    for model in found["data"]:
        assert (model["type"], model["display_name"], model["lifecycle"]) == ("model", model["id"], "active")
        assert STAMP.fullmatch(model["created_at"])
        assert http.get(f"/v1/models/{model['id']}").json() == model
        assert http.get(f"/anthropic/v1/models/{model['id'].replace('/', '%2F')}").json() == model
    by_name: dict[str, Any] = {model["id"]: model for model in found["data"]}
    assert by_name["sim"]["max_input_tokens"] == 2048
    assert {**by_name["sim"], "id": "", "display_name": ""} == {**by_name["team/other"], "id": "", "display_name": ""}
    able = {name: model["capabilities"] for name, model in by_name.items()}
    assert able["thinker"]["thinking"]["types"]["enabled"]["supported"]
    assert (able["sim"]["batch"]["supported"], able["vec"]["batch"]["supported"]) == (True, False)
    with httpx.Client(base_url=str(http.base_url), headers={"authorization": "Bearer reader-secret"}) as plain:
        theirs = plain.get("/v1/models").json()
        assert theirs["object"] == "list"
        assert "lifecycle" not in theirs["data"][0]
        assert plain.get("/anthropic/v1/models").json() == found


def test_pages_of_models_go_both_ways(http: httpx.Client) -> None:
    names = [model["id"] for model in http.get("/v1/models").json()["data"]]

    def page(**query: Any) -> tuple[list[str], bool]:
        found = http.get("/v1/models", params=query).json()
        return [model["id"] for model in found["data"]], found["has_more"]

    assert page(limit=2) == (names[:2], True)
    assert page(limit=2, after_id=names[1]) == (names[2:4], True)
    assert page(limit=2, after_id=names[3]) == (names[4:], False)
    assert page(limit=2, before_id=names[3]) == (names[1:3], True)
    assert page(limit=2, before_id=names[2]) == (names[:2], False)
    assert page(before_id=names[0]) == page(after_id=names[-1]) == ([], False)
    assert page(**{"lifecycle[]": "retired"}) == ([], False)
    assert page(**{"lifecycle[]": ["retired", "active"]}) == (names, False)
    for query in ({"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"after_id": "sim", "before_id": "vec"}):
        refused(http.get("/v1/models", params=query), 400, "invalid_request_error")
    refused(http.get("/v1/models", params={"after_id": "nothing"}), 404, "not_found_error")


def test_errors_on_shared_paths_are_anthropics_for_its_clients(http: httpx.Client) -> None:
    refused(http.get("/v1/models/nothing"), 404, "not_found_error")
    refused(http.get("/v1/models", headers={"x-api-key": "wrong"}), 401, "authentication_error")
    refused(http.get("/v1/models", headers={"x-api-key": "infer-secret"}), 403, "permission_error")
    refused(http.post("/v1/models", json={}), 405, "invalid_request_error")
    missing = http.get("/v1/files/a/b/c", headers={"x-api-key": "infer-secret"})
    refused(missing, 404, "not_found_error")
    assert missing.json()["error"]["message"] == "Not found: /v1/files/a/b/c"
    assert "type" not in http.get("/v1/modelsx").json()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/files"),
        ("POST", "/v1/files?beta=true"),
        ("GET", "/v1/files/file_1"),
        ("GET", "/v1/files/file_1/content"),
        ("DELETE", "/v1/files/file_1"),
    ],
)
def test_files_are_refused_in_a_sentence(http: httpx.Client, method: str, path: str) -> None:
    files = {"file": ("a.txt", b"text")} if method == "POST" else None
    reply = http.request(method, path, headers={"x-api-key": "infer-secret"}, files=files)
    refused(reply, 400, "invalid_request_error")
    assert "Files API" in reply.json()["error"]["message"]
    refused(http.request(method, path, files=files), 403, "permission_error")
