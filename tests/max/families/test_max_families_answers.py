"""Every family compiled and asked: greedy tokens and their probabilities are those of the reference in numpy.

A graph takes minutes to compile, so that this is nightly; kinds that differ in their positions only share one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from hyperllama.host.process import HostedModel
from tests.max.reference.decoder import Reference
from tests.support import families as tiny
from tests.support.asking_max import prompt, whole

LENGTH = 1024
FORMS = [(kind, "F32") for kind in tiny.KINDS]
FORMS += [(kind, "GGUF") for kind in ("llama", "qwen2", "qwen3", "gemma3", "olmo2", "smollm3", "phi3", "granite")]
FORMS += [("llama", "BF16"), ("llama", "F16")]


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("kind", "form"), FORMS)
async def test_answers_are_the_references(
    tmp_path: Path, load: Callable[..., Awaitable[HostedModel]], kind: str, form: str
) -> None:
    if form == "GGUF":
        config, weights = tiny.gguf_beside(tmp_path, kind)
    else:
        config, weights = tiny.safetensors(tmp_path, kind, form)
    path = tmp_path / "model-f32.gguf" if form == "GGUF" else tmp_path
    model = await load(path, max_length=LENGTH, max_batch_size=4)
    reference = Reference(config, weights, LENGTH)
    rng = np.random.default_rng(3)
    prompts = [[int(number) for number in rng.integers(10, tiny.TOKENS, length)] for length in (3, 20, 50)]
    answers = await asyncio.gather(*(whole(model, prompt(ids, 20, logprobs=2, ignore_eos=True)) for ids in prompts))
    for ids, answer in zip(prompts, answers, strict=True):
        tokens, chances = reference.greedy(ids, 20)
        assert list(answer.token_ids) == tokens
        assert [item.logprob for item in answer.logprobs] == pytest.approx(chances, abs=1e-3)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
async def test_quantized_weights_answer_nearly_the_same(
    tmp_path: Path, load: Callable[..., Awaitable[HostedModel]]
) -> None:
    """Rows of 192 and 320 are padded to whole blocks. MAX's kernels round inputs to 8 bits, hence the tolerance."""
    pytest.importorskip("gguf")
    config, weights = tiny.gguf_quantized(tmp_path, "qwen2-narrow")
    model = await load(tmp_path / "model-q4_k_m.gguf", max_length=LENGTH, max_batch_size=4)
    reference = Reference(config, weights, LENGTH)
    ids = [int(number) for number in np.random.default_rng(3).integers(10, tiny.TOKENS, 20)]
    answer = await whole(model, prompt(ids, 16, logprobs=2, ignore_eos=True))
    off = []
    for at, item in enumerate(answer.logprobs):
        last = reference.logits([*ids, *answer.token_ids[:at]])[-1]
        last = last - last.max()
        off.append(abs(item.logprob - float(last[item.token_id] - np.log(np.exp(last).sum()))))
    assert float(np.mean(off)) < 0.15
