"""An engine that answers with the words of the last message: the smallest whole plugin."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from itertools import cycle, islice
from pathlib import Path
from zlib import crc32

from hyperllama import hookimpl
from hyperllama.config import Config
from hyperllama.errors import ContextTooLong, EngineFailed, InvalidRequest
from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.messages import Chat, Prompt
from hyperllama.models import LoadProgress, ModelInfo, ModelSpec
from hyperllama.spi import Engine, LoadedModel, Report
from hyperllama.stream import TokenStream

CONTEXT = 4096


class EchoModel:
    """A model whose tokens are words."""

    failure: str | None = None

    def __init__(self, info: ModelInfo) -> None:
        self.info = info
        self._closed = False

    async def generate(self, request: GenerationRequest) -> TokenStream:
        """Return the stream of words. Raise here what can be refused: nothing has been sent yet."""
        if self._closed:
            raise EngineFailed("The model is not loaded.")
        words = _prompt(request).split()
        if not words:
            raise InvalidRequest("There are no words to echo.")
        if len(words) > CONTEXT:
            raise ContextTooLong(f"The prompt has {len(words)} words, and the context holds {CONTEXT}.")
        return TokenStream(self._answer(words, request))

    async def _answer(self, words: list[str], request: GenerationRequest) -> AsyncGenerator[TokenChunk, None]:
        most = request.sampling.max_tokens
        answer = list(islice(cycle(words), most)) if request.sampling.ignore_eos and most else words[:most]
        for count, word in enumerate(answer, 1):
            if self._closed:
                raise EngineFailed("The model was unloaded.")
            last = count == len(answer)
            yield TokenChunk(
                text=word if count == 1 else f" {word}",
                token_ids=_ids([word]),
                usage=Usage(len(words), count) if last or count == 1 else None,
                prompt_token_ids=_ids(words) if last and request.return_token_ids else (),
                finish_reason=None if not last else "length" if count == most else "stop",
            )

    def memory(self) -> tuple[int, int]:
        return 0, 0

    def watch(self, on_failure: Callable[[str], None]) -> None:
        """Do nothing: an echo never fails."""

    async def close(self) -> None:
        self._closed = True


class EchoEngine:
    name = "echo"

    def describe(self, spec: ModelSpec, path: Path | None) -> ModelInfo:
        capabilities = frozenset({"chat", "completion"})
        return ModelInfo(
            name=spec.name, engine="echo", capabilities=capabilities, context_length=CONTEXT, family="echo"
        )

    async def load(self, spec: ModelSpec, path: Path | None, report: Report) -> LoadedModel:
        report(LoadProgress("ready"))
        return EchoModel(self.describe(spec, path))


def _prompt(request: GenerationRequest) -> str:
    match request.input:
        case Chat(messages):
            return messages[-1].text if messages else ""
        case Prompt(text):
            return text
    return ""


def _ids(words: Iterable[str]) -> tuple[int, ...]:
    return tuple(crc32(word.encode()) for word in words)


@hookimpl
def hyperllama_engines(config: Config) -> Iterable[Engine]:
    return (EchoEngine(),)
