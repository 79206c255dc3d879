"""Models made of another over HTTP: the same process, and nothing of one name that another gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.live import Live

SIM = """
[models.base]
engine = "sim"
system = "You are the base."
options = { placement = "host", echo = true, load_seconds = 0.2, embedding = 8 }
[models.twin]
engine = "sim"
options = { placement = "host", echo = true, load_seconds = 0.2, embedding = 8 }
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    running = Live(SIM, tmp_path_factory.mktemp("shared"))
    for name, more in MADE.items():
        call(running, "create", model=name, **{"from": "base"}, stream=False, **more)
    call(running, "copy", source="base", destination="copied")
    call(running, "copy", source="bob", destination="robert")
    yield running
    running.stop()


MADE: dict[str, dict[str, Any]] = {
    "bob": {"system": "You are Bob."},
    "cold": {"parameters": {"stop": ["ll"]}},
    "plain": {},
}
NAMES = ("base", *MADE, "copied", "robert")


def call(live: Any, path: str, *, method: str = "POST", **body: Any) -> Any:
    status, _, answer = live.ask(f"/api/{path}", body, method=method)
    assert status == 200, answer
    return json.loads(answer) if answer else None


def chat(live: Any, name: str, **more: Any) -> Any:
    return call(live, "chat", model=name, stream=False, messages=[{"role": "user", "content": "hello"}], **more)


def unload(live: Any, *names: str) -> None:
    for name in names:
        call(live, "generate", model=name, keep_alive=0, stream=False)


def shown(live: Any) -> list[str]:
    status, _, answer = live.ask("/api/ps", {}, method="GET")
    assert status == 200
    return [model["name"].removesuffix(":latest") for model in json.loads(answer)["models"]]


@pytest.mark.parametrize("first", ["base", "robert"])
def test_b13_whichever_name_is_first_no_other_loads(live: Any, first: str) -> None:
    unload(live, *NAMES)
    assert chat(live, first)["load_duration"] > 150_000_000
    pids = {live.engine(name).pid for name in NAMES}
    assert len(pids) == 1
    for name in NAMES:
        assert chat(live, name)["load_duration"] < 100_000_000
    assert shown(live) == [first]
    assert {live.engine(name).pid for name in NAMES} == pids


def test_b13_each_name_keeps_its_own_system_and_parameters(live: Any) -> None:
    prompts = {name: call_debug(live, name) for name in NAMES}
    assert prompts["bob"] == prompts["robert"]
    assert "You are Bob." in prompts["bob"]
    assert all("You are the base." in prompts[name] for name in ("base", "plain", "copied", "cold"))
    answers = {name: chat(live, name)["message"]["content"] for name in NAMES}
    assert answers == dict.fromkeys(NAMES, "hello") | {"cold": "he"}
    counts = {name: chat(live, name)["prompt_eval_count"] for name in NAMES}
    assert counts["bob"] == counts["robert"]
    assert counts["bob"] != counts["base"] == counts["plain"] == counts["copied"]


def call_debug(live: Any, name: str) -> str:
    """The prompt as its token ids read."""
    status, _, answer = live.ask(
        "/tokenize", {"model": name, "messages": [{"role": "user", "content": "hello"}], "return_token_strs": True}
    )
    assert status == 200, answer
    return "".join(json.loads(answer)["token_strs"])


def test_b13_a_model_of_other_weights_is_a_load_of_its_own(live: Any) -> None:
    unload(live, *NAMES, "twin")
    chat(live, "base")
    assert chat(live, "twin")["load_duration"] > 150_000_000
    assert sorted(shown(live)) == ["base", "twin"]


def test_b13_a_copy_shows_the_digest_of_its_source(live: Any) -> None:
    digests = {model["name"].removesuffix(":latest"): model["digest"] for model in tags(live)}
    assert digests["copied"] == digests["base"]
    assert digests["robert"] == digests["bob"]
    assert len({digests[name] for name in ("base", "bob", "cold")}) == 3


def tags(live: Any) -> Any:
    status, _, answer = live.ask("/api/tags", {}, method="GET")
    assert status == 200
    return json.loads(answer)["models"]


def test_b13_unloading_deleting_and_renaming_a_name_leave_the_others_alone(live: Any) -> None:
    unload(live, *NAMES, "twin")
    for name in ("base", "bob"):
        chat(live, name)
    call(live, "copy", source="bob", destination="bill")
    chat(live, "bill")
    pid = live.engine("base").pid
    unload(live, "base")
    assert shown(live) == ["bob"]
    call(live, "delete", method="DELETE", model="bob")
    assert shown(live) == ["bill"]
    call(live, "copy", source="bill", destination="bob")
    assert chat(live, "bob")["load_duration"] < 100_000_000
    assert live.engine("bob").pid == pid
    call(live, "delete", method="DELETE", model="bill")
    unload(live, "bob")
    assert shown(live) == []


def test_b13_a_death_of_the_process_is_every_names_and_counts_once(live: Any) -> None:
    unload(live, *NAMES)
    for name in ("bob", "base"):
        chat(live, name)
    before = live.metrics()
    live.on_loop(lambda: live.engine("base")._fail("it was killed"))
    for name in ("base", "bob", "robert"):
        assert chat(live, name)["done"]
    after = live.metrics()

    def grown(series: str) -> float:
        return sum(after[name] - before.get(name, 0) for name in after if name.startswith(series))

    assert grown("hyperllama_engine_deaths_total") == 1
    assert grown("hyperllama_model_loads_total") == 1
    assert after['hyperllama_model_loaded{model="base"}'] == after['hyperllama_model_loaded{model="bob"}'] == 1
