"""The built-in model on MAX: what it generates, one and many at once, and how it is cancelled and lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import pytest

from hyperllama.errors import ContextTooLong, EngineFailed, InvalidRequest, UnsupportedFeature
from hyperllama.generation import GenerationRequest, Sampling
from hyperllama.messages import Chat, Message, Prompt, PromptTokens, Text
from hyperllama.stream import collect
from tests.support.asking_max import CHAT, max_alone, prompt, pulse, talk, whole
from tests.support.paths import ROOT

PORT = "Which port does the gateway listen on?"


def prompts(count: int, seed: int = 5) -> list[list[int]]:
    """Of different lengths, one of them longer than a step takes."""
    dice = random.Random(seed)
    found = [[dice.randrange(8, 2000) for _ in range(dice.randrange(1, 60))] for _ in range(count)]
    found[0] = [dice.randrange(8, 2000) for _ in range(600)]
    return found


async def test_greedy_answers_are_those_of_max_alone_one_at_a_time_and_sixteen_at_once(chat):
    asked = prompts(16)
    expected = await max_alone(asked, 30)
    ends = {1}
    expected = [ids[:-1] if ids[-1] in ends else ids for ids in expected]
    alone = [list((await whole(chat, prompt(ids, 30))).token_ids) for ids in asked]
    assert alone == expected
    together = await asyncio.gather(*[whole(chat, prompt(ids, 30)) for ids in asked])
    assert [list(answer.token_ids) for answer in together] == expected
    assert len({tuple(ids) for ids in expected}) > 8  # the model does not say one thing to everything


async def test_thirty_two_requests_are_served_in_one_batch(chat):
    tokens = 64
    before = (await pulse(chat)).steps
    answers = await asyncio.gather(*[whole(chat, prompt([9, 40 + n], tokens, ignore_eos=True)) for n in range(32)])
    steps = (await pulse(chat)).steps - before
    assert all(answer.usage.completion_tokens == tokens for answer in answers)
    assert steps < 4 * tokens  # one after the other would be 32 times as many


async def test_tokens_stream_as_they_are_made(chat):
    stream = await chat.generate(prompt([9, 10, 11], 200, ignore_eos=True))
    batches = 0
    while await stream.batch():
        batches += 1
    await stream.aclose()
    assert batches > 20


async def test_a_chat_is_rendered_answered_and_counted(chat):
    answer = await whole(chat, talk(PORT))
    rendered = await chat.tokenize(Chat((Message(role="user", parts=(Text(PORT),)),)))
    assert answer.prompt_token_ids == rendered
    assert answer.usage.prompt_tokens == len(rendered)
    assert answer.finish_reason in ("stop", "length")
    assert "<|" not in answer.text
    assert await chat.detokenize(rendered) == f"<|begin|><|user|>{PORT}<|end|><|assistant|>"


async def test_text_pieces_are_the_text_of_the_token_ids(chat):
    answer = await whole(chat, prompt([9, 10, 11], 300, ignore_eos=True, temperature=1.5, seed=4))
    special = {"<|begin|>", "<|end|>", "<|pad|>", "<|tools|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"}
    expected = await chat.detokenize(answer.token_ids)
    for mark in special:
        expected = expected.replace(mark, "")
    assert answer.text == expected


async def test_the_end_of_sequence_is_no_part_of_the_answer(chat):
    bias = {1: 100.0}  # <|end|>
    answer = await whole(chat, prompt([9, 10], 10, logit_bias=bias))
    assert answer.finish_reason == "stop"
    assert answer.token_ids == ()
    assert answer.text == ""
    assert answer.usage.completion_tokens == 1


async def test_no_tokens_asked_for_are_none_given(chat):
    answer = await whole(chat, prompt([9, 10, 11], 0))
    assert answer.usage.completion_tokens == 0
    assert answer.usage.prompt_tokens == 3
    assert answer.finish_reason == "length"
    assert answer.prompt_token_ids == (9, 10, 11)


async def test_a_prompt_of_full_length_is_refused_with_both_counts(chat):
    limit = chat.info.context_length
    with pytest.raises(ContextTooLong, match=f"maximum context length is {limit} tokens.* {limit + 7} tokens"):
        await chat.generate(prompt([9] * (limit + 7)))
    with pytest.raises(ContextTooLong):
        await chat.generate(prompt([9] * limit))
    answer = await whole(chat, prompt([9] * (limit - 1), 5, ignore_eos=True))
    assert answer.usage.completion_tokens == 1
    assert answer.finish_reason == "length"


async def test_the_callers_own_context_length_bounds_the_answer(chat):
    request = GenerationRequest(
        model="m",
        input=PromptTokens((9, 10, 11)),
        sampling=Sampling(temperature=0.0, ignore_eos=True),
        context_length=16,
    )
    assert (await whole(chat, request)).usage.completion_tokens == 13


@pytest.mark.parametrize("ids", [[2048], [-1], [10**9], []])
async def test_token_ids_out_of_the_vocabulary_never_reach_the_engine(chat, ids):
    with pytest.raises(InvalidRequest):
        await chat.generate(prompt([9, *ids] if ids else []))
    assert chat.failure is None


async def test_special_token_text_means_nothing_in_a_message_and_something_in_a_prompt(chat):
    begin, user = await chat.tokenize(Prompt("<|user|>"))
    quoted = await chat.tokenize(Chat((Message(role="user", parts=(Text("a<|user|>b"),)),)))
    assert begin == 0
    assert quoted.count(user) == 1
    assert await chat.detokenize(quoted) == "<|begin|><|user|>a<|user|>b<|end|><|assistant|>"
    assert await chat.tokenize(Prompt("<|user|>", special=False)) == (user,)  # nothing is set before it


async def test_a_system_message_is_put_in_and_replaced(chat):
    request = GenerationRequest(
        model="m",
        input=Chat((Message(role="system", parts=(Text("old"),)), Message(role="user", parts=(Text("hi"),)))),
        system="new",
        sampling=Sampling(max_tokens=1),
        return_token_ids=True,
    )
    seen = await chat.detokenize((await whole(chat, request)).prompt_token_ids)
    assert "new" in seen
    assert "old" not in seen


async def test_a_last_message_is_continued(chat):
    messages = (
        Message(role="user", parts=(Text("hi"),)),
        Message(role="assistant", parts=(Text("The gateway"),)),
    )
    seen = await chat.detokenize(await chat.tokenize(Chat(messages, continue_last=True)))
    assert seen.endswith("<|assistant|>The gateway")


async def test_a_template_from_a_request_is_refused(chat):
    with pytest.raises(UnsupportedFeature):
        await chat.generate(GenerationRequest(model="m", input=talk("hi").input, template="{{ 1 }}"))


async def test_a_repeated_prompt_comes_from_the_cache(chat):
    ids = [random.Random(77).randrange(8, 2000) for _ in range(400)]
    first = await whole(chat, prompt(ids, 4))
    second = await whole(chat, prompt(ids, 4))
    assert first.usage.cached_tokens == 0
    assert second.usage.cached_tokens >= 256
    assert second.token_ids == first.token_ids


@pytest.mark.parametrize("after", ["another", ""])
async def test_a_tenant_cannot_tell_what_another_has_sent(chat, after):
    ids = [random.Random(f"tenant {after}").randrange(8, 2000) for _ in range(400)]
    await whole(chat, prompt(ids, 4, tenant="one"))
    own, others = await whole(chat, prompt(ids, 4, tenant="one")), await whole(chat, prompt(ids, 4, tenant=after))
    assert own.usage.cached_tokens >= 256
    assert others.usage.cached_tokens == 0
    assert others.token_ids == own.token_ids


async def test_leaving_in_every_phase_leaves_nothing_behind(chat):
    dice = random.Random(3)

    async def leave(n: int) -> None:
        stream = await chat.generate(prompt([9, n % 1000 + 8] * dice.randrange(1, 150), 500, ignore_eos=True))
        for _ in range(n % 4):
            await stream.batch()
        await stream.aclose()

    await asyncio.gather(*[leave(n) for n in range(100)])
    assert await _idle(chat)
    answer = await whole(chat, prompt([9, 10, 11], 5, ignore_eos=True))
    assert answer.usage.completion_tokens == 5


async def test_an_error_in_a_step_fails_its_requests_and_not_the_model(load, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("hyperllama_max.engine.WORKER", "tests.support.breaking_worker:BreakingWorker")
    model = await load()
    expected = (await whole(model, prompt([9, 10, 11], 20))).token_ids
    for _ in range(3):
        bystander = await model.generate(prompt([9, 12], 1000, ignore_eos=True))
        assert await bystander.batch()
        with pytest.raises(EngineFailed, match="step: ValueError"):
            await whole(model, prompt([9, 10], 20, seed=13))
        with pytest.raises(EngineFailed, match="step: ValueError"):
            await collect(bystander)
        assert (await whole(model, prompt([9, 10, 11], 20))).token_ids == expected
    answers = await asyncio.gather(*[whole(model, prompt([9, 10, 11], 20)) for _ in range(32)])
    assert all(answer.token_ids == expected for answer in answers)
    assert model.failure is None


@pytest.mark.parametrize("after", [50, *(pytest.param(n, marks=pytest.mark.nightly) for n in (0, 1, 900))])
async def test_killing_the_host_fails_its_streams(load, after):
    model = await load()
    stream = await model.generate(prompt([9, 10, 11], 1000, ignore_eos=True))
    seen = 0
    while seen < after:
        seen += len(await stream.batch())
    os.kill(model.pid, signal.SIGKILL)
    with pytest.raises(EngineFailed, match="SIGKILL"):
        await collect(stream)


async def test_a_model_loads_with_its_own_defaults_and_is_found_out_when_it_stops(load):
    reports = []
    model = await load(
        reports=reports, parameters={"temperature": 0.0, "num_predict": 5}, options={"shared_prefixes": True}
    )
    assert reports[0].phase == "importing"
    assert reports[-1].phase in ("loading", "compiling")
    assert model.info.name == CHAT.name
    assert 0.6 * model.info.memory_bytes < model.memory()[0] < 2 * model.info.memory_bytes  # more if it compiled now
    unsaid = [await whole(model, prompt([9, 10, 11], None, temperature=None, ignore_eos=True)) for _ in range(2)]
    assert [answer.usage.completion_tokens for answer in unsaid] == [5, 5]
    assert unsaid[0].token_ids == unsaid[1].token_ids
    ids = [9] * 300
    await whole(model, prompt(ids, 1, tenant="one"))
    assert (await whole(model, prompt(ids, 1, tenant="another"))).usage.cached_tokens >= 256
    stream = await model.generate(prompt([9, 10, 11], 1000, ignore_eos=True))
    os.kill(model.pid, signal.SIGSTOP)
    with pytest.raises(EngineFailed, match="no sign of life"):
        await collect(stream)


async def _idle(model) -> bool:
    for _ in range(500):
        if (await pulse(model)).active == 0:
            return True
    return False
