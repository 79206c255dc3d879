"""The options of a reply, the same for a stream and for a whole answer."""

from __future__ import annotations

import msgspec


class ReplyShape(msgspec.Struct, frozen=True, kw_only=True):
    """Identity and options of one reply, chat or plain."""

    id: str
    created: int  # unix seconds
    model: str  # as the client wrote it
    n: int = 1  # choices, of each prompt
    include_usage: bool = False  # a stream ends with the usage
    logprobs: int | None = None  # alternatives of each token; None: no log-probabilities at all
    with_stop: bool = False  # answers keep the stop string that ended them
    show_reasoning: bool = True
    named_finish: str = ""  # finish_reason of a call that was forced by name
    token_ids: bool = False
    custom: dict[str, str] = {}  # custom tools: the model's name -> the client's


__all__ = ("ReplyShape",)
