"""Whatever fits the OpenAPI document, and whatever breaks parsers, sent to every route of the running gateway (S06)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks
from schemathesis.core.failures import FailureGroup

from hyperllama.testing.hostile import no_json
from hyperllama.testing.running import RunningGateway

CONFIG = """
[server]
port = 0
openapi = true
[models.sim]
engine = "sim"
max_length = 256
options = { answer_tokens = 4 }
[models.sim-embed]
engine = "sim"
options = { embedding = 4 }
"""
#: Routes that would fetch over the network, or make keys that the rest of the run would then have to show.
_LEFT_OUT = ("/api/pull", "/api/push", "/api/create", "/admin/")

checks.load_all_checks()
CHECKS = [
    checks.CHECKS.get_one(name)
    for name in ("not_a_server_error", "response_schema_conformance", "content_type_conformance")
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    running = RunningGateway.launch(tmp_path_factory.mktemp("fuzz"), CONFIG)
    running.wait_listening()
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log()


def routes(gateway: RunningGateway) -> Iterator[Any]:
    """Every operation once: aliases lead to the same code."""
    seen: set[str] = set()
    for found in schemathesis.openapi.from_url(f"{gateway.url}/openapi.json").get_all_operations():
        operation = found.ok()
        name = f"{operation.method} {operation.path.removeprefix('/v1').removeprefix('/v2')}"
        if name not in seen and not operation.path.startswith(_LEFT_OUT):
            seen.add(name)
            yield operation


@pytest.mark.parametrize("examples", [3, pytest.param(300, marks=[pytest.mark.nightly, pytest.mark.timeout(1800)])])
def test_what_fits_the_document_is_answered_as_it_says(gateway: RunningGateway, examples: int) -> None:
    count = 0
    for operation in routes(gateway):

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(timeout=30, checks=CHECKS)

        ask()
        count += 1
    assert count > 30


def test_a_document_that_lies_is_noticed(gateway: RunningGateway) -> None:
    document = httpx.get(f"{gateway.url}/openapi.json", trust_env=False).json()
    document["components"]["schemas"]["Version"]["properties"]["version"] = {"type": "integer"}
    document["servers"] = [{"url": gateway.url}]
    lying = schemathesis.openapi.from_dict(document)
    lying.config.update(base_url=gateway.url)
    with pytest.raises(FailureGroup, match="schema"):
        lying["/api/version"]["GET"].Case().call_and_validate(checks=CHECKS)


@pytest.mark.parametrize("every", [23, pytest.param(1, marks=pytest.mark.nightly)])
def test_what_breaks_parsers_breaks_no_route(gateway: RunningGateway, every: int) -> None:
    with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as http:
        paths = http.get("/openapi.json").json()["paths"]
        posts = [path for path, methods in paths.items() if "requestBody" in methods.get("post", {})]
        assert {"/api/chat", "/v1/chat/completions", "/v1/messages"} <= set(posts)
        for path, first in zip(posts, itertools.cycle(range(every))):
            for body in itertools.islice(no_json(), first, None, every):
                reply = http.post(path, content=body, headers={"content-type": "application/json"})
                assert reply.status_code < 500, (path, body[:80], reply.text[:200])
