"""A conversation as text, by a template in Go's language: rendered once for all of it, or once a turn for old ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import msgspec

from hyperllama_ollama import template, wire


class Turn(msgspec.Struct, frozen=True):
    role: str
    text: str
    thinking: str = ""


def prompt(
    written: str,
    turns: Sequence[Turn],
    *,
    suffix: str = "",
    think: wire.Think | None,
    think_said: bool = True,
    budget: template.Budget | None = None,
) -> str:
    """Return the model's prompt. ``think_said``: the request has the field.

    Raise Failure for a template that cannot be used, TooMuchWork when all of it takes more than ``budget``.
    """
    budget = budget or template.Budget()
    nodes, turns = template.parse(written, budget), _merged(turns)
    constant: dict[str, template.Value] = {
        "Suffix": suffix,
        "Tools": (),
        "Think": bool(think),
        "ThinkLevel": think if isinstance(think, str) else "",
        "IsThinkSet": think_said,
    }
    if ".Messages" in written:
        system = "\n\n".join(turn.text for turn in turns if turn.role == "system")
        last = next((turn.text for turn in reversed(turns) if turn.role == "user"), "")
        return template.render(
            nodes,
            {
                **constant,
                **_round(system, last, ""),
                "Messages": [
                    {
                        "Role": turn.role,
                        "Content": turn.text,
                        "Thinking": turn.thinking,
                        "ToolCalls": (),
                        "ToolName": "",
                        "Images": (),
                    }
                    for turn in turns
                ],
            },
            budget=budget,
        )
    *before, now = _rounds(turns)
    parts = [template.render(nodes, {**constant, **each}, answered=True, budget=budget) for each in before]
    if ".Response" not in written:
        parts = [f"{part}{each['Response']}" for part, each in zip(parts, before, strict=True)]
    return "".join((*parts, template.render(nodes, {**constant, **now}, budget=budget), str(now["Response"])))


def _merged(turns: Sequence[Turn]) -> list[Turn]:
    """Make one turn of those that one role has in a row."""
    found: list[Turn] = []
    for role, group in groupby(turns, key=lambda turn: turn.role):
        together = list(group)
        if role == "tool":
            found += together
        else:
            text = "\n\n".join(turn.text for turn in together)
            found.append(Turn(role, text, "".join(turn.thinking for turn in together)))
    return found


def _rounds(turns: Sequence[Turn]) -> list[Mapping[str, template.Value]]:
    """Return the data of each rendering of a template for one round: what system, user and model say in it."""
    found = []
    system = asked = answer = ""
    for turn in turns:
        over = answer or (turn.role == "system" and asked)
        if over and turn.role != "assistant":
            found.append(_round(system, asked, answer))
            system = asked = answer = ""
        match turn.role:
            case "system":
                system = turn.text
            case "assistant":
                answer = turn.text
            case _:
                asked = turn.text
    return [*found, _round(system, asked, answer)]


def _round(system: str, asked: str, answer: str) -> dict[str, template.Value]:
    return {"System": system, "Prompt": asked, "Response": answer, "Messages": ()}


__all__ = ("Turn", "prompt")
