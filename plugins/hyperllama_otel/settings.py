"""The settings under ``[plugin.otel]``."""

from __future__ import annotations

import msgspec

from hyperllama.errors import ConfigError


class OtelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The collector, and the share of calls that are traced."""

    endpoint: str = ""  # of a collector, OTLP over HTTP: "http://127.0.0.1:4318"; empty: no traces
    headers: dict[str, str] = {}  # for the collector
    service_name: str = "hyperllama-gateway"
    sample: float = 1.0  # share of the traces that begin here; a caller's own decision is kept
    timeout: float = 5.0  # seconds the collector may take

    def check(self) -> None:
        """Raise ConfigError for settings that do not go together."""
        if not self.endpoint.startswith(("http://", "https://")):
            raise ConfigError(f"plugin.otel.endpoint: Must be an http:// or https:// URL, not {self.endpoint!r}.")
        if not 0 <= self.sample <= 1 or self.timeout <= 0:
            raise ConfigError("plugin.otel: The sample must be between 0 and 1, the timeout above 0.")


__all__ = ("OtelSettings",)
