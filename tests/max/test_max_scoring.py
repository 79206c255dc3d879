"""How likely a prompt was: what a generation said of its tokens, asked again with them as the prompt."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import Completion, GenerationRequest, Regex, Sampling
from hyperllama.messages import Prompt, PromptTokens
from hyperllama.spi import LoadedModel
from hyperllama.stream import collect


async def scored(model: LoadedModel, ids: tuple[int, ...], **sampling: Any) -> Completion:
    drawn = Sampling(**{"temperature": 0, "logprobs": 2, "prompt_logprobs": True, "max_tokens": 0, **sampling})
    request = GenerationRequest(model=model.info.name, input=PromptTokens(ids), sampling=drawn, return_token_ids=True)
    return await collect(await model.generate(request))


async def said(model: LoadedModel) -> Completion:
    return await collect(
        await model.generate(
            GenerationRequest(
                model=model.info.name,
                input=Prompt("The gateway listens"),
                sampling=Sampling(temperature=0, logprobs=2, max_tokens=6, ignore_eos=True),
                return_token_ids=True,
            )
        )
    )


async def test_a_prompt_is_as_likely_as_it_was_when_the_model_said_it(chat: LoadedModel) -> None:
    answer = await said(chat)
    ids = (*answer.prompt_token_ids, *answer.token_ids)
    found = await scored(chat, ids)
    assert found.text == ""
    assert found.finish_reason == "length"
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (len(ids), 0)
    probabilities = found.prompt_logprobs
    assert [item.token_id for item in probabilities] == list(ids)
    assert math.isnan(probabilities[0].logprob)
    tail = probabilities[-len(answer.token_ids) :]
    assert [item.logprob for item in tail] == pytest.approx([item.logprob for item in answer.logprobs], abs=1e-3)
    for then, now in zip(answer.logprobs, tail, strict=True):
        assert [top.token_id for top in now.top] == [top.token_id for top in then.top]
    assert all(item.logprob < 0 and len(item.top) == 2 for item in probabilities[1:])


async def test_the_answer_goes_on_as_it_would_have(chat: LoadedModel) -> None:
    answer = await said(chat)
    on = await scored(chat, answer.prompt_token_ids, max_tokens=6, ignore_eos=True)
    assert (on.text, on.token_ids) == (answer.text, answer.token_ids)
    assert len(on.prompt_logprobs) == len(answer.prompt_token_ids)
    assert [item.logprob for item in on.logprobs] == pytest.approx([item.logprob for item in answer.logprobs], abs=1e-3)
    assert on.usage.completion_tokens == 6


async def test_a_prompt_of_one_token_has_nothing_before_it(chat: LoadedModel) -> None:
    found = await scored(chat, (5,))
    assert [math.isnan(item.logprob) for item in found.prompt_logprobs] == [True]
    assert found.usage.prompt_tokens == 1


async def test_a_format_and_the_prompts_probabilities_do_not_go_together(chat: LoadedModel) -> None:
    request = GenerationRequest(
        model=chat.info.name,
        input=Prompt("Hi there"),
        sampling=Sampling(logprobs=0, prompt_logprobs=True),
        output=Regex("[a-z]+"),
    )
    with pytest.raises(UnsupportedFeature):
        await chat.generate(request)
