"""Each sampling option against the real model: it does what it says, or it is refused."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from hyperllama.errors import InvalidRequest, UnsupportedFeature
from hyperllama.generation import NoTool, ToolSpec
from tests.support.asking_max import prompt, whole

IDS = [9, 300, 301, 302]


async def many(model, count: int, tokens: int = 1, **sampling) -> list[tuple[int, ...]]:
    answers = await asyncio.gather(
        *[
            whole(model, prompt(IDS, tokens, **{"ignore_eos": True, "temperature": 1.0, **sampling}))
            for _ in range(count)
        ]
    )
    return [answer.token_ids for answer in answers]


async def distinct(model, count: int = 64, **sampling) -> int:
    return len(set(await many(model, count, **sampling)))


@pytest.mark.parametrize("seed", [0, 1, 42, 2**40 + 5, -1])
async def test_the_same_seed_gives_the_same_text_also_among_others(chat, seed):
    (alone,) = await many(chat, 1, 12, temperature=1.5, seed=seed)
    together = await asyncio.gather(many(chat, 6, 12, temperature=1.5, seed=seed), many(chat, 6, 12, temperature=2.0))
    assert set(together[0]) == {alone}
    assert len(set(together[1])) > 1


async def test_another_seed_gives_another_text(chat):
    first, second = await many(chat, 1, 12, temperature=2.0, seed=0), await many(chat, 1, 12, temperature=2.0, seed=1)
    assert first != second


async def test_temperature_zero_is_greedy_and_higher_ones_vary(chat):
    greedy = await many(chat, 4, 12, temperature=0.0)
    assert len(set(greedy)) == 1
    assert set(await many(chat, 4, 12, top_k=1)) == set(greedy)
    assert await distinct(chat, temperature=2.0) > 1


async def test_top_k_bounds_the_choice(chat):
    flat: dict[str, Any] = {"temperature": 2.0, "logit_bias": _flat(range(400, 500))}
    assert await distinct(chat, **flat) > 20
    assert await distinct(chat, **flat, top_k=3) <= 3


async def test_top_p_bounds_the_choice(chat):
    few: dict[str, Any] = {"temperature": 1.0, "logit_bias": {400: 100.0, 401: 100.0 - math.log(9)}}  # nine to one
    assert set(await many(chat, 48, **few, top_p=0.5)) == {(400,)} or await _prior_decides(chat)


async def test_min_p_drops_what_is_much_less_likely_than_the_best(chat):
    ranked = await whole(chat, prompt(IDS, 1, logprobs=7, ignore_eos=True))
    (best, second, *_) = ranked.logprobs[0].top
    between = math.exp(second.logprob - best.logprob)
    assert set(await many(chat, 32, min_p=min(1.0, between * 1.05 + 1e-9))) == {(best.token_id,)}


async def test_logit_bias_forces_and_forbids(chat):
    assert await many(chat, 1, 3, temperature=0.0, logit_bias={777: 100.0}) == [(777, 777, 777)]
    (greedy,) = await many(chat, 1, 1, temperature=0.0)
    (other,) = await many(chat, 1, 1, temperature=0.0, logit_bias={greedy[0]: -100.0})
    assert other != greedy


@pytest.mark.parametrize(
    "penalty", [{"repetition_penalty": 5.0}, {"presence_penalty": 2.0}, {"frequency_penalty": 2.0}]
)
async def test_a_penalty_makes_repetition_rarer(chat, penalty):
    async def different(**sampling) -> int:
        """Tokens that differ within each of 16 answers, summed."""
        hot = {"temperature": 2.0, "top_k": 0, **sampling}
        answers = await asyncio.gather(*(many(chat, 1, 32, seed=seed, **hot) for seed in range(16)))
        return sum(len(set(ids)) for (ids,) in answers)

    assert await different(**penalty) > await different()


async def test_max_tokens_is_a_length(chat):
    answer = await whole(chat, prompt(IDS, 7, ignore_eos=True))
    assert answer.usage.completion_tokens == 7
    assert answer.finish_reason == "length"


async def test_min_tokens_keeps_the_end_away(chat):
    wants_to_end = {"logit_bias": {1: 50.0}}
    assert (await whole(chat, prompt(IDS, 20, **wants_to_end))).usage.completion_tokens == 1
    answer = await whole(chat, prompt(IDS, 20, **wants_to_end, min_tokens=8))
    assert answer.usage.completion_tokens >= 8
    assert answer.finish_reason == "stop"


async def test_min_tokens_and_ignore_eos_go_together(chat):
    answer = await whole(chat, prompt(IDS, 9, logit_bias={1: 50.0}, ignore_eos=True, min_tokens=5))
    assert answer.usage.completion_tokens == 9
    assert answer.finish_reason == "length"


async def test_ignore_eos_goes_on(chat):
    answer = await whole(chat, prompt(IDS, 9, logit_bias={1: 50.0}, ignore_eos=True))
    assert answer.usage.completion_tokens == 9
    assert answer.text == ""  # the token itself has none


async def test_stop_token_ids_end_the_answer_and_are_not_in_it(chat):
    options = {"logit_bias": {400: 30.0, 401: 30.0}, "frequency_penalty": 2.0}  # so that each has its turn
    (greedy,) = await many(chat, 1, 24, temperature=0.0, **options)
    stop = next(token for token in greedy if token != greedy[0])
    answer = await whole(chat, prompt(IDS, 24, ignore_eos=True, **options, stop_token_ids=(stop,)))
    assert answer.finish_reason == "stop"
    assert answer.token_ids == greedy[: greedy.index(stop)]


async def test_logprobs_are_those_of_the_chosen_token_and_the_likeliest(chat):
    for wanted in (0, 1, 5, 7):
        answer = await whole(chat, prompt(IDS, 4, logprobs=wanted, ignore_eos=True))
        assert [entry.token_id for entry in answer.logprobs] == list(answer.token_ids)
        for entry in answer.logprobs:
            assert len(entry.top) == wanted
            assert entry.logprob <= 0
            assert entry.token == entry.bytes.decode("utf-8", "replace")
            values = [top.logprob for top in entry.top]
            assert values == sorted(values, reverse=True)
            if wanted:
                assert entry.top[0].token_id == entry.token_id  # greedy


async def test_chosen_tokens_logprob_is_given_when_it_is_not_among_the_likeliest(chat):
    answer = await whole(chat, prompt(IDS, 8, temperature=2.0, seed=5, logprobs=1, ignore_eos=True))
    assert all(math.isfinite(entry.logprob) for entry in answer.logprobs)
    assert all(entry.logprob <= entry.top[0].logprob + 1e-4 for entry in answer.logprobs)


@pytest.mark.parametrize(
    ("sampling", "error"),
    [
        ({"temperature": 2.5}, InvalidRequest),
        ({"temperature": math.nan}, InvalidRequest),
        ({"temperature": -0.1}, InvalidRequest),
        ({"top_p": 1.5}, InvalidRequest),
        ({"min_p": -0.5}, InvalidRequest),
        ({"presence_penalty": 3.0}, InvalidRequest),
        ({"frequency_penalty": -3.0}, InvalidRequest),
        ({"repetition_penalty": 0.0}, InvalidRequest),
        ({"logprobs": 8}, UnsupportedFeature),
        ({"logit_bias": {5000: 1.0}}, InvalidRequest),
        ({"stop_token_ids": (-3,)}, InvalidRequest),
    ],
)
async def test_what_it_cannot_do_is_refused_before_the_engine(chat, sampling, error):
    with pytest.raises(error):
        await chat.generate(prompt(IDS, 3, **sampling))


async def test_tools_that_may_not_be_called_are_shown_and_not_parsed(chat):
    tool = ToolSpec("now", "the time", {"type": "object"})
    answer = await whole(chat, prompt(IDS, 3, tools=(tool,), tool_choice=NoTool()))
    assert answer.tool_calls == ()


def _flat(ids) -> dict[int, float]:
    return dict.fromkeys(ids, 60.0)


async def _prior_decides(model) -> bool:
    """Whether the model's own opinion outweighs the nine to one the bias gives."""
    answer = await whole(model, prompt(IDS, 1, logit_bias={400: 100.0, 401: 100.0}, logprobs=2, ignore_eos=True))
    return answer.logprobs[0].token_id != 400
