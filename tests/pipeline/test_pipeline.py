"""One request's walk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from hyperllama.catalog.catalog import Catalog
from hyperllama.errors import Draining, EngineFailed, InvalidRequest, RateLimited
from hyperllama.generation import GenerationRequest, TokenChunk
from hyperllama.identity import LOCAL, Caller, Principal
from hyperllama.messages import Prompt
from hyperllama.models import ModelSpec
from hyperllama.pipeline.gateway import LocalGateway
from hyperllama.pipeline.pipeline import Pipeline
from hyperllama.spi import Call, CallNext
from hyperllama.stream import TokenStream, collect
from tests.support.fake_engine import FakeEngine, answer

CALLER = Caller(protocol="test", principal=LOCAL, request_id="r1")
REQUEST = GenerationRequest(model="a", input=Prompt("hello"))

MakeCatalog = Callable[..., Catalog]


class Gate:
    """Counts who is inside."""

    order = 1

    def __init__(self) -> None:
        self.inside = 0
        self.refuse = False

    async def enter(self, call: Call) -> None:
        if self.refuse:
            raise RateLimited("too many", retry_after=1)
        self.inside += 1
        call.on_finish.append(self._leave)

    async def _leave(self, call: Call) -> None:
        self.inside -= 1


class Seen:
    def __init__(self) -> None:
        self.calls: list[Call] = []

    def finished(self, call: Call) -> None:
        self.calls.append(call)


async def test_the_last_chunk_carries_usage_and_timings(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    gateway = LocalGateway(catalog := make_catalog(), Pipeline(catalog))
    stream = await gateway.generate(REQUEST, CALLER)
    answer(engine.models[0].queues[0], "Hello", " there")
    whole = await collect(stream)
    assert whole.text == "Hello there"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (3, 2)
    assert whole.timings.total >= whole.timings.load > 0
    assert whole.timings.total >= whole.timings.prompt + whole.timings.generate


async def test_leaving_before_the_first_token_gives_everything_back(
    make_catalog: MakeCatalog, engine: FakeEngine
) -> None:
    gate, seen = Gate(), Seen()
    catalog = make_catalog()
    pipeline = Pipeline(catalog, gates=[gate], observers=[seen])
    stream = await LocalGateway(catalog, pipeline).generate(REQUEST, CALLER)
    assert gate.inside == 1
    await stream.aclose()
    assert (gate.inside, pipeline.live) == (0, 0)
    assert engine.models[0].cancelled == engine.models[0].queues
    assert [call.outcome for call in seen.calls] == ["cancelled"]
    await stream.aclose()
    assert len(seen.calls) == 1


async def test_everything_is_given_back_before_the_client_has_read_the_end(
    make_catalog: MakeCatalog, engine: FakeEngine
) -> None:
    gate, seen = Gate(), Seen()
    catalog = make_catalog()
    stream = await LocalGateway(catalog, Pipeline(catalog, gates=[gate], observers=[seen])).generate(REQUEST, CALLER)
    answer(engine.models[0].queues[0], "x")
    chunks = await stream.batch()
    assert chunks[-1].finish_reason == "stop"
    assert gate.inside == 0
    assert seen.calls[0].outcome == "finished"
    assert catalog.running()[0][1].active == 0
    assert await stream.batch() == ()


async def test_a_gate_refuses_before_the_model_is_loaded(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    gate, seen = Gate(), Seen()
    gate.refuse = True
    catalog = make_catalog()
    with pytest.raises(RateLimited):
        await LocalGateway(catalog, Pipeline(catalog, gates=[gate], observers=[seen])).generate(REQUEST, CALLER)
    assert engine.loads == 0
    assert seen.calls[0].outcome == "refused"


async def test_a_death_mid_stream_is_an_error_after_what_was_read(
    make_catalog: MakeCatalog, engine: FakeEngine
) -> None:
    gate = Gate()
    catalog = make_catalog()
    stream = await LocalGateway(catalog, Pipeline(catalog, gates=[gate])).generate(REQUEST, CALLER)
    queue = engine.models[0].queues[0]
    queue.put(TokenChunk(text="Hel"))
    queue.fail(EngineFailed("the engine stopped"))
    assert (await stream.batch())[0].text == "Hel"
    with pytest.raises(EngineFailed):
        await stream.batch()
    assert gate.inside == 0


async def test_a_foreign_exception_becomes_an_engine_failure_without_its_text(
    make_catalog: MakeCatalog, engine: FakeEngine
) -> None:
    catalog = make_catalog()
    stream = await LocalGateway(catalog, Pipeline(catalog)).generate(REQUEST, CALLER)
    engine.models[0].queues[0].fail(RuntimeError("secret detail"))
    with pytest.raises(EngineFailed) as caught:
        await stream.batch()
    assert "secret" not in caught.value.message


async def test_a_stream_that_just_ends_is_an_error(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    catalog = make_catalog()
    stream = await LocalGateway(catalog, Pipeline(catalog)).generate(REQUEST, CALLER)
    await engine.models[0].queues[0].aclose()
    with pytest.raises(EngineFailed, match="without finishing"):
        await stream.batch()


async def test_a_request_present_at_two_deaths_is_not_let_in_again(
    make_catalog: MakeCatalog, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperllama.catalog.instance.BACKOFF", (0.0, 0.0))
    catalog = make_catalog()
    gateway = LocalGateway(catalog, Pipeline(catalog))
    for _ in range(2):
        stream = await gateway.generate(REQUEST, CALLER)
        engine.models[-1].die()
        with pytest.raises(EngineFailed):
            await stream.batch()
    with pytest.raises(InvalidRequest, match="so it is refused"):
        await gateway.generate(REQUEST, CALLER)
    other = GenerationRequest(model="a", input=Prompt("something else"))
    await (await gateway.generate(other, CALLER)).aclose()


async def test_a_request_that_failed_in_a_living_engine_may_come_again(
    make_catalog: MakeCatalog, engine: FakeEngine
) -> None:
    catalog = make_catalog()
    gateway = LocalGateway(catalog, Pipeline(catalog))
    for _ in range(3):
        stream = await gateway.generate(REQUEST, CALLER)
        engine.models[0].queues[-1].fail(EngineFailed("a neighbour broke the step"))
        with pytest.raises(EngineFailed):
            await stream.batch()
    await (await gateway.generate(REQUEST, CALLER)).aclose()


async def test_stopping_refuses_new_work_and_can_end_what_runs(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    catalog = make_catalog()
    pipeline = Pipeline(catalog)
    gateway = LocalGateway(catalog, pipeline)
    stream = await gateway.generate(REQUEST, CALLER)
    pipeline.refuse()
    with pytest.raises(Draining):
        await gateway.generate(REQUEST, CALLER)
    reading = asyncio.ensure_future(stream.batch())
    await asyncio.sleep(0)
    pipeline.abort()
    with pytest.raises(Draining, match="cut short"):
        await reading
    assert engine.models[0].cancelled
    assert pipeline.live == 0


async def test_stages_wrap_the_stream_in_order(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    order: list[str] = []

    class Stage:
        def __init__(self, name: str) -> None:
            self.order = 1
            self.name = name

        async def __call__(self, call: Call, call_next: CallNext) -> TokenStream:
            order.append(self.name)
            return await call_next(call)

    catalog = make_catalog()
    stream = await LocalGateway(catalog, Pipeline(catalog, stages=[Stage("outer"), Stage("inner")])).generate(
        REQUEST, CALLER
    )
    assert order == ["outer", "inner"]
    await stream.aclose()


async def test_a_model_the_caller_may_not_use_is_not_found(make_catalog: MakeCatalog) -> None:
    catalog = make_catalog(ModelSpec(name="a", engine="fake"), ModelSpec(name="b", engine="fake"))
    gateway = LocalGateway(catalog, Pipeline(catalog))
    principal = Principal(id="p", models=("b*",))
    assert [info.name for info in gateway.models(principal)] == ["b"]
    with pytest.raises(Exception, match="model 'a' not found"):
        gateway.model("a", principal)
