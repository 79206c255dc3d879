"""A gateway that asks for keys, and the headers that Ollama's clients send whether or not it does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from hyperllama.app.application import create_app
from hyperllama.config import load

KEY = "hlk_of-the-test-0123456789abcdef0123456789"
SAID = {"model": "talker", "messages": [{"role": "user", "content": "hi"}], "stream": False}


@pytest.fixture(scope="module")
def keyed(
    tmp_path_factory: pytest.TempPathFactory, serving: Callable[..., AbstractContextManager[str]]
) -> Iterator[httpx.Client]:
    place = tmp_path_factory.mktemp("keyed")
    file = Path(place / "config.toml")
    file.write_text(
        f"[models.talker]\nengine = 'sim'\n[store]\npath = '{place}'\n"
        f"[keys.static.one]\nhash = 'sha256:{hashlib.sha256(KEY.encode()).hexdigest()}'\n"
    )
    with serving(create_app(load(file, {}))) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
def test_trap_29_a_key_is_taken_from_the_headers_that_users_can_set(keyed: httpx.Client, header: str) -> None:
    value = f"Bearer {KEY}" if header == "authorization" else KEY
    assert keyed.post("/api/chat", json=SAID, headers={header: value}).status_code == 200
    # What ollama-python adds from OLLAMA_API_KEY does not stand in the way of one that was set.
    if header != "authorization":
        both = {header: KEY, "authorization": ""}
        assert keyed.post("/api/chat", json=SAID, headers=both).status_code == 200


@pytest.mark.parametrize("value", ["c3NoLWVkMjU1MTk=:c2lnbmF0dXJl", "Basic dTpw", "Bearer wrong", "Bearer", ""])
def test_trap_29_what_is_no_key_is_a_401_in_ollamas_shape(keyed: httpx.Client, value: str) -> None:
    """The Go client signs its requests with a header that has no scheme, and adds a query."""
    for path in ("/api/chat?ts=1767323045", "/api/pull?ts=1"):
        reply = keyed.post(path, json=SAID, headers={"authorization": value})
        assert reply.status_code == 401
        assert list(reply.json()) == ["error"] and reply.json()["error"]
        assert reply.headers["content-type"] == "application/json; charset=utf-8"


def test_what_says_that_a_server_is_there_needs_no_key(keyed: httpx.Client) -> None:
    assert keyed.head("/").status_code == keyed.get("/api/version").status_code == 200
    assert keyed.get("/api/tags").status_code == 401


@pytest.mark.parametrize("kept", [0, "0s", -1, "-1s", "1h", 301])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/generate", {"prompt": "x"}),
        ("/api/generate", {}),
        ("/api/chat", {"messages": [{"role": "user", "content": "x"}]}),
        ("/api/chat", {"messages": []}),
        ("/api/embed", {"input": []}),
    ],
)
def test_a_key_that_may_only_ask_does_not_unload_or_pin_a_model(
    keyed: httpx.Client, path: str, body: dict[str, object], kept: object
) -> None:
    asked = {"model": "talker", "stream": False, **body, "keep_alive": kept}
    reply = keyed.post(path, json=asked, headers={"x-api-key": KEY})
    assert (reply.status_code, "models:write" in reply.json()["error"]) == (403, True)
    for less in ("5m", "1ms"):  # the configured time, and one that would unload it for everybody: the timer stays
        reply = keyed.post(path, json={**asked, "keep_alive": less}, headers={"x-api-key": KEY})
        assert reply.status_code == 200, reply.text
