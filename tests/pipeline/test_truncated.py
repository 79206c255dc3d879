"""What a prompt or an input lost so that it fits its context is counted, not silent."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from hyperllama.catalog.catalog import Catalog
from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.generation import GenerationRequest
from hyperllama.identity import LOCAL, Caller, Principal
from hyperllama.messages import Prompt
from hyperllama.pipeline.pipeline import Pipeline
from hyperllama.spi import Call, Embeds
from hyperllama.stream import TokenStream, collect
from tests.support.fake_engine import FakeEngine, FakeModel, answer

CALLER = Caller(protocol="test", principal=LOCAL, request_id="r1")
REQUEST = GenerationRequest(model="a", input=Prompt("hello"))


class Seen:
    def __init__(self) -> None:
        self.calls: list[Call] = []

    def finished(self, call: Call) -> None:
        self.calls.append(call)


async def test_messages_that_a_protocol_left_out_are_on_the_call(
    make_catalog: Callable[..., Catalog], engine: FakeEngine
) -> None:
    catalog, seen = make_catalog(), Seen()
    pipeline = Pipeline(catalog, observers=[seen])
    for request in (REQUEST, replace(REQUEST, truncated=3)):
        stream = await pipeline.generate(request, CALLER, catalog.find("a"))
        answer(engine.models[0].queues[-1], "x")
        await collect(stream)
    assert [call.truncated for call in seen.calls] == [0, 3]


async def test_inputs_that_an_engine_cut_are_on_the_call(
    make_catalog: Callable[..., Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, seen = make_catalog(), Seen()
    monkeypatch.setattr(FakeModel, "embed", FakeModel.generate, raising=False)  # one that can

    async def embed(_: Embeds, request: EmbeddingRequest) -> Embeddings:
        return Embeddings((b"",) * 3, 9, cut=(True, False, True))

    request = EmbeddingRequest(model="a", inputs=("x", "y", "z"))
    await Pipeline(catalog, observers=[seen]).embed(request, CALLER, catalog.find("a"), embed)
    assert [call.truncated for call in seen.calls] == [2]


async def test_an_engine_is_told_whose_prompt_it_is(
    make_catalog: Callable[..., Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, told = make_catalog(), []
    generate = FakeModel.generate

    async def noted(model: FakeModel, request: GenerationRequest) -> TokenStream:
        told.append(request.tenant)
        return await generate(model, request)

    monkeypatch.setattr(FakeModel, "generate", noted)
    pipeline = Pipeline(catalog)
    for principal in (Principal(id="k1", owner="team"), Principal(id="k2", owner="team"), Principal(id="k3")):
        caller = replace(CALLER, principal=principal)
        await (await pipeline.generate(REQUEST, caller, catalog.find("a"))).aclose()
    assert told == ["team", "team", "k3"]
