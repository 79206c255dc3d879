"""Output held to a format token by token, by MAX's own xgrammar; compiled before the request reaches the engine."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from hyperllama.errors import InvalidRequest, Overloaded
from hyperllama_max.utf8 import START, Utf8Masks
from hyperllama_max.vocabulary import Vocabulary

COMPILE_SECONDS: Final = 2.0
QUEUE_SECONDS: Final = 10.0  # to wait for the compiler
THREADS: Final = 2

#: Puts the format on a context, just before it is submitted.
Attach = Callable[[Any], None]


class GrammarCompiler:
    """One model's. Compiled formats are kept by xgrammar itself, up to a size."""

    def __init__(self, delegate: Any, vocabulary: Vocabulary, vocab_size: int, stop_ids: frozenset[int]) -> None:
        """``vocab_size`` as the engine's sampler has it; ``stop_ids`` may follow once the format is complete."""
        from max.pipelines.lib.pipeline_variants.structured_output_backend import make_grammar_backend

        self._backend = make_grammar_backend("xgrammar", delegate, vocab_size, stop_token_ids=set(stop_ids))
        self._masks = Utf8Masks(vocabulary, (vocab_size + 31) // 32, stop_ids)
        self._pool = ThreadPoolExecutor(THREADS, "grammar")
        self._free = asyncio.Semaphore(THREADS)

    async def compile(self, format: dict[str, Any]) -> Attach:
        """Raises InvalidRequest when it cannot be compiled, or not in time."""
        try:
            await asyncio.wait_for(self._free.acquire(), QUEUE_SECONDS)
        except TimeoutError:
            raise Overloaded("Other output formats are being compiled; ask again in a moment.", retry_after=1) from None
        future = self._pool.submit(self._compile, json.dumps({"type": "structural_tag", "format": format}))
        loop = asyncio.get_running_loop()
        # Whoever gives up does not free the thread: it is busy until the compiler is done.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._free.release))
        try:
            compiled = await asyncio.wait_for(asyncio.wrap_future(future), COMPILE_SECONDS)
        except TimeoutError:
            raise InvalidRequest(
                f"The output format takes longer than {COMPILE_SECONDS:g} s to compile; make it simpler."
            ) from None
        except Exception as error:
            logging.getLogger("hyperllama").debug("format refused: %s", error)
            raise InvalidRequest(f"The output format cannot be enforced: {_sentence(error)}") from error
        return lambda context: _attach(context, compiled, self._masks)

    def _compile(self, tag: str) -> Any:
        from max import _xgrammar as xgrammar

        return self._backend._compiler.compile_structural_tag(xgrammar.StructuralTag.model_validate_json(tag))  # noqa: SLF001 - its own methods compile and match in one


def _attach(context: Any, compiled: Any, masks: Utf8Masks) -> None:
    from max import _xgrammar as xgrammar
    from max.pipelines.context import GrammarEnforcementState
    from max.pipelines.lib.pipeline_variants.structured_output_backend import XgrammarMatcher

    class Matcher(XgrammarMatcher):  # type: ignore[misc]  # MAX is untyped here
        """Ignores the token that a step samples, and throws away, for each part of a prompt but the last."""

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

    context.grammar = "attached"  # whether a batch needs masks is told from this field
    context.grammar_state = GrammarEnforcementState(grammar_enforced=True, tools_forced=True)
    context.set_matcher(Matcher(_Utf8Matcher(xgrammar.GrammarMatcher(compiled), masks), context))


class _Utf8Matcher:
    """xgrammar's matcher, but for tokens that would make the text invalid."""

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


def _sentence(error: BaseException) -> str:
    """The last line xgrammar has to say, without its source positions."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else type(error).__name__
    return text.rpartition("] ")[2][:300]


__all__ = ("COMPILE_SECONDS", "Attach", "GrammarCompiler")
