"""The parts of huggingface_hub that are used but not documented are there."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from huggingface_hub import get_session
from huggingface_hub.errors import LocalEntryNotFoundError

from hyperllama.hub import compat, parse, prepare
from hyperllama.modelstore.hub import Hub
from hyperllama.spi import TransferFailed
from hyperllama_hub.client import snapshot


@pytest.fixture
def silent() -> Iterator[str]:
    """A Hub that takes requests and never answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(1)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def trickling() -> Iterator[str]:
    """A Hub whose answers come byte by byte, each in time."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.02)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_is_not_documented_is_there() -> None:
    from huggingface_hub.utils import _http
    from huggingface_hub.utils._headers import build_hf_headers

    assert callable(_http._GLOBAL_CLIENT_FACTORY)
    assert "user-agent" in build_hf_headers()
    assert callable(_http._GLOBAL_CLIENT_FACTORY)
    with _http.default_client_factory() as client:
        assert isinstance(client, httpx.Client)


def test_a_silent_hub_is_given_up(silent: str) -> None:
    hub = Hub({"HF_ENDPOINT": silent}, timeout=0.3)
    with pytest.raises(TransferFailed, match="the Hub does not answer"):
        hub.look(parse("org/model"))
    assert compat.RETRIES <= 1


def test_a_trickling_hub_is_given_up(trickling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", trickling)
    hub = Hub({"HF_ENDPOINT": trickling}, timeout=0.3)
    with pytest.raises(TransferFailed, match="the Hub does not answer"):
        hub.look(parse("org/model"))
    with pytest.raises(TimeoutError):
        compat.download(f"{trickling}/file", io.BytesIO(), have=0)
    with pytest.raises(LocalEntryNotFoundError, match="ReadTimeout"):
        snapshot(parse("org/model"), only_local=False, timeout=0.3)


def test_a_second_client_leaves_the_first_ones_downloads_alone() -> None:
    compat.api(None, None, 5.0)
    session = get_session()
    compat.api(None, None, 5.0)
    prepare(5.0)
    assert get_session() is session and not session.is_closed
