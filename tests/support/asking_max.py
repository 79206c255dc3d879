"""Models loaded and questions asked of them, for the tests beside it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hyperllama_builtin
from hyperllama.generation import Completion, GenerationRequest, Sampling
from hyperllama.host.frames import Ping
from hyperllama.host.process import HostedModel
from hyperllama.messages import Chat, Message, PromptTokens, Text
from hyperllama.models import LoadProgress, ModelSpec
from hyperllama.spi import LoadedModel
from hyperllama.stream import collect
from hyperllama_max.engine import MaxEngine
from hyperllama_max.settings import MaxSettings

WEIGHTS = Path(hyperllama_builtin.__file__).parent / "weights"
#: As the built-in models are offered, so that they are compiled once for all tests.
LENGTH: dict[str, Any] = {"max_length": 1024}
CHAT, EMBED = WEIGHTS / "hyperllama-tiny", WEIGHTS / "hyperllama-tiny-embed"


#: What `dress` calls three of the model's special tokens, and the template it gives it.
RENAMED = {"<|tools|>": "<|fim_prefix|>", "<|tool|>": "<|fim_suffix|>", "<|pad|>": "<|fim_middle|>"}
THINKING = (
    "{{ bos_token }}{% if tools %}{% for tool in tools %}{{ tool.function.name }} {% endfor %}<tool_call>{% endif %}"
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    "{% if reasoning_effort is defined %}{{ reasoning_effort }}{% endif %}"
)


def dress(folder: Path) -> Path:
    """A model in ``folder`` of the same weights, that can fill in, think and call tools as Hermes does."""
    for path in CHAT.iterdir():
        if path.suffix == ".safetensors" or path.name in ("config.json", "generation_config.json"):
            (folder / path.name).symlink_to(path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (CHAT / name).read_text("utf-8")
        for old, new in RENAMED.items():
            text = text.replace(f'"{old}"', f'"{new}"')
        (folder / name).write_text(text, "utf-8")
    (folder / "chat_template.jinja").write_text(THINKING)
    return folder


async def load_model(path: Path, reports: list[LoadProgress] | None = None, **changes: Any) -> HostedModel:
    spec = ModelSpec(**{"name": path.name, "max_batch_size": 32, **(LENGTH if path is CHAT else {}), **changes})
    seen = [] if reports is None else reports
    model = await MaxEngine(MaxSettings()).load(spec, path, seen.append)
    assert isinstance(model, HostedModel)
    return model


def prompt(ids: Sequence[int], tokens: int | None = 20, **changes: Any) -> GenerationRequest:
    names = ("output", "tools", "tool_choice", "tenant")
    fields = {name: changes.pop(name) for name in names if name in changes}
    sampling = Sampling(**{"max_tokens": tokens, "temperature": 0.0, **changes})
    return GenerationRequest(
        model="m", input=PromptTokens(tuple(ids)), sampling=sampling, return_token_ids=True, **fields
    )


def talk(text: str, tokens: int = 40, **changes: Any) -> GenerationRequest:
    fields = {
        name: changes.pop(name) for name in ("output", "tools", "tool_choice", "system", "reasoning") if name in changes
    }
    messages = Chat((Message(role="user", parts=(Text(text),)),))
    sampling = Sampling(**{"max_tokens": tokens, "temperature": 0.0, **changes})
    return GenerationRequest(model="m", input=messages, sampling=sampling, return_token_ids=True, **fields)


async def whole(model: LoadedModel, request: GenerationRequest) -> Completion:
    return await collect(await model.generate(request))


async def max_alone(prompts: Sequence[Sequence[int]], tokens: int, *, ignore_eos: bool = False) -> list[list[int]]:
    """What MAX answers by itself, greedily, in a process of its own."""
    cache = MaxSettings().cache() / "modular"
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "MODULAR_CACHE_DIR": str(cache),
        "MODULAR_TELEMETRY_ENABLED": "0",
        "MAX_SERVE_DISABLE_TELEMETRY": "1",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("max_alone.py")),
        str(CHAT),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )
    asked = json.dumps({"prompts": [list(ids) for ids in prompts], "tokens": tokens, "ignore_eos": ignore_eos})
    output, _ = await process.communicate(asked.encode())
    assert process.returncode == 0
    answers: list[list[int]] = json.loads(output)
    return answers


async def pulse(model: HostedModel) -> Any:
    """The next pong of the host."""
    future = asyncio.get_running_loop().create_future()
    heartbeat, beat = model._heartbeat, model._heartbeat.beat

    def seen(pong):
        heartbeat.beat = beat
        beat(pong)
        future.set_result(pong)

    heartbeat.beat = seen
    model._beats.send(Ping(0))
    return await future
