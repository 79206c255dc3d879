"""The built-in encoder on MAX."""

from __future__ import annotations

import asyncio
import math
import struct

import pytest

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import ContextTooLong, InvalidRequest, UnsupportedFeature
from hyperllama.messages import Prompt
from tests.support.asking_max import pulse, talk

TEXTS = ("Which port does the gateway listen on?", "an entirely different sentence", "short")


def vectors(found) -> list[tuple[float, ...]]:
    return [struct.unpack(f"<{len(vector) // 4}f", vector) for vector in found.vectors]


def ask(*inputs, **changes) -> EmbeddingRequest:
    return EmbeddingRequest(model="m", inputs=inputs, **changes)


async def test_each_input_has_its_own_unit_vector_of_the_models_size(encoder):
    found = await encoder.embed(ask(*TEXTS))
    made = vectors(found)
    assert [len(vector) for vector in made] == [encoder.info.embedding_length] * 3
    assert all(math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-5) for vector in made)
    assert len(set(made)) == 3


async def test_vectors_do_not_depend_on_the_company(encoder):
    (alone,) = vectors(await encoder.embed(ask(TEXTS[0])))
    first, *_ = vectors(await encoder.embed(ask(*TEXTS)))
    assert all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(alone, first, strict=True))


async def test_the_inputs_of_a_call_are_one_step_of_the_engine(encoder):
    for _ in range(5):
        before = (await pulse(encoder)).steps
        await encoder.embed(ask(*(f"text number {number}" for number in range(32))))
        assert (await pulse(encoder)).steps == before + 1


async def test_tokens_are_counted_with_the_special_ones(encoder):
    found = await encoder.embed(ask(*TEXTS))
    counts = tuple([len(await encoder.tokenize(Prompt(text))) for text in TEXTS])
    assert found.input_tokens == counts
    assert found.prompt_tokens == sum(counts)


async def test_token_ids_give_what_their_text_gives(encoder):
    ids = await encoder.tokenize(Prompt(TEXTS[0]))
    of_ids, of_text = vectors(await encoder.embed(ask(ids, TEXTS[0])))
    assert of_ids == of_text


async def test_raw_vectors_point_the_same_way_and_are_longer_or_shorter(encoder):
    (unit,) = vectors(await encoder.embed(ask(TEXTS[0])))
    (raw,) = vectors(await encoder.embed(ask(TEXTS[0], normalize=False)))
    length = math.hypot(*raw)
    assert not math.isclose(length, 1.0, abs_tol=0.01)
    assert all(math.isclose(a * length, b, abs_tol=1e-4) for a, b in zip(unit, raw, strict=True))


async def test_fewer_dimensions_are_the_first_ones_and_normalised_again(encoder):
    (full,) = vectors(await encoder.embed(ask(TEXTS[0])))
    (cut,) = vectors(await encoder.embed(ask(TEXTS[0], dimensions=8)))
    length = math.hypot(*full[:8])
    assert all(math.isclose(a / length, b, abs_tol=1e-5) for a, b in zip(full[:8], cut, strict=True))
    with pytest.raises(InvalidRequest, match="dimensions"):
        await encoder.embed(ask(TEXTS[0], dimensions=10_000))


async def test_a_long_input_is_cut_or_refused(encoder):
    limit = encoder.info.context_length
    text = "gateway " * 1000
    assert (await encoder.embed(ask(text))).input_tokens == (limit,)
    with pytest.raises(ContextTooLong, match=f"maximum context length is {limit} tokens"):
        await encoder.embed(ask(text, truncate=False))


async def test_bad_token_ids_are_refused(encoder):
    with pytest.raises(InvalidRequest):
        await encoder.embed(ask((5, 10**6)))
    with pytest.raises(InvalidRequest):
        await encoder.embed(ask(()))
    assert encoder.failure is None


async def test_many_callers_at_once_all_get_their_own(encoder):
    expected = vectors(await encoder.embed(ask(*TEXTS)))
    found = await asyncio.gather(*[encoder.embed(ask(TEXTS[n % 3])) for n in range(96)])
    for n, answer in enumerate(found):
        (vector,) = vectors(answer)
        assert all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(vector, expected[n % 3], strict=True))


async def test_an_encoder_generates_nothing(encoder):
    with pytest.raises(UnsupportedFeature):
        await encoder.generate(talk("hello"))
    assert encoder.info.capabilities == {"embedding"}


async def test_a_generator_makes_no_vectors(chat):
    with pytest.raises(UnsupportedFeature):
        await chat.embed(ask("hello"))
