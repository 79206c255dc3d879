"""The export of spans in batches, from a thread of its own, flushed when the process ends."""

from __future__ import annotations

import atexit
import threading
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from hyperllama_otel.settings import OtelSettings

LAST_FLUSH = 2.0  # seconds that the end of the process waits for the collector


def provider(settings: OtelSettings) -> TracerProvider:
    """Return a provider that is not the global one: libraries in this process are not traced by it.

    Its last spans are sent when the process ends, which takes ``LAST_FLUSH`` at most: a collector that does not answer
    loses them.
    """
    resource = Resource.create(
        {"service.name": settings.service_name, "service.version": version("hyperllama-gateway")}
    )
    sampler = ParentBased(TraceIdRatioBased(settings.sample))
    made = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(
        endpoint=f"{settings.endpoint.rstrip('/')}/v1/traces",
        headers=dict(settings.headers),
        timeout=settings.timeout,
    )
    made.add_span_processor(BatchSpanProcessor(exporter))
    atexit.register(flush, made)
    return made


def flush(made: TracerProvider) -> None:
    """Send the waiting spans and end the threads. Block for ``LAST_FLUSH`` seconds at most."""
    thread = threading.Thread(target=made.shutdown, name="otel-flush", daemon=True)
    thread.start()
    thread.join(LAST_FLUSH)


__all__ = ("LAST_FLUSH", "flush", "provider")
