"""``[body]`` as it is configured bounds every route that reads JSON, in every dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hyperllama.config import BodyLimits
from hyperllama.errors import InvalidRequest
from hyperllama_openai.protocol import OpenAI
from hyperllama_openai.settings import Settings
from tests.support.live import Live

CONFIG = """
[body]
containers = 20
values = 60
members = 30
inputs = 3
[models.sim]
engine = "sim"
[models.sim.options]
embedding = 4
[plugins]
enabled = ["sim", "openai", "ollama", "anthropic"]
"""
#: Values of a field that no request has; each passes one of the bounds above.
TOO_MUCH = {"containers": [[]] * 21, "values": [1] * 61, "members": {f"k{n}": 1 for n in range(31)}}
INPUTS = {
    "/v1/embeddings": {"input": ["a"] * 4},
    "/v1/completions": {"prompt": ["a"] * 4},
    "/v1/rerank": {"query": "q", "documents": ["a"] * 4},
    "/v1/score": {"text_1": "q", "text_2": ["a"] * 4},
    "/api/embed": {"input": ["a"] * 4},
    "/v1/messages/batches": {"requests": [{"custom_id": f"a{n}", "params": {}} for n in range(4)]},
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    found = Live(CONFIG, tmp_path_factory.mktemp("bounds"))
    yield found
    found.stop()


def _routes(live: Live) -> set[tuple[str, str]]:
    """Return method and path of each route of the dialects that takes a JSON body."""
    found = set()
    for route in live.app.web.litestar.routes:
        for handler in getattr(route, "route_handlers", ()):
            if handler.opt.get("accepts") is not None and "/admin/" not in route.path:
                found |= {(method, route.path.replace("{", "").replace(":str}", "")) for method in handler.http_methods}
    return found


def test_every_route_of_every_dialect_keeps_to_the_configured_bounds(live: Live) -> None:
    routes = _routes(live)
    assert {path.split("/")[1] for _, path in routes} >= {"v1", "api", "tokenize", "rerank"} and len(routes) > 30
    wrong = []
    for method, path in sorted(routes):
        for bound, value in TOO_MUCH.items():
            status, _, answer = live.ask(path, {"model": "sim", "x": value}, method=method)
            if status != 400 or b"too many values" not in answer:
                wrong.append(f"{method} {path} {bound}: {status} {answer[:80]!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("path", "body"), INPUTS.items())
def test_inputs_are_counted_in_every_dialect(live: Live, path: str, body: dict[str, Any]) -> None:
    status, _, answer = live.ask(path, {"model": "sim", **body})
    assert (status, b"at most 3" in answer) == (400, True), answer


def test_lines_of_a_batch_keep_to_the_configured_bounds() -> None:
    dialect = OpenAI(Settings(), limits=BodyLimits(containers=20))
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "x": [[]] * 21}}
    with pytest.raises(InvalidRequest, match="at most 20 arrays and objects"):
        dialect.batch_line(json.dumps(line).encode(), "/v1/chat/completions")
