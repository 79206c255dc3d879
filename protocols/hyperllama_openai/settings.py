"""``[plugin.openai]`` of config.toml."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from hyperllama.config import Section

#: Variables that chat templates in the wild read and that are harmless to let a client set.
TEMPLATE_KWARGS = (
    "enable_thinking",
    "thinking",
    "thinking_budget",
    "reasoning_effort",
    "preserve_thinking",
    "keep_past_thinking",
    "tools_in_user_message",
    "date_string",
)


class Settings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    strict: bool = False  # refuse request fields that neither OpenAI nor we know, as OpenAI does
    max_n: Annotated[int, Meta(ge=1, le=128)] = 8  # choices per prompt
    max_choices: Annotated[int, Meta(ge=1, le=4096)] = 128  # choices of one request: prompts times n
    max_inputs: Annotated[int, Meta(ge=1, le=65536)] = 2048  # texts of one embeddings request
    merge_system: bool = True  # one leading system message, which is all that most chat templates take
    named_tool_finish: Literal["stop", "tool_calls"] = "stop"  # finish_reason when tool_choice names the function
    template_kwargs: tuple[str, ...] = TEMPLATE_KWARGS  # what chat_template_kwargs may set
    # Seconds that the Responses API keeps what was asked and answered, which is the callers' own words, in the database
    # of [store]; 0: nothing is kept, whatever a request says. A request with "store": false is never kept.
    response_ttl: Annotated[float, Meta(ge=0)] = 86400.0


__all__ = ("TEMPLATE_KWARGS", "Settings")
