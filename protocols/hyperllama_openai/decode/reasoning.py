"""The reasoning effort, in each of the fields in which clients send it."""

from __future__ import annotations

from hyperllama.generation import Effort
from hyperllama.models import ModelInfo
from hyperllama_openai.errors import InvalidValue
from hyperllama_openai.wire.chat import ChatRequest, Scalar

_EFFORTS: dict[str, bool | Effort] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}


def effort(value: str | None, param: str) -> bool | Effort | None:
    if value is None:
        return None
    try:
        return _EFFORTS[value]
    except KeyError as error:
        known = ", ".join(f"'{name}'" for name in _EFFORTS)
        raise InvalidValue(f"Invalid value for '{param}': expected one of {known}.", param=param) from error


def reasoning(request: ChatRequest, info: ModelInfo) -> bool | Effort | None:
    """Return the effort from OpenAI's field, else OpenRouter's, DeepSeek's or the template's.

    None for a model that cannot think: agents send an effort whatever the model.
    """
    asked = _asked(request)
    return asked if "thinking" in info.capabilities else None


def shown(request: ChatRequest) -> bool:
    """Return whether the caller wants to see the thoughts."""
    return request.include_reasoning is not False and not (request.reasoning is not None and request.reasoning.exclude)


def template_kwargs(found: dict[str, Scalar] | None, allowed: tuple[str, ...]) -> dict[str, Scalar]:
    """Return the variables. Raise InvalidValue for one that is not allowed: a template is code, and these reach it."""
    found = found or {}
    for name, value in found.items():
        if name not in allowed:
            raise InvalidValue(f"'chat_template_kwargs' may not set {name[:80]!r}.", param="chat_template_kwargs")
        if isinstance(value, str) and len(value) > 1024:
            raise InvalidValue(f"'chat_template_kwargs.{name}' is too long.", param="chat_template_kwargs")
    return found


def _asked(request: ChatRequest) -> bool | Effort | None:
    if request.reasoning_effort is not None:
        return effort(request.reasoning_effort, "reasoning_effort")
    if request.reasoning is not None:
        if request.reasoning.effort is not None:
            return effort(request.reasoning.effort, "reasoning.effort")
        if request.reasoning.enabled is not None:
            return request.reasoning.enabled
    if request.thinking is not None and request.thinking.type in ("enabled", "disabled"):
        return request.thinking.type == "enabled"
    for name in ("enable_thinking", "thinking"):
        value = (request.chat_template_kwargs or {}).get(name)
        if isinstance(value, bool):
            return value
    return None


__all__ = ("effort", "reasoning", "shown", "template_kwargs")
