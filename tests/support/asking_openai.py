"""Requests to decode, and a model that can do all they ask for."""

from __future__ import annotations

import base64
from typing import Any

from hyperllama.generation import GenerationRequest
from hyperllama.models import ModelInfo
from hyperllama.web import BodyReader
from hyperllama_openai.decode.chat import chat
from hyperllama_openai.decode.completions import Plan, completions
from hyperllama_openai.errors import BodyRefusals
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.chat import ChatRequest
from hyperllama_openai.wire.completions import CompletionRequest

convert = BodyReader(BodyRefusals()).convert

INFO = ModelInfo(
    name="m",
    engine="fake",
    capabilities=frozenset({"completion", "chat", "thinking", "tools", "vision", "insert"}),
    context_length=1024,
    vocab_size=1000,
)
HI = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()


def ask(body: dict[str, Any], settings: Settings = Settings(), info: ModelInfo = INFO) -> GenerationRequest:
    return chat(convert({**HI, **body}, ChatRequest, strict=settings.strict), info, settings)[0]


def complete(body: dict[str, Any], settings: Settings = Settings()) -> Plan:
    return completions(convert({"model": "m", **body}, CompletionRequest, strict=False), INFO, settings)
