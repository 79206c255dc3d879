"""The check of a request against the model's capabilities, before anything is queued."""

from __future__ import annotations

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import GenerationRequest, NoTool
from hyperllama.messages import Chat, Image, Prompt
from hyperllama.models import Capability, ModelInfo


def check(request: GenerationRequest, info: ModelInfo) -> None:
    """Raise UnsupportedFeature. A model whose files are not here yet is not judged: its engine will."""
    if not info.context_length:
        return
    if "completion" not in info.capabilities and "chat" not in info.capabilities:
        raise UnsupportedFeature(f"The model '{info.name}' does not generate text.", param="model")
    match request.input:
        case Chat(messages=messages):
            if any(isinstance(part, Image) for message in messages for part in message.parts):
                _require("vision", "images", info, "messages")
            if request.tools and not isinstance(request.tool_choice, NoTool):
                _require("tools", "tools", info, "tools")
        case Prompt(suffix=str()):
            _require("insert", "a suffix", info, "suffix")
        case _:
            pass


def _require(capability: Capability, what: str, info: ModelInfo, param: str) -> None:
    if capability not in info.capabilities:
        raise UnsupportedFeature(f"The model '{info.name}' does not support {what}.", param=param)


__all__ = ("check",)
