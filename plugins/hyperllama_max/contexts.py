"""Requests as MAX's contexts. MAX checks nothing: one invalid request fails its whole batch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from hyperllama.errors import ContextTooLong, InvalidRequest, UnsupportedFeature
from hyperllama.generation import Effort, GenerationRequest, JsonSchema, NoTool, Rendering, Sampling, ToolSpec
from hyperllama.host import Deadline, Jobs
from hyperllama.messages import Chat, Input, Message, Prompt, PromptTokens, Text
from hyperllama.models import ModelInfo
from hyperllama.schemas import forced_tools
from hyperllama_max import sampling, schemas, scoring
from hyperllama_max.answers import Answer, Expected
from hyperllama_max.describe import FILL_IN_MIDDLE
from hyperllama_max.forced import CallFormat, ForcedCall
from hyperllama_max.grammar import Attach, GrammarCompiler
from hyperllama_max.parsers import CallParser
from hyperllama_max.renderings import Renderings
from hyperllama_max.sampling import Limits
from hyperllama_max.scoring import Scoring
from hyperllama_max.vocabulary import Vocabulary

#: Special tokens that the core's parsers look for in the text.
_REASONING_MARKS: Final = ("<think>", "</think>", "[THINK]", "[/THINK]", "<seed:think>", "</seed:think>")
_TOOL_MARKS: Final = ("<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>")
_ITEM: Final = 64
_COMPILING: Final = 8192  # what compiling a template costs, in characters encoded


class Admitted(msgspec.Struct):
    """A request that is ready for the engine. ``context`` None: there is nothing to generate."""

    answer: Answer
    context: Any


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a loaded model that an admission needs."""

    info: ModelInfo
    vocabulary: Vocabulary
    jobs: Jobs  # for rendering and encoding
    renderings: Renderings
    grammar: GrammarCompiler | None  # None: no structured output
    limits: Limits
    ends: frozenset[int]  # the model's end-of-sequence ids
    parser: str | None  # MAX's own for its tool calls; None: the core's
    apart: bool  # a cached prompt serves the tenant it came from and no other
    adapters: frozenset[str] = frozenset()  # names that choose an adapter when they are requested as the model's
    images: bool = False  # made for images, too; it gets text


class Admission:
    """The checks, rendering and encoding of requests, called on the I/O thread; heavy work is done on others."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._info = model.info
        self._vocabulary = model.vocabulary
        self._limits = model.limits
        self._reasoning_marks = self._marks(_REASONING_MARKS)
        self._tool_marks = self._marks(_TOOL_MARKS)

    async def admit(self, number: int, request: GenerationRequest) -> Admitted:
        """Return the request ready for the engine. Raise a GatewayError if it cannot be served."""
        if request.template is not None:
            raise UnsupportedFeature("This engine takes no chat template from a request.", param="template")
        asked = self._model.renderings.defaults(request.rendering).apply(request.sampling)
        sampling.check(asked, self._limits)
        ids = await self.encode(
            request.input,
            tools=request.tools,
            reasoning=request.reasoning,
            system=request.system,
            rendering=request.rendering,
        )
        room = self._room(ids, request)
        new = room if asked.max_tokens is None else min(asked.max_tokens, room)
        callable_tools = forced_tools(request)
        forced: ForcedCall | None = None
        attach: Attach | None = None
        if callable_tools:
            calls_as = CallFormat(self._model.renderings.of(request.rendering).template)
            prefixes = [calls_as.prefix(tool) for tool in callable_tools]
            suffix = calls_as.suffix
            attach = await self._compile_schema(partial(schemas.of_call, callable_tools, prefixes, suffix))
            forced = ForcedCall(callable_tools, prefixes, suffix)
        elif isinstance(output := request.output, JsonSchema):
            attach = await self._compile_schema(partial(schemas.of_output, output))
        elif output is not None:
            attach = await self._compile(lambda: schemas.of_output(output))
        calls = None
        offered = bool(request.tools) and not isinstance(request.tool_choice, NoTool)
        if self._model.parser is not None and offered and forced is None:
            calls = CallParser(self._model.parser, request.tools)
        ends = frozenset(asked.stop_token_ids)
        if not asked.ignore_eos or attach is not None:
            ends |= self._model.ends
        if attach is not None or not ends:
            # A format is over when it is complete: nothing may follow, and nothing need. And where no token ends the
            # answer there is nothing to keep away, which MAX's mask takes for an error of the whole step.
            asked = msgspec.structs.replace(asked, min_tokens=None)
        scored = scoring.scoring(asked, ids, self._limits, ends)
        if scored is not None and attach is not None:
            raise UnsupportedFeature("An output format and log-probabilities of the prompt do not go together.")
        answer = Answer(
            number,
            self._vocabulary,
            Expected(
                prompt=ids,
                ends=ends,
                return_ids=request.return_token_ids,
                logprobs=asked.logprobs,
                forced=forced,
                calls=calls,
                scored=scored,
                visible=self._reasoning_marks | self._tool_marks if offered else self._reasoning_marks,
            ),
        )
        before = ids if scored is None else ids[:1]
        written = len(ids) - len(before)
        if not written + new:
            return Admitted(answer, None)
        asked = scoring.begun(asked, written)
        context = self._context(number, before, written + new, asked, ends, attach, scored)
        # MAX takes an empty salt for none: then every tenant finds every other's prompts in the cache.
        context.cache_salt = request.tenant if self._model.apart else None
        if request.model in self._model.adapters:
            context.model_name = request.model
        return Admitted(answer, context)

    async def encode(
        self,
        input: Input,
        *,
        tools: tuple[ToolSpec, ...] = (),
        reasoning: bool | Effort | None = None,
        system: str | None = None,
        rendering: Rendering | None = None,
    ) -> list[int]:
        """Return the ids the engine would see. ``system`` replaces any system prompt there is; None: it stays.

        ``rendering`` is that of a name that shares the model; None: the model's own.
        """
        match input:
            case Chat():
                own = self._model.renderings.of(rendering)
                if not own.template:
                    raise UnsupportedFeature(
                        "This model has no chat template; send it a plain prompt.", param="messages"
                    )
                replaced = input
                if system is None:
                    system = own.system
                else:
                    others = tuple(message for message in input.messages if message.role != "system")
                    replaced = msgspec.structs.replace(input, messages=others)
                ids = await self._rendered(own.template, replaced, tools, system, reasoning)
            case Prompt(text, suffix, special):
                self._bound(len(text) + len(suffix or ""))
                ids = await self._model.jobs.run(
                    lambda _: (
                        self._vocabulary.encode_prompt(text, special=special)
                        if suffix is None
                        else self._around(text, suffix)
                    ),
                    cost=len(text) + len(suffix or ""),
                )
            case PromptTokens(numbers):
                ids = list(numbers)
                if ids and not (min(ids) >= 0 and max(ids) < self._limits.vocab_size):
                    raise InvalidRequest(
                        f"A token id is not in the model's vocabulary of {self._limits.vocab_size}.", param="prompt"
                    )
        if not ids:
            raise InvalidRequest("The prompt is empty.", param="prompt")
        return ids

    async def _rendered(
        self,
        template: str,
        chat: Chat,
        tools: tuple[ToolSpec, ...],
        system: str | None,
        reasoning: bool | Effort | None,
    ) -> list[int]:
        renderings = self._model.renderings
        compiling = 0 if renderings.compiled(template) else _COMPILING

        def work(deadline: Deadline) -> list[int]:
            self._bound(sum(_characters(message) for message in chat.messages))
            rendered = renderings.template(template).render(
                chat, tools, system=system, reasoning=reasoning, deadline=deadline
            )
            self._bound(sum(map(len, rendered.pieces)))
            return self._vocabulary.encode(rendered, deadline)

        return await self._model.jobs.run(work, cost=_cost(chat, tools) + compiling)

    def _around(self, prefix: str, suffix: str) -> list[int]:
        for names in FILL_IN_MIDDLE:
            marks = [self._vocabulary.id_of(name) for name in names]
            if None not in marks:
                before = self._vocabulary.encode_literal(prefix)
                after = self._vocabulary.encode_literal(suffix)
                return [
                    number
                    for part in (marks[:1], before, marks[1:2], after, marks[2:])
                    for number in part
                    if number is not None
                ]
        raise UnsupportedFeature("This model cannot fill in between a prompt and a suffix.", param="suffix")

    def _bound(self, characters: int) -> None:
        """Refuse text that cannot fit before it is tokenized: no token is longer than a few dozen bytes."""
        limit = self._info.context_length
        if characters > limit * 64 + 65536:
            raise self._too_long(limit, f"more than {limit}")

    def _room(self, ids: list[int], request: GenerationRequest) -> int:
        limit = self._info.context_length
        if request.context_length is not None:
            limit = min(limit, request.context_length)
        wanted = request.sampling.max_tokens
        least = max(0 if wanted == 0 else 1, request.reserved)
        if len(ids) + least > limit:
            raise self._too_long(limit, str(len(ids)))
        return limit - len(ids)

    def _too_long(self, limit: int, count: str) -> ContextTooLong:
        return ContextTooLong(
            f"This model's maximum context length is {limit} tokens. However, the prompt has {count} tokens, which "
            "leaves no room for an answer. Please shorten the prompt.",
            param="messages",
        )

    async def _compile_schema(self, make: Callable[..., dict[str, Any]]) -> Attach:
        """Compile what ``make`` returns; without lengths, counts and patterns where they are too much for xgrammar.

        Not where ``strict`` is asked for them: then ``make`` refuses to leave them out.
        """
        try:
            return await self._compile(make)
        except InvalidRequest as refusal:
            try:
                attach = await self._compile(partial(make, heaviest=0))
            except InvalidRequest:
                raise refusal from None
        logging.getLogger("hyperllama").warning("a schema is followed without its lengths, counts and patterns")
        return attach

    async def _compile(self, make: Callable[[], dict[str, Any]]) -> Attach:
        if self._model.grammar is None:
            raise UnsupportedFeature("This model is loaded without structured output.", param="response_format")
        return await self._model.grammar.compile(make)

    def _context(
        self,
        number: int,
        ids: list[int],
        new: int,
        asked: Sampling,
        ends: frozenset[int],
        attach: Attach | None,
        scored: Scoring | None = None,
    ) -> Any:
        import numpy as np
        from max.pipelines.context import EOSTracker, TextAndVisionContext, TextContext, TokenBuffer
        from max.pipelines.request import RequestID

        # Zero and one of the chosen token's own are the same to MAX: it takes no zero.
        logprobs = 0 if asked.logprobs is None else max(1, asked.logprobs)
        kind = partial(TextAndVisionContext, vision_token_ids=[]) if self._model.images else TextContext
        try:
            context = kind(
                request_id=RequestID(str(number)),
                max_length=len(ids) + new,
                tokens=TokenBuffer(np.asarray(ids, dtype=np.int64)),
                eos_tracker=EOSTracker(eos_token_ids=set(ends)),
                log_probabilities=logprobs,
                sampling_params=sampling.parameters(
                    asked, self._limits, new, before=() if scored is None else (scored,)
                ),
            )
        except ValueError as error:
            raise InvalidRequest(f"The request cannot be run as written: {error}") from error
        if attach is not None:
            attach(context)
        return context

    def _marks(self, texts: tuple[str, ...]) -> frozenset[int]:
        found = (self._vocabulary.id_of(text) for text in texts)
        return frozenset(number for number in found if number is not None and number in self._vocabulary.special_ids)


def _characters(message: Message) -> int:
    return sum(len(part.text) for part in message.parts if isinstance(part, Text)) + len(message.reasoning)


def _cost(chat: Chat, tools: tuple[ToolSpec, ...]) -> int:
    """Return the cost of rendering in characters encoded; a message or a tool counts as some dozens."""
    calls = sum(len(message.tool_calls) for message in chat.messages)
    return sum(map(_characters, chat.messages)) + _ITEM * (len(chat.messages) + len(tools) + calls)


__all__ = ("Admission", "Admitted", "Model")
