"""Chunks handed on without waking their reader: none lost, none twice, whatever ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

import pytest
from fake_engine import FakeEngine

from hyperllama.catalog import Catalog
from hyperllama.errors import Draining, EngineFailed
from hyperllama.gateway import LocalGateway
from hyperllama.generation import GenerationRequest, Sampling, TokenChunk, Usage
from hyperllama.identity import LOCAL, Caller
from hyperllama.messages import Prompt
from hyperllama.pipeline import Pipeline
from hyperllama.stream import ChunkQueue, TokenStream
from hyperllama.text.stops import StopStrings

CALLER = Caller(protocol="test", principal=LOCAL, request_id="r1")
REQUEST = GenerationRequest(model="a", input=Prompt("hello"), sampling=Sampling(stop=("END",)))

MakeCatalog = Callable[..., Catalog]


class Taker:
    """What it took, a list a call; ``refuse`` makes it take nothing."""

    def __init__(self) -> None:
        self.taken: list[list[str]] = []
        self.refuse = False

    def __call__(self, chunks: Sequence[TokenChunk]) -> bool:
        if self.refuse:
            return False
        self.taken.append(texts(chunks))
        return True


def texts(chunks: Sequence[TokenChunk]) -> list[str]:
    return [chunk.text for chunk in chunks]


async def turns() -> None:
    """Long enough for whatever was called soon, and for what that wakes."""
    for _ in range(4):
        await asyncio.sleep(0)


async def test_what_comes_in_one_turn_is_taken_in_one_piece_and_the_last_chunk_is_returned() -> None:
    queue, take = ChunkQueue(), Taker()
    reading = asyncio.ensure_future(TokenStream(queue).relay(take))
    await turns()
    for text in ("a", "b"):
        queue.put(TokenChunk(text=text))
    await turns()
    queue.put(TokenChunk(text="c"))
    await turns()
    assert take.taken == [["a", "b"], ["c"]]
    assert not reading.done()
    queue.put(TokenChunk(text="d"))
    queue.put(TokenChunk(text="e", finish_reason="stop"))
    assert texts(await reading) == ["d", "e"]
    assert take.taken == [["a", "b"], ["c"]]


async def test_what_is_refused_is_returned_and_the_next_relay_goes_on_after_it() -> None:
    queue, take = ChunkQueue(), Taker()
    stream = TokenStream(queue)
    take.refuse = True
    reading = asyncio.ensure_future(stream.relay(take))
    await turns()
    queue.put(TokenChunk(text="a"))
    assert texts(await reading) == ["a"]
    take.refuse = False
    reading = asyncio.ensure_future(stream.relay(take))
    await turns()
    queue.put(TokenChunk(text="b"))
    await turns()
    queue.put(TokenChunk(text="c", finish_reason="stop"))
    assert texts(await reading) == ["c"]
    assert take.taken == [["b"]]


async def test_what_the_taker_raises_reaches_the_reader() -> None:
    def take(chunks: Sequence[TokenChunk]) -> bool:
        raise EngineFailed("cannot be spelled")

    queue = ChunkQueue()
    reading = asyncio.ensure_future(TokenStream(queue).relay(take))
    await turns()
    queue.put(TokenChunk(text="a"))
    with pytest.raises(EngineFailed, match="cannot be spelled"):
        await reading


async def test_an_error_of_the_engine_comes_after_what_was_made_before_it() -> None:
    queue, take = ChunkQueue(), Taker()
    stream = TokenStream(queue)
    reading = asyncio.ensure_future(stream.relay(take))
    await turns()
    queue.put(TokenChunk(text="a"))
    queue.fail(EngineFailed("died"))
    assert texts(await reading) == ["a"]
    with pytest.raises(EngineFailed, match="died"):
        await stream.relay(take)


async def test_a_source_without_relay_returns_every_batch() -> None:
    async def two() -> AsyncGenerator[TokenChunk, None]:
        yield TokenChunk(text="a")
        yield TokenChunk(text="b", finish_reason="stop")

    stream, take = TokenStream(two()), Taker()
    assert [texts(await stream.relay(take)), texts(await stream.relay(take))] == [["a"], ["b"]]
    assert take.taken == []


async def test_relayed_tokens_are_counted_and_a_stop_string_among_them_ends_the_answer(
    make_catalog: MakeCatalog, engine: FakeEngine
) -> None:
    pipeline = Pipeline(catalog := make_catalog(), transform=lambda request, _: StopStrings(request.sampling.stop))
    stream, take = await LocalGateway(catalog, pipeline).generate(REQUEST, CALLER), Taker()
    queue = engine.models[0].queues[0]
    queue.put(TokenChunk(text="first ", usage=Usage(prompt_tokens=3)))
    assert texts(await stream.relay(take)) == ["first "], "the head of the answer waits for this"
    reading = asyncio.ensure_future(stream.relay(take))
    for text in ("second ", "third ", "EN"):
        await turns()
        queue.put(TokenChunk(text=text))
    await turns()
    assert ["".join(piece) for piece in take.taken] == ["second ", "third ", ""]
    queue.put(TokenChunk(text="D fourth"))
    (last,) = await reading
    assert (last.text, last.finish_reason, last.stop_match) == ("", "stop", "END")
    assert last.usage == Usage(prompt_tokens=3, completion_tokens=5)
    assert engine.models[0].cancelled == [queue]


async def test_refused_chunks_are_looked_at_once(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    pipeline = Pipeline(catalog := make_catalog(), transform=lambda request, _: StopStrings(request.sampling.stop))
    stream, take = await LocalGateway(catalog, pipeline).generate(REQUEST, CALLER), Taker()
    queue = engine.models[0].queues[0]
    queue.put(TokenChunk(text="a"))
    await stream.relay(take)
    take.refuse = True
    reading = asyncio.ensure_future(stream.relay(take))
    await turns()
    queue.put(TokenChunk(text="b EN"))
    assert texts(await reading) == ["b "]
    queue.put(TokenChunk(text="o", finish_reason="stop"))
    assert texts(await stream.relay(take)) == ["ENo"]


async def test_an_abort_reaches_a_reader_that_sleeps_through_its_tokens(
    make_catalog: MakeCatalog, engine: FakeEngine
) -> None:
    pipeline = Pipeline(catalog := make_catalog())
    stream, take = await LocalGateway(catalog, pipeline).generate(REQUEST, CALLER), Taker()
    queue = engine.models[0].queues[0]
    queue.put(TokenChunk(text="a"))
    await stream.relay(take)
    reading = asyncio.ensure_future(stream.relay(take))
    await turns()
    pipeline.abort()
    with pytest.raises(Draining):
        await reading
    assert pipeline.live == 0
