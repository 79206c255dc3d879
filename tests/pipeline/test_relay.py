"""Chunks handed on without waking their reader: none lost, none twice, whatever ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

import pytest

from hyperllama.catalog.catalog import Catalog
from hyperllama.errors import ClientGone, Draining, EngineFailed
from hyperllama.generation import GenerationRequest, Sampling, TokenChunk, Usage
from hyperllama.identity import LOCAL, Caller
from hyperllama.messages import Prompt
from hyperllama.pipeline.gateway import LocalGateway
from hyperllama.pipeline.pipeline import Pipeline
from hyperllama.stream import CROWD, LAG, ChunkQueue, TokenStream
from hyperllama.text.stops import StopStrings
from tests.support.fake_engine import FakeEngine

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
    pipeline = Pipeline(
        catalog := make_catalog(), transform=lambda request, _: StopStrings(request.sampling.stop or ())
    )
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
    pipeline = Pipeline(
        catalog := make_catalog(), transform=lambda request, _: StopStrings(request.sampling.stop or ())
    )
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


async def test_what_a_lagging_reader_has_not_taken_is_joined_and_nothing_of_it_lost() -> None:
    queue = ChunkQueue()
    said = [TokenChunk(text=f"{number} ") for number in range(CROWD * 10)]
    said[700:700] = [
        TokenChunk(reasoning="hm "),
        TokenChunk(reasoning="so "),
        TokenChunk(text="x", token_ids=(7,)),
        TokenChunk(text="y", token_ids=(8,)),
    ]
    end = TokenChunk(tokens=0, finish_reason="stop", usage=Usage(1, len(said)))
    for chunk in (*said, end):
        queue.put(chunk)
    found = await queue.batch()
    assert len(found) <= CROWD + 8
    assert "".join(chunk.text for chunk in found) == "".join(chunk.text for chunk in said)
    assert [chunk.reasoning for chunk in found if chunk.reasoning] == ["hm so "]
    assert [token for chunk in found for token in chunk.token_ids] == [7, 8]
    assert sum(chunk.tokens for chunk in found) == len(said)
    assert found[-1] == end
    assert await queue.batch() == ()


@pytest.mark.parametrize("chunk", [TokenChunk(text="word " * 20), TokenChunk(text="w", token_ids=(1,))])
async def test_r09_a_reader_too_far_behind_is_given_up_and_its_engine_told(chunk: TokenChunk) -> None:
    told: list[bool] = []
    queue = ChunkQueue(lambda: told.append(True))
    put = 0
    while not queue.ended:
        queue.put(chunk)
        put += 1
        assert put * (len(chunk.text) + 2 * len(chunk.token_ids)) < 2 * LAG
    queue.put(chunk)  # nobody's any more
    assert told == [True]
    assert sum(each.tokens for each in await queue.batch()) == put
    with pytest.raises(ClientGone, match="too far behind"):
        await queue.batch()
    await queue.aclose()
    assert told == [True]
