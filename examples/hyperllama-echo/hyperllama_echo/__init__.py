"""An engine that says back what it was told: the smallest whole plugin."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path

from hyperllama import hookimpl
from hyperllama.config import Config
from hyperllama.errors import InvalidRequest
from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.messages import Chat, Prompt
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.spi import Engine, LoadedModel, Report
from hyperllama.stream import TokenStream


class EchoModel:
    failure: str | None = None

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    async def generate(self, request: GenerationRequest) -> TokenStream:
        words = _said(request).split()
        if not words:
            raise InvalidRequest("there is nothing to say back")
        return TokenStream(_words(words[: request.sampling.max_tokens]))

    def memory(self) -> tuple[int, int]:
        return 0, 0

    def watch(self, on_failure: Callable[[str], None]) -> None:
        """An echo never fails."""

    async def close(self) -> None:
        """There is nothing to give back."""


class EchoEngine:
    name = "echo"

    def describe(self, spec: ModelSpec, path: Path | None) -> ModelInfo:
        capabilities = frozenset({"chat", "completion"})
        return ModelInfo(name=spec.name, engine="echo", capabilities=capabilities, context_length=4096, family="echo")

    async def load(self, spec: ModelSpec, path: Path | None, report: Report) -> LoadedModel:
        return EchoModel(self.describe(spec, path))


async def _words(words: list[str]) -> AsyncGenerator[TokenChunk, None]:
    for index, word in enumerate(words):
        yield TokenChunk(text=word if index == 0 else f" {word}")
    usage = Usage(prompt_tokens=len(words), completion_tokens=len(words))
    yield TokenChunk(tokens=0, finish_reason="stop", usage=usage)


def _said(request: GenerationRequest) -> str:
    match request.input:
        case Chat(messages):
            return messages[-1].text if messages else ""
        case Prompt(text):
            return text
    return ""


@hookimpl
def hyperllama_engines(config: Config) -> Iterable[Engine]:
    return (EchoEngine(),)
