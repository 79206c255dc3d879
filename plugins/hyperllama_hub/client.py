"""Downloads of huggingface_hub that end: the client gives up a Hub that is silent or sends too slowly."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from huggingface_hub import constants, set_client_factory, snapshot_download
from huggingface_hub.utils import _http

from hyperllama_hub.reference import Reference

MIN_RATE = 4096  # bytes a second, on average over one time-out
_INSTALLING = threading.Lock()  # the factory is one for the whole process


class _Paced(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, timeout: float) -> None:
        self._stream = stream
        self._timeout = timeout

    def __iter__(self) -> Iterator[bytes]:
        waited, received, began = 0.0, 0, time.monotonic()
        for piece in self._stream:
            waited += time.monotonic() - began
            received += len(piece)
            if waited >= self._timeout:
                if received < MIN_RATE * waited:
                    raise httpx.ReadTimeout(f"less than {MIN_RATE} bytes a second")
                waited, received = 0.0, 0
            yield piece
            began = time.monotonic()

    def close(self) -> None:
        self._stream.close()


def snapshot(reference: Reference, *, only_local: bool, timeout: float) -> Path:
    """Return the folder of ``reference``, downloaded unless ``only_local``. Blocks; raises what the client raises.

    ``timeout``: seconds of silence, or of less than ``MIN_RATE``, after which a request is given up.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    constants.HF_HUB_DOWNLOAD_TIMEOUT = max(1, round(timeout))
    _install(timeout)
    folder = snapshot_download(
        reference.repo,
        revision=reference.revision,
        allow_patterns=reference.patterns,
        local_files_only=only_local,
        etag_timeout=timeout,
    )
    return Path(folder)


class _Clients:
    """The client factory of huggingface_hub. ``paced`` is its time-out, by which an installed one is recognised."""

    def __init__(self, timeout: float) -> None:
        self.paced = timeout

    def __call__(self) -> httpx.Client:
        client = _http.default_client_factory()
        client.timeout = httpx.Timeout(self.paced)
        client.event_hooks = {**client.event_hooks, "response": [*client.event_hooks.get("response", []), self._pace]}
        return client

    def _pace(self, response: httpx.Response) -> None:
        if isinstance(response.stream, httpx.SyncByteStream):
            response.stream = _Paced(response.stream, self.paced)


def _install(timeout: float) -> None:
    """Install the factory unless it is installed: that closes the clients of downloads under way."""
    with _INSTALLING:
        if getattr(_http._GLOBAL_CLIENT_FACTORY, "paced", None) != timeout:  # noqa: SLF001 - it has no getter
            set_client_factory(_Clients(timeout))


__all__ = ("MIN_RATE", "snapshot")
