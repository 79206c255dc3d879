"""A Hub that is silent, slow or broken: pulls and loads end soon with 503, and a Hub that is well again serves."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import live
from tests.support.sick_hub import KINDS, SickHub, sick_hub

KEY = {"authorization": "Bearer root-secret"}
RIGHTS = 'permissions = ["infer", "models:read", "models:write"]'
CONFIG = """
[models.sim]
engine = "sim"
[store]
hub_timeout = 0.3
"""
LOADED = [f"cold{n}" for n in range(len(KINDS))]
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def hub() -> Iterator[SickHub]:
    with sick_hub("") as made:
        yield made


@pytest.fixture(scope="module")
def gateway(hub: SickHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Live]:
    with pytest.MonkeyPatch.context() as patch:
        folder: Path = tmp_path_factory.mktemp("hub")
        patch.setenv("HF_ENDPOINT", hub.url)
        patch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "cache"))
        models = "".join(f'[models.{name}]\nengine = "sim"\nsource = "hf:org/{name}"\n' for name in LOADED)
        plugins = '\n[plugins]\nenabled = ["sim", "openai", "ollama", "hub"]\n'
        made = live.Live(CONFIG + models + live.keys(root=RIGHTS) + plugins, folder)
        try:
            yield made
        finally:
            made.stop()


def _pull(*, stream: bool) -> dict[str, object]:
    return {"model": f"org/m{next(_NUMBERS)}", "stream": stream}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pull_from_a_hub_of_no_use_is_503_or_ends_with_a_line(gateway: live.Live, hub: SickHub, kind: str) -> None:
    hub.kind = kind
    whole = [gateway.post("/api/pull", _pull(stream=False), **KEY) for _ in range(6)]  # more than run at once
    streamed = gateway.post("/api/pull", _pull(stream=True), **KEY)
    for each in whole:
        status, headers, body = live.answer(each)
        assert status == 503, body
        assert int(headers["retry-after"]) >= 1
        assert "pull model" in json.loads(body)["error"]
    lines = [json.loads(line) for line in live.answer(streamed)[2].splitlines()]
    assert lines[0] == {"status": "pulling manifest"}
    assert "pull model" in lines[-1]["error"]
    hub.kind = ""
    status, _, body = gateway.ask("/api/pull", _pull(stream=False), **KEY)
    assert "no engine 'max'" in json.loads(body)["error"], status  # the Hub is well again, and all of it came


@pytest.mark.parametrize(("kind", "name"), list(zip(KINDS, LOADED, strict=True)))
def test_a_load_from_a_hub_of_no_use_is_503(gateway: live.Live, hub: SickHub, kind: str, name: str) -> None:
    hub.kind = kind
    chat = {"model": name, "messages": [{"role": "user", "content": "hi"}]}
    status, headers, body = gateway.ask("/v1/chat/completions", chat, **KEY)
    assert status == 503, body
    assert int(headers["retry-after"]) >= 1
    assert gateway.ask("/v1/chat/completions", {**chat, "model": "sim"}, **KEY)[0] == 200
