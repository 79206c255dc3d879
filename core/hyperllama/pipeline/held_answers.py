"""The part of a request's schemas that its answer is held to, and the check of the finished answer against it all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
import structlog

from hyperllama.generation import GenerationRequest, JsonSchema, TokenChunk, ToolSpec
from hyperllama.host import Deadline, Jobs
from hyperllama.schemas import (
    MAX_BYTES,
    Enforced,
    Loosened,
    Verdict,
    check,
    enforced_calls,
    enforced_output,
    forced_tools,
)
from hyperllama.spi import Call
from hyperllama.stream import ChunkSource, Collector, Take

log = structlog.get_logger(__name__)

LOOSENED: Final = "hyperllama-loosened-schema"
CHECK: Final = "hyperllama-schema-check"
SECONDS: Final = 2.0
_PLACES: Final = 16  # in a header
_LENGTH: Final = 160  # characters of a place
_WORST: Final[tuple[Verdict, ...]] = ("valid", "unchecked", "invalid")


class Held(msgspec.Struct, frozen=True):
    """The schemas of one request by the tool they are of; "" is the output format."""

    schemas: dict[str, dict[str, Any]]
    loosened: tuple[tuple[str, Loosened], ...]

    @property
    def keywords(self) -> list[str]:
        return sorted({each.keyword for _, each in self.loosened})

    def header(self) -> str:
        """Return the places of what is not enforced, each a URI fragment with the tool's name before it."""
        from urllib.parse import quote

        places = [f"{quote(tool, safe='')}{each.place}"[:_LENGTH] for tool, each in self.loosened]
        more = len(places) - _PLACES
        return ", ".join([*places[:_PLACES], *([f"{more} more"] if more > 0 else [])])


class HeldAnswers:
    """Looks at the schemas of requests before an engine does, and at answers when they are whole."""

    def __init__(self) -> None:
        self._schemas = Jobs(
            "schemas",
            seconds=SECONDS,
            late="The output format takes longer than {seconds:g} s to read; make it simpler.",
            busy="Other output formats are being read; ask again in a moment.",
        )
        self._checks = Jobs("answers", seconds=SECONDS, wait=SECONDS)

    async def held(self, request: GenerationRequest) -> Held | None:
        """Return what the engine will leave out of the request's schemas; None: nothing.

        Raises what ``hyperllama.schemas.enforced`` raises.
        """
        if request.output is None and request.tool_choice is None:
            return None
        tools = forced_tools(request)
        if not tools and not isinstance(request.output, JsonSchema):
            return None
        size = sum(_size(tool.parameters) for tool in tools) or _size(getattr(request.output, "schema", None))
        return await self._schemas.run(lambda deadline: _held(request, tools, deadline), cost=size)

    async def verdict(self, held: Held, chunks: Collector) -> tuple[Verdict, tuple[str, ...]]:
        """Return whether the whole answer fits the schemas as they were asked for."""
        whole = chunks.result()
        if whole.finish_reason in ("length", "cancelled", "content_filter"):
            return "unchecked", ()
        texts = [(call.name, call.arguments) for call in whole.tool_calls] or [("", whole.text)]
        found = [(held.schemas[name], text) for name, text in texts if name in held.schemas]

        def work(deadline: Deadline) -> list[tuple[Verdict, tuple[str, ...]]]:
            verdicts = []
            for schema, text in found:
                deadline.check()
                verdicts.append(check(schema, text))
            return verdicts

        try:
            verdicts = await self._checks.run(work, cost=sum(len(text) for _, text in found))
        except Exception as error:  # noqa: BLE001 - the answer is whole and may not fail for this
            log.warning("answer not checked", reason=type(error).__name__)
            return "unchecked", ()
        worst: Verdict = "unchecked"
        if verdicts:
            worst = max((verdict for verdict, _ in verdicts), key=_WORST.index)
        return worst, tuple(sorted({word for _, words in verdicts for word in words}))


class CheckedAnswer:
    """A source of chunks that notes them, and checks the answer before it hands on the last."""

    def __init__(self, source: _Relays, call: Call, held: Held, answers: HeldAnswers) -> None:
        self._source = source
        self._call = call
        self._held = held
        self._answers = answers
        self._chunks = Collector()
        self._take: Take | None = None

    async def batch(self) -> Sequence[TokenChunk]:
        return await self._noted(await self._source.batch())

    async def relay(self, take: Take) -> Sequence[TokenChunk]:
        self._take = take
        return await self._noted(await self._source.relay(self._forward))

    async def aclose(self) -> None:
        await self._source.aclose()

    def _forward(self, chunks: Sequence[TokenChunk]) -> bool:
        return self._take is not None and self._take(chunks) and self._chunks.add(chunks)

    async def _noted(self, chunks: Sequence[TokenChunk]) -> Sequence[TokenChunk]:
        self._chunks.add(chunks)
        if chunks and chunks[-1].finish_reason is not None:
            began = time.perf_counter_ns()
            verdict, broken = await self._answers.verdict(self._held, self._chunks)
            headers = self._call.caller.headers
            headers[CHECK] = max(headers.get(CHECK, verdict), verdict, key=[*map(str, _WORST)].index)
            log.info(
                "answer checked",
                model=self._call.info.name,
                request_id=self._call.caller.request_id,
                loosened=self._held.keywords,
                verdict=verdict,
                broken=list(broken),
                ms=round((time.perf_counter_ns() - began) / 1e6, 2),
            )
        return chunks


class _Relays(ChunkSource, Protocol):
    async def relay(self, take: Take) -> Sequence[TokenChunk]: ...


def _size(schema: object) -> int:
    if schema is None:
        return 0
    try:
        return len(msgspec.json.encode(schema))
    except (OverflowError, RecursionError, TypeError, ValueError):
        return MAX_BYTES + 1


def _held(request: GenerationRequest, tools: tuple[ToolSpec, ...], deadline: Deadline) -> Held | None:
    found: dict[str, Enforced]
    schemas: dict[str, dict[str, Any]]
    if tools:
        found = {tool.name: each for tool, each in zip(tools, enforced_calls(tools, rest=deadline.check), strict=True)}
        schemas = {tool.name: tool.parameters for tool in tools}
    else:
        assert isinstance(request.output, JsonSchema)  # noqa: S101 - the caller has seen to it
        found = {"": enforced_output(request.output, rest=deadline.check)}
        schemas = {"": request.output.schema}
    loosened = tuple((name, each) for name, enforced in found.items() for each in enforced.loosened)
    return Held(schemas, loosened) if loosened else None


__all__ = ("CHECK", "LOOSENED", "CheckedAnswer", "Held", "HeldAnswers")
