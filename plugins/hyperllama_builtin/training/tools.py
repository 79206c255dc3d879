"""Dialogues with tools on offer: the right call with the right arguments, and the answer from its result."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hyperllama_builtin.training.dialogue import Call, Dialogue, Tool, Turn
from hyperllama_builtin.training.gadget import Gadget
from hyperllama_builtin.training.gateway import OPENINGS
from hyperllama_builtin.training.made_up_tools import DECOYS, made_up_gadget
from hyperllama_builtin.training.split import Side, phrase, spelling, templates
from hyperllama_builtin.training.toolbox import TOOLBOX
from hyperllama_builtin.training.values import led, word

__all__ = ("offer", "tool_case", "tool_dialogue")

_BEFORE = ("my_", "the_", "do_", "new_", "api_", "in_", "any_", "for_", "our_", "run_", "x_", "go_", "a_", "main_")
_AFTER = ("_tool", "_api", "_now", "_info", "_name", "_value", "_v", "_call", "_here", "_it", "_arg", "_data", "_x")


def tool_case(rng: Random, side: Side) -> tuple[str, tuple[Tool, ...], Call]:
    """Return a prompt, the tools on offer and the one right call."""
    _gadget, prompt, tools, call, _values = _case(rng, side)
    return prompt, tools, call


def tool_dialogue(rng: Random, side: Side) -> Dialogue:
    """Return a dialogue of a call and, now and then, its result and the answer."""
    gadget, prompt, tools, call, values = _case(rng, side)
    turns = [Turn("user", prompt), Turn("assistant", call.text())]
    if rng.random() < 0.25:
        results = {key: make(rng, side) for key, make in gadget.results.items()}
        turns += (
            Turn("tool", json.dumps(results, ensure_ascii=False)),
            Turn("assistant", gadget.reply.format(**values, **results)),
        )
    return Dialogue("tools", tuple(turns), tools)


def offer(rng: Random, side: Side) -> tuple[Tool, ...]:
    """Return some tools that are unrelated to what comes next."""
    return tuple(_named(rng, gadget, side)[0] for gadget in rng.sample(TOOLBOX, rng.randint(1, 3)))


def _case(rng: Random, side: Side) -> tuple[Gadget, str, tuple[Tool, ...], Call, dict[str, object]]:
    gadget = made_up_gadget(rng, side) if rng.random() < 0.2 else rng.choice(TOOLBOX)
    values = {key: parameter.make(rng, side) for key, parameter in gadget.parameters.items()}
    tool, keys = _named(rng, gadget, side)
    others = rng.sample(TOOLBOX, rng.choice((0, 1, 1, 2, 2, 3)))
    idle = [_named(rng, other, side)[0] for other in others if other is not gadget]
    if rng.random() < 0.1:
        idle.append(_named(rng, made_up_gadget(rng, side), side)[0])
    tools = [tool, *(other for other in idle if other.name != tool.name)]
    rng.shuffle(tools)
    prompt = phrase(rng, gadget.prompts, side).format(**values)
    if side == "train" and rng.random() < 0.15:
        prompt = led(rng, prompt)
    if rng.random() < 0.3:
        prompt = spelling(rng, rng.choice(templates(OPENINGS, side))).replace("{q}", prompt)
    call = Call(tool.name, {keys[key]: value for key, value in values.items()})
    return gadget, prompt, tuple(tools), call, values


def _named(rng: Random, gadget: Gadget, side: Side) -> tuple[Tool, dict[str, str]]:
    """Return a tool with its names chosen, and the slot that each JSON key stands for.

    In training most names are altered or made up (at most one of a tool's parameters), so that the model cannot guess a
    name but must read it in the definition.
    """
    keys: dict[str, str] = {}
    nameless = rng.choice(tuple(gadget.parameters)) if side == "train" and rng.random() < 0.35 else ""
    altered = side == "train" and rng.random() < 0.5
    for key, parameter in gadget.parameters.items():
        name = rng.choice([name for name in parameter.names if name not in keys.values()])
        keys[key] = _coined(rng, side) if key == nameless else _altered(rng, name) if altered else name
    schema: dict[str, dict[str, Any]] = {
        keys[key]: {"type": parameter.kind} for key, parameter in gadget.parameters.items()
    }
    if rng.random() < 0.15:
        decoy = rng.choice(tuple(DECOYS))
        schema.setdefault(decoy, DECOYS[decoy])
    name = rng.choice(gadget.names)
    if side == "train" and rng.random() < 0.7:
        name = _coined(rng, side) if rng.random() < 0.5 else _altered(rng, name)
    return Tool(name, spelling(rng, rng.choice(gadget.descriptions)), schema), keys


def _altered(rng: Random, name: str) -> str:
    return rng.choice(_BEFORE) + name if rng.random() < 0.5 else name + rng.choice(_AFTER)


def _coined(rng: Random, side: Side) -> str:
    name = word(rng, side)
    return f"{name}_{word(rng, side)}" if rng.random() < 0.3 else name
