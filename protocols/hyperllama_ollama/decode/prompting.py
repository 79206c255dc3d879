"""A conversation as text, by a template in Go's language: all of it at once, or turn by turn as older ones want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hyperllama_ollama import template, wire


class Turn(msgspec.Struct, frozen=True):
    role: str
    text: str
    thinking: str = ""


def prompt(
    written: str, turns: Sequence[Turn], *, suffix: str = "", think: wire.Think | None, think_said: bool = True
) -> str:
    """What the model is given. ``think_said``: the request said something of it. Raises Failure."""
    nodes, turns = template.parse(written), _merged(turns)
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
        )
    *before, now = _rounds(turns)
    parts = [template.render(nodes, {**constant, **each}, answered=True) for each in before]
    if ".Response" not in written:
        parts = [f"{part}{each['Response']}" for part, each in zip(parts, before, strict=True)]
    return "".join((*parts, template.render(nodes, {**constant, **now}), str(now["Response"])))


def _merged(turns: Sequence[Turn]) -> list[Turn]:
    """Who speaks twice in a row has spoken once."""
    found: list[Turn] = []
    for turn in turns:
        if found and found[-1].role == turn.role != "tool":
            before = found.pop()
            found.append(Turn(turn.role, f"{before.text}\n\n{turn.text}", before.thinking + turn.thinking))
        else:
            found.append(turn)
    return found


def _rounds(turns: Sequence[Turn]) -> list[Mapping[str, template.Value]]:
    """One for each time that the template is gone through: what the system, the user and the model say in it."""
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
