"""Whatever a plugin raises, wherever it does, everything a call holds is given back, once, and the next call runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from hyperllama.catalog.catalog import Catalog
from hyperllama.config import Allowance, Limits, Queue
from hyperllama.errors import EngineFailed, InvalidRequest
from hyperllama.generation import GenerationRequest, TokenChunk
from hyperllama.identity import LOCAL, Caller
from hyperllama.limits.rate_limits import RateLimits
from hyperllama.messages import Prompt
from hyperllama.pipeline.pipeline import Pipeline
from hyperllama.queue.queue import FairQueue
from hyperllama.spi import Call, CallNext
from hyperllama.stream import TokenStream

POINTS = (
    *("enter", "on_finish", "on_finish late", "before stage", "after stage", "factory", "transform", "observer"),
    *("stream batch", "stream close"),
)
ERRORS = (ValueError, StopIteration, InvalidRequest, asyncio.CancelledError, GeneratorExit, BaseException)


class Evil:
    """A gate, a stage, a transform and an observer that raises at one point."""

    order = 150

    def __init__(self) -> None:
        self.point = ""
        self.error: type[BaseException] = ValueError
        self.ran: list[str] = []

    def at(self, point: str) -> None:
        if self.point == point:
            raise self.error("evil")

    async def enter(self, call: Call) -> None:
        async def finish(_: Call) -> None:
            self.ran.append("first")
            self.at("on_finish")

        async def late(_: Call) -> None:
            self.ran.append("second")
            self.at("on_finish late")

        call.on_finish += [finish, late]
        self.at("enter")

    async def __call__(self, call: Call, call_next: CallNext) -> TokenStream:
        self.at("before stage")
        stream = await call_next(call)
        self.at("after stage")
        return TokenStream(_Wrapped(self, stream))

    def feed(self, chunk: TokenChunk) -> TokenChunk:
        self.at("transform")
        return chunk

    def finished(self, call: Call) -> None:
        self.ran.append("observer")
        self.at("observer")


class _Wrapped:
    def __init__(self, evil: Evil, stream: TokenStream) -> None:
        self._evil, self._stream = evil, stream
        self.relay = stream.relay

    async def batch(self) -> Sequence[TokenChunk]:
        self._evil.at("stream batch")
        return await self._stream.batch()

    async def aclose(self) -> None:
        self._evil.at("stream close")  # and the engine's stream is not closed


class Watching:
    def __init__(self) -> None:
        self.calls = 0

    def finished(self, call: Call) -> None:
        self.calls += 1


async def answered(model: Any, request: GenerationRequest) -> TokenStream:
    stream = await model.generate(request)
    model.queues[-1].put(TokenChunk(text="a"))
    model.queues[-1].put(TokenChunk(text="b", finish_reason="stop"))
    return stream  # type: ignore[no-any-return]


async def read(pipeline: Pipeline, catalog: Catalog) -> BaseException | None:
    caller = Caller(protocol="t", principal=LOCAL, request_id="r")
    request = GenerationRequest(model="a", input=Prompt("x"))
    try:
        stream = await pipeline.generate(request, caller, catalog.find("a"))
        try:
            while await stream.relay(lambda _: True):
                pass
        finally:
            await stream.aclose()
    except BaseException as error:  # noqa: BLE001 - that is what is tested
        return error
    return None


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("point", POINTS)
async def test_nothing_leaks_whatever_a_plugin_raises(
    make_catalog: Any, point: str, error: type[BaseException]
) -> None:
    catalog: Catalog = make_catalog()
    evil, watching = Evil(), Watching()
    limits, queue = RateLimits(Limits(key=Allowance(concurrent=1))), FairQueue(Queue())

    def transform(*_: object) -> Evil:
        evil.at("factory")
        return evil

    pipeline = Pipeline(
        catalog,
        gates=(limits, evil, queue),
        stages=(evil,),
        observers=(evil, watching),
        transform=transform,
        generate=answered,
    )
    evil.point, evil.error = point, error
    failure = await read(pipeline, catalog)
    assert limits._local.held("key:local") == 0
    assert [lane.running for lane in queue._lanes.values()] in ([], [0])
    assert pipeline.live == 0
    assert watching.calls == 1
    assert evil.ran.count("first") == evil.ran.count("second") == 1
    entry = catalog.find("a")
    assert entry.instance is None or entry.instance._active == 0
    assert pipeline._suspects._using == {}
    if point in ("on_finish", "on_finish late", "observer") and issubclass(error, Exception):
        assert failure is None or isinstance(failure, EngineFailed)
    evil.point = ""
    assert await read(pipeline, catalog) is None


async def test_a_call_that_is_cancelled_while_it_gives_back_gives_all_back(make_call: Any) -> None:
    call, ran, slow = make_call(), [], asyncio.Event()

    async def note(_: Call) -> None:
        ran.append("note")

    async def wait(_: Call) -> None:
        await slow.wait()

    call.on_finish += [note, wait, note]
    task = asyncio.create_task(call.finish())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran == ["note", "note"]
    assert call.on_finish == []
