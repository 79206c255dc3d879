"""Results of the engine to chunks: one object for each answer under way, on the I/O thread."""

from __future__ import annotations

from typing import Any

import msgspec

from hyperllama.generation import FinishReason, TokenChunk, TokenLogprob, ToolCallDelta, TopLogprob, Usage
from hyperllama_max.forced import ForcedCall
from hyperllama_max.parsers import CallParser
from hyperllama_max.scoring import Scoring
from hyperllama_max.vocabulary import Vocabulary


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a request on which its answer depends."""

    prompt: list[int]
    ends: frozenset[int]  # ids that end the answer and are not part of it
    return_ids: bool
    logprobs: int | None
    forced: ForcedCall | None = None
    calls: CallParser | None = None
    visible: frozenset[int] = frozenset()  # special tokens that are shown
    scored: Scoring | None = None


class Answer:
    """An answer under way. ``number`` is the gateway's id of it."""

    __slots__ = (
        "_calls",
        "_completion",
        "_detokenize",
        "_ends",
        "_forced",
        "_ids",
        "_logprobs",
        "_plain",
        "_prompt",
        "_scored",
        "_vocabulary",
        "number",
    )

    def __init__(self, number: int, vocabulary: Vocabulary, expected: Expected) -> None:
        self.number = number
        self._vocabulary = vocabulary
        self._detokenize = vocabulary.detokenizer(expected.visible)
        self._prompt = expected.prompt
        self._ends = expected.ends
        self._ids = expected.return_ids
        self._logprobs = expected.logprobs
        self._forced = expected.forced
        self._calls = expected.calls
        self._scored = expected.scored
        self._completion = 0
        self._plain = not self._ids and self._logprobs is None and self._forced is None and self._calls is None

    def chunk(self, output: Any) -> TokenChunk | None:
        """Return the chunk for MAX's TextGenerationOutput of one step; None if it holds nothing of the answer."""
        tokens = output.tokens
        if self._scored is not None:
            tokens = self._scored.written(tokens)
            if not tokens and not output.is_done:
                return None
        first = not self._completion
        self._completion += len(tokens)
        if self._plain and len(tokens) == 1 and not output.is_done and not first:
            return TokenChunk(text=self._detokenize(tokens[0]))
        return self._whole(output, tokens, first=first)

    def _whole(self, output: Any, tokens: list[int], *, first: bool) -> TokenChunk:
        from max.pipelines.context import GenerationStatus

        done = output.is_done
        complete = done and output.final_status == GenerationStatus.END_OF_SEQUENCE
        shown = tokens[:-1] if complete and tokens and tokens[-1] in self._ends else tokens
        text = "".join(map(self._detokenize, shown)) + (self._detokenize(-1) if done else "")
        reason: FinishReason | None = None if not done else "stop" if complete else "length"
        calls: tuple[ToolCallDelta, ...] = ()
        if self._forced is not None:
            calls, text = self._forced.feed(text, complete=complete, last=done), ""
            reason = "tool_calls" if complete else reason
        elif self._calls is not None:
            text, calls = self._calls.feed(text, last=done)
            reason = "tool_calls" if complete and self._calls.seen else reason
        return TokenChunk(
            text=text,
            tokens=len(tokens),
            finish_reason=reason,
            usage=self._usage(output) if done or first else None,
            tool_calls=calls,
            logprobs=self._token_logprobs(output, len(output.tokens) - len(tokens), len(shown))
            if self._logprobs is not None
            else (),
            token_ids=tuple(shown) if self._ids else (),
            prompt_token_ids=tuple(self._prompt) if done and self._ids else (),
            prompt_logprobs=self._of_prompt() if first else (),
        )

    def empty(self) -> TokenChunk:
        """Return the complete answer of no tokens."""
        return TokenChunk(
            tokens=0,
            finish_reason="length",
            usage=Usage(prompt_tokens=len(self._prompt)),
            prompt_token_ids=tuple(self._prompt) if self._ids else (),
            prompt_logprobs=self._of_prompt(),
        )

    def _of_prompt(self) -> tuple[TokenLogprob, ...]:
        return self._scored.logprobs(self._written) if self._scored is not None else ()

    def _usage(self, output: Any) -> Usage:
        return Usage(
            prompt_tokens=len(self._prompt),
            completion_tokens=self._completion,
            cached_tokens=output.num_cached_tokens or 0,
        )

    def _token_logprobs(self, output: Any, skip: int, count: int) -> tuple[TokenLogprob, ...]:
        found: list[TokenLogprob] = []
        for item in output.log_probabilities or ():
            for token, logprob, top in zip(
                item.sampled_token_ids, item.token_log_probabilities, item.top_log_probabilities, strict=True
            ):
                ranked = sorted(top.items(), key=lambda pair: -pair[1])[: self._logprobs]
                found.append(
                    TokenLogprob(
                        *self._written(int(token), float(logprob)),
                        tuple(TopLogprob(*self._written(int(other), float(value))) for other, value in ranked),
                    )
                )
        return tuple(found[skip : skip + count])

    def _written(self, token: int, logprob: float) -> tuple[str, float, int, bytes]:
        data = self._vocabulary.text_of(token)
        return data.decode("utf-8", "replace"), logprob, token, data


__all__ = ("Answer",)
