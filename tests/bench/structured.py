"""What holding an answer to a schema costs: the same prompt with and without one, in turns, on MAX in its host.

python tests/bench/structured.py [streams] [tokens] [rounds]
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from pathlib import Path
from statistics import median

import msgspec
import structlog

import hyperllama_builtin
from hyperllama.generation import GenerationRequest, JsonSchema, OutputFormat, Sampling
from hyperllama.host.process import HostedModel
from hyperllama.messages import Chat, Message, Text
from hyperllama.models import ModelSpec
from hyperllama.stream import collect
from hyperllama.testing import processes
from hyperllama_max.engine import MaxEngine

MODEL = Path(hyperllama_builtin.__file__).parent / "weights" / "hyperllama-tiny"
QUESTION = Chat((Message(role="user", parts=(Text("Tell me about the gateway."),)),))
#: Not whole before the longest answer asked for here is cut, so that both sides make the same number of tokens.
SCHEMA = JsonSchema(
    {
        "type": "array",
        "minItems": 100,
        "items": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "kind": {"enum": ["model", "plugin"]},
                "size": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["name", "kind", "size", "tags"],
            "additionalProperties": False,
        },
    }
)


class Cost(msgspec.Struct, frozen=True):
    """Of one run: wall and processor microseconds of the host a token, milliseconds to the end of the first step."""

    wall_us: float
    cpu_us: float
    tokens_per_second: float
    first_ms: float


async def run(model: HostedModel, output: OutputFormat | None, streams: int, tokens: int) -> Cost:
    request = GenerationRequest(
        model="bench",
        input=QUESTION,
        output=output,
        sampling=Sampling(temperature=0.0, max_tokens=tokens, ignore_eos=True),
    )
    began, cpu = time.perf_counter(), processes.cpu_seconds(model.pid)
    opened = [await model.generate(request) for _ in range(streams)]
    first = time.perf_counter() - began
    answers = await asyncio.gather(*(collect(stream) for stream in opened))
    took, used = time.perf_counter() - began, processes.cpu_seconds(model.pid) - cpu
    made = sum(answer.usage.completion_tokens for answer in answers)
    assert made == streams * tokens, f"{made} tokens, not {streams * tokens}"
    return Cost(took / made * 1e6, used / made * 1e6, made / took, first * 1e3)


async def main(streams: int = 8, tokens: int = 200, rounds: int = 5) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    spec = ModelSpec(name="bench", max_length=1024, max_batch_size=max(streams, 16))
    model = await MaxEngine().load(spec, MODEL, lambda _: None)
    assert isinstance(model, HostedModel)
    try:
        kinds: dict[str, OutputFormat | None] = {"free": None, "schema": SCHEMA}
        for output in kinds.values():
            await run(model, output, streams, 20)  # warm; the schema is compiled once
        costs: dict[str, list[Cost]] = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, output in kinds.items():
                costs[kind].append(await run(model, output, streams, tokens))
    finally:
        await model.close()
    middle = {
        kind: Cost(*(median(getattr(cost, field) for cost in found) for field in Cost.__struct_fields__))
        for kind, found in costs.items()
    }
    for kind, cost in middle.items():
        print(
            f"{kind:<6} {streams} streams of {tokens} tokens: {cost.tokens_per_second:,.0f} tokens/s, "
            f"{cost.wall_us:.0f} us a token, {cost.cpu_us:.0f} us of the host's processor time, admitted in "
            f"{cost.first_ms:.1f} ms"
        )
    free, held = middle["free"], middle["schema"]
    print(
        f"schema on: {held.wall_us - free.wall_us:+.0f} us a token ({held.wall_us / free.wall_us:.2f} x), "
        f"{held.cpu_us - free.cpu_us:+.0f} us of processor time ({held.cpu_us / free.cpu_us:.2f} x)"
    )


if __name__ == "__main__":
    asyncio.run(main(*(int(argument) for argument in sys.argv[1:])))
