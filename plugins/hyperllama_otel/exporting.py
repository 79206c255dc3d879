"""The way out: batches of spans, sent from a thread of their own, flushed when the process ends."""

from __future__ import annotations

from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from hyperllama_otel.settings import OtelSettings


def provider(settings: OtelSettings) -> TracerProvider:
    """One that is no global: libraries in this process are not traced by it."""
    resource = Resource.create(
        {"service.name": settings.service_name, "service.version": version("hyperllama-gateway")}
    )
    made = TracerProvider(sampler=ParentBased(TraceIdRatioBased(settings.sample)), resource=resource)
    exporter = OTLPSpanExporter(
        endpoint=f"{settings.endpoint.rstrip('/')}/v1/traces",
        headers=dict(settings.headers),
        timeout=settings.timeout,
    )
    made.add_span_processor(BatchSpanProcessor(exporter))
    return made


__all__ = ("provider",)
