"""Dialogues with tools on offer: the right call with the right arguments, and the answer from its result."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hyperllama_builtin.training.dialogue import Call, Dialogue, Tool, Turn
from hyperllama_builtin.training.gateway import OPENINGS
from hyperllama_builtin.training.split import Side, templates
from hyperllama_builtin.training.toolbox import DECOYS, TOOLBOX, Gadget, made_up_gadget

__all__ = ("offer", "tool_case", "tool_dialogue")


def tool_case(rng: Random, side: Side) -> tuple[str, tuple[Tool, ...], Call]:
    """A prompt, the tools on offer and the one right call."""
    _gadget, prompt, tools, call, _values = _case(rng, side)
    return prompt, tools, call


def tool_dialogue(rng: Random, side: Side) -> Dialogue:
    """A call and, half the time, its result and the answer."""
    gadget, prompt, tools, call, values = _case(rng, side)
    turns = [Turn("user", prompt), Turn("assistant", call.text())]
    if rng.random() < 0.5:
        results = {key: make(rng, side) for key, make in gadget.results.items()}
        turns += (
            Turn("tool", json.dumps(results, ensure_ascii=False)),
            Turn("assistant", gadget.reply.format(**values, **results)),
        )
    return Dialogue("tools", tuple(turns), tools)


def offer(rng: Random, side: Side) -> tuple[Tool, ...]:
    """Some tools that have nothing to do with what comes next."""
    return tuple(_named(rng, gadget)[0] for gadget in rng.sample(TOOLBOX, rng.randint(1, 3)))


def _case(rng: Random, side: Side) -> tuple[Gadget, str, tuple[Tool, ...], Call, dict[str, object]]:
    gadget = made_up_gadget(rng, side) if rng.random() < 0.2 else rng.choice(TOOLBOX)
    values = {key: parameter.make(rng, side) for key, parameter in gadget.parameters.items()}
    tool, keys = _named(rng, gadget)
    others = rng.sample(TOOLBOX, rng.choice((0, 1, 1, 2, 2, 3)))
    idle = [_named(rng, other)[0] for other in others if other is not gadget]
    if rng.random() < 0.1:
        idle.append(_named(rng, made_up_gadget(rng, side))[0])
    tools = [tool, *(other for other in idle if other.name != tool.name)]
    rng.shuffle(tools)
    prompt = rng.choice(templates(gadget.prompts, side)).format(**values)
    if rng.random() < 0.3:
        prompt = rng.choice(templates(OPENINGS, side)).replace("{q}", prompt)
    call = Call(tool.name, {keys[key]: value for key, value in values.items()})
    return gadget, prompt, tuple(tools), call, values


def _named(rng: Random, gadget: Gadget) -> tuple[Tool, dict[str, str]]:
    """A tool with its names chosen, and which JSON key stands for which slot."""
    keys: dict[str, str] = {}
    for key, parameter in gadget.parameters.items():
        keys[key] = rng.choice([name for name in parameter.names if name not in keys.values()])
    schema: dict[str, dict[str, Any]] = {
        keys[key]: {"type": parameter.kind} for key, parameter in gadget.parameters.items()
    }
    if rng.random() < 0.15:
        decoy = rng.choice(tuple(DECOYS))
        schema.setdefault(decoy, DECOYS[decoy])
    tool = Tool(rng.choice(gadget.names), rng.choice(gadget.descriptions), schema)
    return tool, keys
