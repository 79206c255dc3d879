"""Output held to a format token by token, by MAX's own xgrammar; compiled before the request reaches the engine."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

from hyperllama.errors import GatewayError, InvalidRequest
from hyperllama.host import Deadline, Jobs
from hyperllama_max import compat
from hyperllama_max.utf8 import START, Utf8Masks
from hyperllama_max.vocabulary import Vocabulary

COMPILE_SECONDS: Final = 2.0
QUEUE_SECONDS: Final = 10.0  # to wait for the compiler
THREADS: Final = 2
STEP_SECONDS: Final = 1e-3  # a token's share of a step that all rows of the batch wait for
TRIAL: Final = 64  # tokens in which a format shows what it takes
MAX_TAG: Final = 1_048_576  # characters of a format
TRIED: Final = 1024  # formats that are not tried again

_PLACE: Final = re.compile(r"^\[[0-9:]+\] \S+:[0-9]+: ")

#: Puts the format on a context, just before it is submitted.
Attach = Callable[[Any], None]


class GrammarCompiler:
    """The grammars of one model. Compiled formats are kept by xgrammar itself, up to a size."""

    def __init__(self, delegate: Any, vocabulary: Vocabulary, vocab_size: int, stop_ids: frozenset[int]) -> None:
        """Take ``vocab_size`` as in the engine's sampler; ``stop_ids`` may follow once the format is complete."""
        from max.pipelines.lib.pipeline_variants.structured_output_backend import make_grammar_backend

        self._backend = make_grammar_backend("xgrammar", delegate, vocab_size, stop_token_ids=set(stop_ids))
        self._vocabulary = vocabulary
        self._words = (vocab_size + 31) // 32
        self._masks = Utf8Masks(vocabulary, self._words, stop_ids)
        self._tried: dict[bytes, None] = {}
        self._jobs = Jobs(
            "grammar",
            threads=THREADS,
            seconds=COMPILE_SECONDS,
            wait=QUEUE_SECONDS,
            late="The output format takes longer than {seconds:g} s to compile; make it simpler.",
            busy="Other output formats are being compiled; ask again in a moment.",
        )

    async def compile(self, make: Callable[[], dict[str, Any]], *, cost: int = 0) -> Attach:
        """Compile the format that ``make`` returns; both on a thread. ``cost`` is any number that grows with the work.

        Raises what ``make`` raises, InvalidRequest when the format cannot be compiled, or not in time, Overloaded.
        """

        def work(deadline: Deadline) -> Any:
            tag = json.dumps({"type": "structural_tag", "format": make()})
            if len(tag) > MAX_TAG:
                raise InvalidRequest(f"The output format is longer than {MAX_TAG} characters; make it simpler.")
            try:
                return self._compile(tag, deadline)
            except (GatewayError, TimeoutError):
                raise
            except Exception as error:
                logging.getLogger("hyperllama").debug("format refused: %s", error)
                raise InvalidRequest(f"The output format cannot be enforced: {_sentence(error)}") from error

        compiled = await self._jobs.run(work, cost=cost)
        return lambda context: _attach(context, compiled, self._masks)

    def _compile(self, tag: str, deadline: Deadline) -> Any:
        xgrammar = compat.xgrammar()
        compiled = compat.grammar_compiler(self._backend).compile_structural_tag(
            xgrammar.StructuralTag.model_validate_json(tag)
        )
        if (digest := blake2b(tag.encode()).digest()) not in self._tried:
            self._try(xgrammar.GrammarMatcher(compiled), deadline)
            self._tried[digest] = None
            if len(self._tried) > TRIED:
                self._tried.pop(next(iter(self._tried)), None)
        return compiled

    def _try(self, matcher: Any, deadline: Deadline) -> None:
        """Write the longest text it allows for a while.

        Raises InvalidRequest when its tokens take too long each, or when no token may follow before the format is
        complete: MAX would then stop constraining the answer.
        """
        import numpy as np

        length_of = self._vocabulary.text_of
        began = time.thread_time()
        for tokens in range(1, TRIAL + 1):
            deadline.check()
            allowed = np.flatnonzero(_bits(matcher, self._words * 32))
            some = allowed[:: len(allowed) // 64 + 1].tolist()
            longest = max(some, key=lambda number: len(length_of(number)), default=-1)
            if longest < 0 and not matcher.is_completed():
                raise InvalidRequest("The output format asks for something that no text is.")
            if longest < 0 or not matcher.accept_token(longest) or matcher.is_terminated():
                return
            if time.thread_time() - began > STEP_SECONDS * max(tokens, TRIAL // 4):
                raise InvalidRequest("The output format takes too long to check at every token; make it simpler.")


def _attach(context: Any, compiled: Any, masks: Utf8Masks) -> None:
    from max.pipelines.context import GrammarEnforcementState
    from max.pipelines.lib.pipeline_variants.structured_output_backend import XgrammarMatcher

    class Matcher(XgrammarMatcher):  # type: ignore[misc]  # MAX is untyped here
        """The matcher of one answer. It ignores tokens sampled for parts of a prompt before the last."""

        def __init__(self, raw: Any, context: Any) -> None:
            super().__init__(raw)
            self._context = context
            self._length = len(context.tokens)

        def try_consume_tokens(self, tokens: list[int]) -> int:
            length = len(self._context.tokens)
            if length == self._length:
                return len(tokens)
            self._length = length
            consumed: int = super().try_consume_tokens(tokens)
            return consumed

        def allowed(self, size: int) -> Any:
            """Return an array of booleans: whether each of the first ``size`` tokens may come next."""
            return _bits(self._matcher, size)

    context.grammar = "attached"  # this field shows whether a batch needs masks
    context.grammar_state = GrammarEnforcementState(grammar_enforced=True, tools_forced=True)
    context.set_matcher(Matcher(_Utf8Matcher(compat.xgrammar().GrammarMatcher(compiled), masks), context))


class _Utf8Matcher:
    """xgrammar's matcher without the tokens that would make the text invalid UTF-8."""

    def __init__(self, matcher: Any, masks: Utf8Masks) -> None:
        self._matcher = matcher
        self._masks = masks
        self._state = START
        self.is_completed = matcher.is_completed
        self.is_terminated = matcher.is_terminated

    @property
    def stop_token_ids(self) -> Any:
        return self._matcher.stop_token_ids

    def accept_token(self, token: int) -> bool:
        if not self._matcher.accept_token(token):
            return False
        self._state = self._masks.after(self._state, token)
        return True

    def fill_next_token_bitmask(self, bitmask: Any, index: int) -> None:
        self._matcher.fill_next_token_bitmask(bitmask, index)
        row = bitmask[index] & self._masks.mask(self._state)
        if row.any():
            bitmask[index] = row


def _bits(matcher: Any, size: int) -> Any:
    """Return an array of booleans: whether ``matcher`` allows each of the first ``size`` tokens."""
    import numpy as np

    packed = np.zeros((1, (size + 31) // 32), np.int32)
    matcher.fill_next_token_bitmask(packed, 0)
    return np.unpackbits(packed[0].view(np.uint8), count=size, bitorder="little").astype(bool)


def _sentence(error: BaseException) -> str:
    """Return the last line of xgrammar's error, without the time and the place in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else type(error).__name__
    return _PLACE.sub("", text)[:300]


__all__ = ("COMPILE_SECONDS", "Attach", "GrammarCompiler")
