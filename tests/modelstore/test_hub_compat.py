"""The parts of huggingface_hub that are used but not documented are there."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
import pytest

from hyperllama.modelstore import hub_compat
from hyperllama.modelstore.hub import Hub
from hyperllama.modelstore.hub_reference import parse
from hyperllama.spi import TransferFailed


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


def test_what_is_not_documented_is_there() -> None:
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http
    from huggingface_hub.utils._headers import build_hf_headers

    assert {"resume_size", "headers", "expected_size", "_nb_retries"} <= set(
        inspect.signature(file_download.http_get).parameters
    )
    assert isinstance(constants.DOWNLOAD_CHUNK_SIZE, int) and isinstance(constants.HF_HUB_DOWNLOAD_TIMEOUT, int)
    assert callable(_http._GLOBAL_CLIENT_FACTORY)
    assert "user-agent" in build_hf_headers()
    with _http.default_client_factory() as client:
        assert isinstance(client, httpx.Client)


def test_a_silent_hub_is_given_up(silent: str) -> None:
    hub = Hub({"HF_ENDPOINT": silent}, timeout=0.3)
    with pytest.raises(TransferFailed, match="the Hub does not answer"):
        hub.look(parse("org/model"))
    assert hub_compat.RETRIES <= 1
