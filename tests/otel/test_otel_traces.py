"""What a call leaves in a trace: its phases and figures, within the caller's own trace, and none of its words."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hyperllama import hookimpl
from hyperllama.app.application import create_app
from hyperllama.config import Config
from hyperllama.errors import ConfigError
from hyperllama_otel.spans import Spans
from tests.support import live

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "the-words-of-the-client"
CONFIG = """
[models.sim]
engine = "sim"
max_batch_size = 1
[models.sim.options]
tokens_per_second = 100
answer_tokens = 5
embedding = 4
"""


class Traced:
    @hookimpl
    def hyperllama_observers(self, config: Config) -> Any:
        provider = TracerProvider()
        self.kept = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self.kept))
        return (Spans(provider),)


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[tuple[Any, Traced]]:
    plugin = Traced()
    gateway = live.Live(CONFIG, tmp_path, plugin)
    yield gateway, plugin
    gateway.stop()


def finished(gateway: Any, plugin: Traced) -> list[Any]:
    gateway.until(lambda: not gateway.app.pipeline.live)
    return list(plugin.kept.get_finished_spans())


def test_a_chat_is_a_span_of_the_callers_trace_with_its_phases_inside(traced: Any) -> None:
    gateway, plugin = traced
    body = live.chat("sim", SECRET, temperature=0.5, max_tokens=3, stop=[SECRET])
    status, headers, _ = gateway.ask("/v1/chat/completions", body, traceparent=f"00-{TRACE}-{PARENT}-01")
    assert status == 200
    *phases, span = finished(gateway, plugin)
    assert span.name == "chat sim"
    assert format(span.context.trace_id, "032x") == TRACE
    assert format(span.parent.span_id, "016x") == PARENT
    assert span.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "sim",
        "gen_ai.request.model": "sim",
        "gen_ai.request.max_tokens": 3,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.model": "sim",
        "gen_ai.usage.input_tokens": span.attributes["gen_ai.usage.input_tokens"],
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "hyperllama.protocol": "openai",
        "hyperllama.request_id": headers["x-request-id"],
        "hyperllama.key": "local",
        "hyperllama.outcome": "finished",
    }
    assert [phase.name for phase in phases] == ["queue", "load", "prefill", "decode"]
    assert {phase.parent.span_id for phase in phases} == {span.context.span_id}
    edges = [phases[0].start_time, *(phase.end_time for phase in phases)]
    assert edges == sorted(edges)
    assert (edges[0], edges[-1]) == (span.start_time, span.end_time)
    assert SECRET not in "".join(each.to_json() for each in (*phases, span))


def test_embeddings_and_completions_are_named_as_what_they_are(traced: Any) -> None:
    gateway, plugin = traced
    gateway.ask("/v1/embeddings", {"model": "sim", "input": [SECRET, "b"]})
    gateway.ask("/v1/completions", {"model": "sim", "prompt": SECRET, "max_tokens": 2})
    spans = finished(gateway, plugin)
    assert [span.name for span in spans if span.parent is None] == ["embeddings sim", "text_completion sim"]
    assert [span.name for span in spans if span.parent is not None][:3] == ["queue", "load", "embed"]
    assert SECRET not in "".join(span.to_json() for span in spans)


def test_what_fails_says_why_and_what_was_left_says_so(traced: Any) -> None:
    gateway, plugin = traced
    gateway.ask("/v1/chat/completions", live.chat("sim", "x " * 9000))
    client = gateway.chat("sim", max_tokens=5000)
    live.until(client, b"data: ")
    client.close()
    gateway.until(lambda: not gateway.app.pipeline.live)
    spans = [span for span in finished(gateway, plugin) if span.parent is None]
    assert [span.attributes["hyperllama.outcome"] for span in spans] == ["refused", "cancelled"]
    assert spans[0].attributes["error.type"] == "context_length_exceeded"
    assert not spans[0].status.is_ok and spans[1].status.status_code.name == "UNSET"


def test_a_caller_that_does_not_sample_is_heard(traced: Any) -> None:
    gateway, plugin = traced
    gateway.ask("/v1/chat/completions", live.chat("sim"), traceparent=f"00-{TRACE}-{PARENT}-00")
    gateway.ask("/v1/chat/completions", live.chat("sim"), traceparent="nonsense")
    assert [span.name for span in finished(gateway, plugin) if span.parent is None] == ["chat sim"]


def test_a_configured_collector_gets_the_spans(tmp_path: Path) -> None:
    got: list[ExportTraceServiceRequest] = []
    came = threading.Event()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()
            assert (self.path, self.headers["x-team"]) == ("/v1/traces", "a")
            came.set()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    text = (
        f'{CONFIG}\n[plugin.otel]\nendpoint = "http://127.0.0.1:{server.server_port}/"\nheaders = {{ x-team = "a" }}\n'
        '[plugins]\nenabled = ["sim", "openai", "otel"]\n'
    )
    gateway = live.Live(text, tmp_path)
    try:
        gateway.ask("/v1/chat/completions", live.chat("sim", SECRET))
        gateway.stop()
        (spans,) = [each for each in gateway.app.pipeline._observers if isinstance(each, Spans)]
        spans._tracer.span_processor.force_flush()
        assert came.wait(30)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    names = [span.name for each in got for r in each.resource_spans for s in r.scope_spans for span in s.spans]
    assert sorted(names) == ["chat sim", "decode", "load", "prefill", "queue"]
    assert SECRET.encode() not in b"".join(each.SerializeToString() for each in got)
    spans._tracer.span_processor.shutdown()


def test_without_a_collector_no_exporter_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys, json; from hyperllama.config import load; from hyperllama.app.application import create_app; "
        "create_app(load(None, {})); exporting = ('opentelemetry.sdk', 'opentelemetry.exporter'); "
        "print(json.dumps([name for name in sys.modules if name.startswith(exporting)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert json.loads(done.stdout) == [], done.stderr


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"endpoint": "collector:4318"}, "Must be an http"),
        ({"endpoint": "http://x", "sample": 2.0}, "sample must be between"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_start(table: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        create_app(Config(plugin={"otel": table}))
