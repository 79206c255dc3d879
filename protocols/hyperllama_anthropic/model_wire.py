"""Models, as Anthropic lists them."""

from __future__ import annotations

from typing import Literal

import msgspec


class Support(msgspec.Struct, frozen=True):
    supported: bool


NO = Support(False)


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    supported: bool
    types: dict[str, Support]


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    supported: bool
    low: Support
    medium: Support
    high: Support
    xhigh: Support
    max: Support


class ServerTools(msgspec.Struct, frozen=True, kw_only=True):
    supported: bool = False
    code_execution: Support = NO
    web_search: Support = NO


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """The features of a model and of what runs it. Nothing runs tools, edits contexts or cites here."""

    batch: Support
    citations: Support = NO
    code_execution: Support = NO
    context_management: Support = NO
    effort: Effort
    image_input: Support
    pdf_input: Support
    server_tools: ServerTools = ServerTools()
    structured_outputs: Support
    thinking: Thinking


class Model(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str = "model"
    display_name: str
    created_at: str
    max_input_tokens: int
    max_tokens: int
    capabilities: Capabilities
    lifecycle: Literal["active"] = "active"
    line: str | None = None
    deprecated_at: str | None = None
    retires_at: str | None = None


class ModelPage(msgspec.Struct, frozen=True, kw_only=True):
    data: list[Model]
    has_more: bool
    first_id: str | None
    last_id: str | None


__all__ = ("Capabilities", "Effort", "Model", "ModelPage", "ServerTools", "Support", "Thinking")
