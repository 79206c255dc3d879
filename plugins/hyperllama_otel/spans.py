"""A finished call as spans, named as the GenAI conventions say. No prompt and no answer is ever an attribute.

Spans are made when a call has ended, from the times it carries: a stream costs nothing while it runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeAlias

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from hyperllama.embedding import EmbeddingRequest
from hyperllama.generation import GenerationRequest
from hyperllama.messages import Chat
from hyperllama.spi import AuxiliaryWork, Call

Attributes: TypeAlias = dict[str, str | int | float | bool]


class Spans:
    """An Observer. One span for the call, and within it ``queue``, ``load``, ``prefill`` and ``decode``."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("hyperllama")
        self._propagator = TraceContextTextMapPropagator()

    def finished(self, call: Call) -> None:
        if isinstance(call.request, AuxiliaryWork):  # the conventions have no operation for it
            return
        ended = time.perf_counter_ns()
        wall = time.time_ns() - ended  # from the clock of calls to that of traces
        operation = _operation(call)
        span = self._tracer.start_span(
            f"{operation} {call.info.name}",
            context=self._parent(call),
            kind=SpanKind.SERVER,
            start_time=call.started + wall,
            attributes=_asked(call, operation),
        )
        if span.is_recording():
            span.set_attributes(_answered(call))
            if call.outcome in ("failed", "refused"):
                span.set_status(Status(StatusCode.ERROR))
            inside = set_span_in_context(span)
            for name, begin, end in _phases(call, ended):
                self._tracer.start_span(name, context=inside, start_time=begin + wall).end(end + wall)
        span.end((call.last or ended) + wall)

    def _parent(self, call: Call) -> Context | None:
        sent = call.caller.traceparent
        return self._propagator.extract({"traceparent": sent}) if sent else None


def _operation(call: Call) -> str:
    if isinstance(call.request, EmbeddingRequest):
        return "embeddings"
    return (
        "chat"
        if isinstance(call.request, GenerationRequest) and isinstance(call.request.input, Chat)
        else "text_completion"
    )


def _phases(call: Call, ended: int) -> Iterator[tuple[str, int, int]]:
    """Yield name, begin and end of each phase that was reached; the last one ends with the call."""
    marks = [("queue", call.started), ("load", call.admitted), ("prefill", call.loaded), ("decode", call.first)]
    if isinstance(call.request, EmbeddingRequest):
        marks = [*marks[:2], ("embed", call.loaded)]
    reached = [(name, begin) for name, begin in marks if begin]
    ends = [begin for _, begin in reached[1:]] + [call.last or ended]
    for (name, begin), end in zip(reached, ends, strict=True):
        yield name, begin, end


def _asked(call: Call, operation: str) -> Attributes:
    request = call.request
    found: Attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": call.info.engine,
        "gen_ai.request.model": request.model,
        "hyperllama.protocol": call.caller.protocol,
        "hyperllama.request_id": call.caller.request_id,
        "hyperllama.key": call.caller.principal.name,
    }
    if not isinstance(request, GenerationRequest):
        return found
    sampling = request.sampling
    for name in ("max_tokens", "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty"):
        value = getattr(sampling, name)
        if value is not None:
            found[f"gen_ai.request.{name}"] = value
    if request.output is not None:
        found["gen_ai.output.type"] = "json"
    return found


def _answered(call: Call) -> Attributes:
    found: Attributes = {"gen_ai.response.model": call.info.name, "hyperllama.outcome": call.outcome or ""}
    if call.usage is not None:
        found["gen_ai.usage.input_tokens"] = call.usage.prompt_tokens
        found["gen_ai.usage.output_tokens"] = call.usage.completion_tokens
        found["gen_ai.usage.cache_read.input_tokens"] = call.usage.cached_tokens
    if call.error is not None:
        found["error.type"] = call.error.code
    elif call.outcome == "failed":
        found["error.type"] = "_OTHER"
    return found


__all__ = ("Spans",)
