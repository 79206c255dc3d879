"""Through the gateway MAX says what it says alone: token ids compared, in both dialects, streamed and not."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "plugins" / "hyperllama_builtin" / "weights" / "hyperllama-tiny"
TOKENS = 24
PROMPTS = [f"Question {number}: what port does the gateway listen on, and who asks?" for number in range(16)]

pytestmark = [pytest.mark.max, pytest.mark.timeout(900)]

Answers = list[tuple[tuple[int, ...], tuple[int, ...]]]  # ids of the prompt, ids of the answer


def native(prompt: str, stream: bool) -> tuple[str, dict[str, Any]]:
    options = {"temperature": 0, "num_predict": TOKENS}
    return "/api/generate", {"model": "hyperllama-tiny", "prompt": prompt, "options": options, "stream": stream}


def openai_chat(prompt: str, stream: bool) -> tuple[str, dict[str, Any]]:
    body = {"messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": TOKENS}
    return "/v1/chat/completions", {"model": "hyperllama-tiny", **body, "stream": stream, "return_token_ids": True}


def native_ids(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    last = json.loads(text.strip().splitlines()[-1])
    context, prompt = tuple(last["context"]), last["prompt_eval_count"]
    return context[:prompt], context[prompt:]


def openai_ids(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if text.startswith("{"):
        whole = json.loads(text)
        return tuple(whole["prompt_token_ids"]), tuple(whole["choices"][0]["token_ids"])
    prompt: tuple[int, ...] = ()
    answer: list[int] = []
    for line in text.splitlines():
        if line.startswith("data: {"):
            event = json.loads(line.removeprefix("data: "))
            for choice in event["choices"]:
                prompt = prompt or tuple(choice.get("prompt_token_ids") or ())
                answer += choice.get("token_ids") or []
    return prompt, tuple(answer)


DIALECTS = {"ollama": (native, native_ids), "openai": (openai_chat, openai_ids)}


async def ask(url: str, dialect: str, *, stream: bool, together: bool) -> Answers:
    body, read = DIALECTS[dialect]
    async with httpx.AsyncClient(base_url=url, timeout=300) as client:

        async def one(prompt: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
            path, content = body(prompt, stream)
            answer = await client.post(path, json=content)
            assert answer.status_code == 200, answer.text
            return read(answer.text)

        if together:
            return list(await asyncio.gather(*(one(prompt) for prompt in PROMPTS)))
        return [await one(prompt) for prompt in PROMPTS]


@pytest.fixture(scope="module")
def alone(max_gateway: Any) -> dict[tuple[int, ...], tuple[int, ...]]:
    """What MAX says by itself, none of our code between, by the prompt's token ids."""
    prompts = sorted({ids for ids, _ in asyncio.run(ask(max_gateway.url, "ollama", stream=False, together=False))})
    environ = {
        "MODULAR_TELEMETRY_ENABLED": "0",
        "MAX_SERVE_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "MODULAR_CACHE_DIR": str(cache_directory()),
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "support" / "max_alone.py"), str(WEIGHTS)],
        input=json.dumps({"prompts": prompts, "tokens": TOKENS}),
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=800,
    )
    assert done.returncode == 0, done.stderr
    ends = {json.loads((WEIGHTS / "config.json").read_text())["eos_token_id"]}
    answers = json.loads(done.stdout)
    return {
        prompt: tuple(answer[:-1] if answer and answer[-1] in ends else answer)
        for prompt, answer in zip(prompts, answers, strict=True)
    }


def cache_directory() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "hyperllama" / "max" / "modular"


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "sixteen at once"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
async def test_greedy_tokens_are_those_of_max_alone(
    max_gateway: Any, alone: dict[tuple[int, ...], tuple[int, ...]], dialect: str, stream: bool, together: bool
) -> None:
    answers = await ask(max_gateway.url, dialect, stream=stream, together=together)
    assert len(set(answers)) > 1
    for prompt, answer in answers:
        assert answer == alone[prompt]
