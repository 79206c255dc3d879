"""Options of a host that runs the fake worker, and requests to it."""

from __future__ import annotations

from typing import Any

from hyperllama.generation import GenerationRequest, Sampling
from hyperllama.host.process import HostOptions
from hyperllama.messages import Prompt
from tests.support.paths import ROOT


def request(tokens: int = 10, **sampling: Any) -> GenerationRequest:
    return GenerationRequest(model="m", input=Prompt("hello"), sampling=Sampling(max_tokens=tokens, **sampling))


def options(**changes: Any) -> HostOptions:
    return HostOptions(factory="tests.support.fake_worker:FakeWorker", environment={"PYTHONPATH": str(ROOT)}, **changes)
