"""OpenTelemetry traces of every call. Without a configured collector nothing is imported or sent."""

from __future__ import annotations

from collections.abc import Iterable

from hyperllama import hookimpl
from hyperllama.config import Config
from hyperllama.errors import ConfigError
from hyperllama.spi import Observer
from hyperllama_otel.settings import OtelSettings

MISSING = "plugin.otel: OpenTelemetry is not installed; run: pip install 'hyperllama-gateway[otel]'"


@hookimpl
def hyperllama_observers(config: Config) -> Iterable[Observer]:
    settings = config.section("otel", OtelSettings)
    if not settings.endpoint:
        return ()
    settings.check()
    try:
        from hyperllama_otel.exporting import provider
        from hyperllama_otel.spans import Spans
    except ImportError as error:
        raise ConfigError(MISSING) from error
    return (Spans(provider(settings)),)


__all__ = ("MISSING", "hyperllama_observers")
