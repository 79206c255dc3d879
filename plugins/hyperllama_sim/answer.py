"""The answer of the model to a request, decided before its first token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec
from msgspec.structs import replace

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import (
    AnyJson,
    Choice,
    GenerationRequest,
    JsonSchema,
    NoTool,
    ToolSpec,
)
from hyperllama.messages import Chat
from hyperllama.schemas import enforced_calls, enforced_output, forced_tools
from hyperllama_sim.examples import example
from hyperllama_sim.settings import Scripted, ScriptedCall, SimOptions
from hyperllama_sim.tokens import pieces
from hyperllama_sim.words import seed_of, word, words


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of an answer in order; ``text`` may be long, is made as it is read, and can be read once."""

    text: Iterable[str] = ()
    reasoning: tuple[str, ...] = ()
    calls: tuple[tuple[str, tuple[str, ...]], ...] = ()  # name, tokens of the arguments


def answer(request: GenerationRequest, prompt: str, options: SimOptions) -> Answer:
    """Return the first that applies of script, tools, format, fixed text, echo, words. Raise UnsupportedFeature."""
    seed = _seed(request, prompt)
    thoughts = _thoughts(request, options, seed)
    for scripted in options.script:
        if scripted.when in _last_words(request, prompt) and not (scripted.tool_calls and not _tools(request)):
            return _scripted(scripted, request)
    tools = forced_tools(request) or _mentioned_tool(request)
    if tools:
        schema = enforced_calls(tools)[0].schema
        arguments = msgspec.json.encode(example(schema, word(seed))).decode()
        return Answer(reasoning=thoughts, calls=((tools[0].name, tuple(pieces(arguments))),))
    if request.output is not None:
        return Answer(reasoning=thoughts, text=pieces(_formatted(request, seed)))
    if options.text is not None:
        return Answer(reasoning=thoughts, text=pieces(options.text))
    if options.echo:
        return Answer(reasoning=thoughts, text=pieces(_echo(request, prompt)))
    return Answer(reasoning=thoughts, text=islice(words(seed), options.answer_tokens))


def lengthened(answer: Answer, prompt: str, least: int | None) -> Answer:
    """Return the answer followed by more words until it has ``least`` tokens; None: without end."""
    others = len(answer.reasoning) + sum(1 + len(arguments) for _, arguments in answer.calls)
    text = _padded(answer.text, words(seed_of(prompt, "more")), None if least is None else least - others)
    return Answer(text=text, reasoning=answer.reasoning, calls=answer.calls)


def _padded(text: Iterable[str], more: Iterator[str], least: int | None) -> Iterator[str]:
    count = 0
    for piece in text:
        count += 1
        yield piece
    yield from more if least is None else islice(more, max(0, least - count))


def _seed(request: GenerationRequest, prompt: str) -> bytes:
    sampling = request.sampling
    drawn = sampling.seed is not None and sampling.temperature != 0
    return seed_of(prompt, str(sampling.seed) if drawn else "")


def _thoughts(request: GenerationRequest, options: SimOptions, seed: bytes) -> tuple[str, ...]:
    asked = options.thinking if request.reasoning is None else bool(request.reasoning)
    if not asked or not isinstance(request.input, Chat) or request.input.continue_last:
        return ()
    return tuple(islice(words(seed[::-1]), options.reasoning_tokens))


def _scripted(scripted: Scripted, request: GenerationRequest) -> Answer:
    calls = tuple((call.name, tuple(pieces(_arguments(call)))) for call in scripted.tool_calls)
    thoughts = () if request.reasoning is False else tuple(pieces(scripted.reasoning))
    return Answer(text=pieces(scripted.text), reasoning=thoughts, calls=calls)


def _arguments(call: ScriptedCall) -> str:
    return call.arguments if isinstance(call.arguments, str) else msgspec.json.encode(call.arguments).decode()


def _tools(request: GenerationRequest) -> tuple[ToolSpec, ...]:
    return () if isinstance(request.tool_choice, NoTool) else request.tools


def _mentioned_tool(request: GenerationRequest) -> tuple[ToolSpec, ...]:
    """Return the first tool that the last message names, if it is a user's; nothing forces the call to its schema."""
    tools = _tools(request)
    if not tools or not isinstance(request.input, Chat) or not request.input.messages:
        return ()
    last = request.input.messages[-1]
    return tuple(replace(tool, strict=False) for tool in tools if last.role == "user" and tool.name in last.text)[:1]


def _formatted(request: GenerationRequest, seed: bytes) -> str:
    match request.output:
        case AnyJson():
            return msgspec.json.encode({"answer": word(seed)}).decode()
        case JsonSchema() as output:
            return msgspec.json.encode(example(enforced_output(output).schema, word(seed))).decode()
        case Choice(options):
            return options[seed[0] % len(options)]
        case _:
            raise UnsupportedFeature(
                "the sim engine follows JSON, JSON schemas and choices, no other format", param="output"
            )


def _last_words(request: GenerationRequest, prompt: str) -> str:
    """Return the text of the last message; of a prompt without messages all of it."""
    if isinstance(request.input, Chat):
        return request.input.messages[-1].text if request.input.messages else ""
    return prompt


def _echo(request: GenerationRequest, prompt: str) -> str:
    if isinstance(request.input, Chat):
        return next((message.text for message in reversed(request.input.messages) if message.role == "user"), "")
    return prompt


__all__ = ("Answer", "answer", "lengthened")
