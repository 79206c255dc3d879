"""Stored chat completions: their list, their messages, what is changed of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from hyperllama.web import Countable
from hyperllama_openai.wire.response import ItemList


class ChatsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query of the list; pairs of ``metadata[key]=value`` are read beside it."""

    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "asc"
    model: str | None = None


class MessagesQuery(msgspec.Struct, frozen=True, kw_only=True):
    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "asc"


class ChatUpdate(msgspec.Struct, frozen=True, kw_only=True):
    countable: ClassVar[Countable] = {"metadata": "choices"}
    metadata: dict[str, str] | None


class ChatList(ItemList, frozen=True, kw_only=True):
    """A page of completions, or of a completion's messages."""


class ChatDeleted(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "chat.completion.deleted"
    id: str
    deleted: bool = True


__all__ = ("ChatDeleted", "ChatList", "ChatUpdate", "ChatsQuery", "MessagesQuery")
