"""A streamed completion: the same object name as a whole one, no roles, text alone."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from hyperllama.errors import EngineFailed, GatewayError
from hyperllama.generation import TokenChunk, TokenLogprob, Usage
from hyperllama_openai.encode import finish, sse
from hyperllama_openai.encode.logprobs import Offsets
from hyperllama_openai.encode.shape import ReplyShape
from hyperllama_openai.encode.usage import total
from hyperllama_openai.wire import completions as wire

_ENCODE = sse.JSON.encode
_TEXT_END = b',"logprobs":null,"finish_reason":null}]}\n\n'


class _Choice:
    __slots__ = ("echo", "finished", "index", "offsets", "text", "usage")

    def __init__(self, index: int, head: bytes, echo: str, *, top: bool) -> None:
        self.index = index
        self.text = head + b'[{"index":%d,"text":' % index
        self.echo = echo  # not said yet
        self.offsets = Offsets(start=len(echo), top=top)
        self.finished = False
        self.usage: Usage | None = None


class CompletionEncoder:
    """Chunks to ``text_completion`` events."""

    media_type = sse.MEDIA_TYPE

    def __init__(self, shape: ReplyShape, *, echoes: Sequence[str] = ("",)) -> None:
        """Take ``echoes``: the text before each choice's own, one per choice."""
        logprobs = shape.logprobs
        self._head = b'data: {"id":%b,"object":"text_completion","created":%d,"model":%b,"choices":' % (
            _ENCODE(shape.id),
            shape.created,
            _ENCODE(shape.model),
        )
        self._choices = [_Choice(index, self._head, echo, top=bool(logprobs)) for index, echo in enumerate(echoes)]
        self._n = shape.n
        self._include_usage = shape.include_usage
        self._logprobs = logprobs is not None
        self._top = bool(logprobs)
        self._with_stop = shape.with_stop
        self._token_ids = shape.token_ids

    def chunks(self, index: int, chunks: Sequence[TokenChunk]) -> bytes:
        choice = self._choices[index]
        start, plain = choice.text, not (self._logprobs or self._token_ids)
        out: list[bytes] = []
        if choice.echo:
            self._echo(out, choice, chunks[0].prompt_logprobs if chunks else ())
        for chunk in chunks:
            if plain and chunk.finish_reason is None:
                if text := chunk.reasoning + chunk.text:
                    out += (start, _ENCODE(text), _TEXT_END)
            else:
                self._spell(out, choice, chunk)
        return b"".join(out)

    def end(self) -> bytes:
        if not all(choice.finished for choice in self._choices):
            return self.failure(EngineFailed("The engine stopped before the answer was complete."))
        if not self._include_usage:
            return sse.DONE
        usage = total([choice.usage for choice in self._choices], n=self._n)
        return self._head + b'[],"usage":' + _ENCODE(usage) + b"}\n\n" + sse.DONE

    def failure(self, error: GatewayError) -> bytes:
        return sse.failure(error)

    def _echo(self, out: list[bytes], choice: _Choice, probs: Sequence[TokenLogprob]) -> None:
        """Append the prompt, before all else, with its log-probabilities if they are known."""
        if probs:
            choice.offsets = Offsets(start=0, top=self._top)
            said = choice.offsets.spell(probs)
            out.append(self._event(wire.Choice(index=choice.index, text=choice.echo, logprobs=said)))
        else:
            out += (choice.text, _ENCODE(choice.echo), _TEXT_END)
        choice.echo = ""

    def _spell(self, out: list[bytes], choice: _Choice, chunk: TokenChunk) -> None:
        # A raw completion has no place for thoughts of its own: a model that marks them wrote them as text.
        text = chunk.reasoning + chunk.text + (chunk.stop_match or "" if self._with_stop else "")
        token_ids: list[int] | UnsetType = list(chunk.token_ids) if self._token_ids else UNSET
        bare = bool(token_ids) and chunk.finish_reason is None  # ids that make no text
        if text or chunk.logprobs or bare:
            probs = choice.offsets.spell(chunk.logprobs) if self._logprobs else None
            out.append(self._event(wire.Choice(index=choice.index, text=text, logprobs=probs, token_ids=token_ids)))
            token_ids = UNSET
        if chunk.finish_reason is not None and not choice.finished:
            choice.finished = True
            choice.usage = chunk.usage
            last = wire.Choice(
                index=choice.index,
                text="",
                finish_reason=finish.text(chunk.finish_reason),
                stop_reason=UNSET if chunk.stop_match is None else chunk.stop_match,
                token_ids=token_ids,
                prompt_token_ids=list(chunk.prompt_token_ids) if self._token_ids else UNSET,
            )
            out.append(self._event(last))

    def _event(self, choice: wire.Choice) -> bytes:
        return self._head + _ENCODE((choice,)) + b"}\n\n"


__all__ = ("CompletionEncoder",)
