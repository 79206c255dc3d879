"""Embeddings of the sim model."""

from __future__ import annotations

import math
import struct
from collections.abc import Awaitable, Callable

import pytest

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import ContextTooLong, InvalidRequest, UnsupportedFeature
from hyperllama_sim import tokens
from hyperllama_sim.model import SimModel

Load = Callable[..., Awaitable[SimModel]]


def floats(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 4}f", vector)


async def test_one_vector_each_in_order_and_the_same_for_the_same_text(load: Load) -> None:
    model = await load(embedding=8)
    made = await model.embed(EmbeddingRequest(model="m", inputs=("one", "two", "one", tokens.encode("two"))))
    one, two, again, ids = made.vectors
    assert one == again != two == ids
    assert len(floats(one)) == 8
    assert made.prompt_tokens == sum(len(tokens.encode(text)) for text in ("one", "two", "one", "two"))


@pytest.mark.parametrize(("normalize", "length"), [(True, 1.0), (False, 3.0)])
async def test_vectors_have_the_length_that_was_asked_for(load: Load, normalize: bool, length: float) -> None:
    made = await (await load(embedding=64)).embed(EmbeddingRequest(model="m", inputs=("x",), normalize=normalize))
    assert math.sqrt(sum(value * value for value in floats(made.vectors[0]))) == pytest.approx(length, rel=1e-5)


async def test_fewer_dimensions_are_the_first_ones_made_whole_again(load: Load) -> None:
    model = await load(embedding=64)
    whole = floats((await model.embed(EmbeddingRequest(model="m", inputs=("x",)))).vectors[0])
    cut = floats((await model.embed(EmbeddingRequest(model="m", inputs=("x",), dimensions=4))).vectors[0])
    scale = math.sqrt(sum(value * value for value in whole[:4]))
    assert cut == pytest.approx([value / scale for value in whole[:4]], rel=1e-5)


async def test_an_input_over_the_context_is_cut_or_refused_as_asked(load: Load) -> None:
    model = await load(embedding=4, context_length=3)
    long, short = "a b c d", "a b c"
    cut, same = (await model.embed(EmbeddingRequest(model="m", inputs=(long, short)))).vectors
    assert cut == same
    with pytest.raises(ContextTooLong, match="input 1 has 4 tokens and the context holds 3"):
        await model.embed(EmbeddingRequest(model="m", inputs=(short, long), truncate=False))


async def test_what_it_cannot_do_is_refused(load: Load) -> None:
    with pytest.raises(UnsupportedFeature):
        await (await load()).embed(EmbeddingRequest(model="m", inputs=("x",)))
    model = await load(embedding=4)
    with pytest.raises(InvalidRequest, match="1 to 4"):
        await model.embed(EmbeddingRequest(model="m", inputs=("x",), dimensions=5))
    with pytest.raises(InvalidRequest, match="vocabulary"):
        await model.embed(EmbeddingRequest(model="m", inputs=((-1,),)))
