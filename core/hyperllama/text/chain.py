"""The transforms that a request needs, in order: reasoning, tool calls, stop strings."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from hyperllama.errors import ConfigError
from hyperllama.generation import GenerationRequest, TokenChunk
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.spi import Transform, TransformFactory
from hyperllama.text.formats import formats
from hyperllama.text.reasoning import families
from hyperllama.text.stops import stop_strings
from hyperllama.text.tools import tool_calls

ENGINE = "engine"  # as a parser's name: the engine's own, or none


class Chain:
    """Transforms in a row. Ends with the first that ends."""

    __slots__ = ("_steps",)

    def __init__(self, steps: Sequence[Transform]) -> None:
        self._steps = tuple(step.feed for step in steps)

    def feed(self, chunk: TokenChunk) -> TokenChunk:
        for step in self._steps:
            chunk = step(chunk)
        return chunk


def parsers() -> Mapping[str, TransformFactory]:
    """Return the built-in parsers by the names that ``tool_parser`` and ``reasoning_parser`` take."""
    return {**families(), **{name: tool_calls(written) for name, written in formats().items()}}


def compose(
    request: GenerationRequest, info: ModelInfo, spec: ModelSpec, parsers: Mapping[str, TransformFactory]
) -> Transform | None:
    """Return the transform of every chunk of the answer; None: none is needed, the usual case.

    The transform may end the answer before the engine does: see :class:`hyperllama.text.stops.StopStrings`.
    """
    made = [stop_strings(request, info)]
    if request.tools and (tools := parsers.get(spec.tool_parser or tools_of(info))):
        made.insert(0, tools(request, info))
    if reasoning := parsers.get(spec.reasoning_parser or reasoning_of(info)):
        made.insert(0, reasoning(request, info))
    steps = [step for step in made if step is not None]
    return Chain(steps) if len(steps) > 1 else next(iter(steps), None)


def reasoning_of(info: ModelInfo) -> str:
    """Return the reasoning parser of a model whose table names none, by its chat template."""
    if "[THINK]" in info.template:
        return "magistral"
    if "<seed:think>" in info.template:
        return "seed"
    return "think" if "<think>" in info.template or "</think>" in info.template else ENGINE


def tools_of(info: ModelInfo) -> str:
    """Return the tool parser likewise, by its chat template or else its family."""
    template, family = info.template, info.family.lower()
    if "[TOOL_CALLS]" in template or (not template and family.startswith(("mistral", "mixtral", "ministral"))):
        return "mistral"
    if "<tool_call>" in template or (not template and family.startswith(("qwen", "hermes"))):
        return "hermes"
    if "<|python_tag|>" in template or '"parameters"' in template or (not template and family.startswith("llama")):
        return "llama"
    return "json"


def check(specs: Iterable[ModelSpec], parsers: Mapping[str, TransformFactory]) -> None:
    """Raise ConfigError for a model whose table names an unknown parser."""
    for spec in specs:
        for key, name in (("tool_parser", spec.tool_parser), ("reasoning_parser", spec.reasoning_parser)):
            if name is None or name == ENGINE or name in parsers:
                continue
            near = difflib.get_close_matches(name, parsers, 1)
            hint = (
                f"Did you mean {near[0]!r}?" if near else f"It must be one of {', '.join(sorted({*parsers, ENGINE}))}."
            )
            raise ConfigError(f"models.{spec.name}.{key}: There is no parser {name!r}. {hint}")


__all__ = ("ENGINE", "Chain", "check", "compose", "parsers", "reasoning_of", "tools_of")
