"""A collector that never answers holds up the end of the process for a moment only."""

from __future__ import annotations

import atexit
import socket
import threading

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from hyperllama_otel import exporting
from hyperllama_otel.settings import OtelSettings


def test_the_last_flush_gives_up_on_a_silent_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "LAST_FLUSH", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        made = exporting.provider(OtelSettings(endpoint=endpoint, timeout=0.5))
        made.get_tracer("test").start_span("one").end()
        exporting.flush(made)
        waiting = [thread for thread in threading.enumerate() if thread.name == "otel-flush"]
        assert waiting  # it returned, though the collector still owes its answer
        assert all(thread.daemon for thread in threading.enumerate() if "otel" in thread.name.lower())
    for thread in waiting:
        thread.join(30)
        assert not thread.is_alive()


def test_the_provider_is_flushed_by_us_alone() -> None:
    made = exporting.provider(OtelSettings(endpoint="http://127.0.0.1:9"))
    assert made._atexit_handler is None  # its own would wait for as long as the exporter retries
    atexit.unregister(exporting.flush)
    made.shutdown()
