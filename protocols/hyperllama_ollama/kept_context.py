"""The cut of ``context``, the tokens of earlier turns that a client of ``/api/generate`` keeps: oldest turns first."""

from __future__ import annotations

import msgspec

SEEN = 4  # lengths of the model's context in which turns are looked for, from the end


class Kept(msgspec.Struct, frozen=True):
    """Tokens that end with the new turn.

    Neither the last ``turn`` of them are ever left out, nor the first ``begin``, the model's beginning of a text.
    """

    ids: tuple[int, ...]
    turn: int
    begin: int = 0


def cut(kept: Kept, room: int, reserved: int) -> tuple[int, ...]:
    """Return the tokens without the oldest behind the beginning, so that ``reserved`` of ``room`` are left.

    What is left begins with a turn where turns can be found: each begins with the same two tokens as the last. The new
    turn stays whole, however long it is.
    """
    ids = kept.ids
    if len(ids) + reserved <= room:
        return ids
    first, last = ids[: kept.begin], ids[len(ids) - kept.turn :]
    behind = ids[max(kept.begin, len(ids) - SEEN * room) : len(ids) - kept.turn]
    start = max(0, len(behind) - max(0, room - reserved - kept.begin - kept.turn))
    mark = last[:2]
    turns = [at for at in range(len(behind)) if behind[at : at + 2] == mark]
    if turns:
        start = next((at for at in turns if at >= start), len(behind))
    return (*first, *behind[start:], *last)


__all__ = ("Kept", "cut")
