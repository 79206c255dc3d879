"""All uses of huggingface_hub beyond its documented interface, and changes of it in place. It has a test.

``pyproject.toml`` bounds the release; a new major one is one file's work.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Protocol

    from huggingface_hub import HfApi

    from hyperllama.hub.paced_clients import PacedClients

    class Sink(Protocol):
        """The part of a file that a download uses."""

        def write(self, data: bytes) -> int: ...
        def tell(self) -> int: ...
        def seek(self, offset: int, whence: int = 0) -> int: ...
        def truncate(self, size: int | None = None) -> int: ...


PIECE = 256 * 1024  # bytes asked of the client at a time
RETRIES = 1  # of a connection that breaks; what was loaded is kept, so the next pull goes on from there
_INSTALLING = threading.Lock()  # the factory is one for the whole process


def prepare(timeout: float) -> None:
    """Make huggingface_hub give up after ``timeout`` seconds of silence, or of a trickle, and send no telemetry.

    Imports it, which takes long. A new time-out closes the client of downloads under way; the same one again does not.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import _http

    from hyperllama.hub.paced_clients import PacedClients

    constants.HF_HUB_DOWNLOAD_TIMEOUT = max(1, round(timeout))
    with _INSTALLING:
        if getattr(_http._GLOBAL_CLIENT_FACTORY, "paced", None) != timeout:  # noqa: SLF001 - it has no getter
            set_client_factory(PacedClients(timeout, _http.default_client_factory))


def api(endpoint: str | None, token: str | None, timeout: float) -> HfApi:
    """Return the client. ``timeout`` as :func:`prepare` takes it."""
    prepare(timeout)
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    return HfApi(endpoint=endpoint, token=token)


def within(seconds: float) -> AbstractContextManager[None]:
    """Bound the waits of this thread's requests in the block, all together. Use it after :func:`prepare`."""
    from huggingface_hub.utils import _http

    factory: PacedClients = getattr(_http, "_GLOBAL_CLIENT_FACTORY")  # noqa: B009 - mypy knows it as a function
    return factory.deadline.within(seconds)


def download(url: str, sink: Sink, *, have: int) -> None:
    """Write the file at ``url`` to ``sink``, from byte ``have`` on. Blocks; raises what the client raises.

    A connection that breaks is made again ``RETRIES`` times, one that is silent or slow never.
    """
    import httpx
    from huggingface_hub import get_session
    from huggingface_hub.utils._headers import build_hf_headers
    from huggingface_hub.utils._http import hf_raise_for_status

    begin = sink.tell() - have
    for attempt in range(RETRIES + 1):
        have = sink.tell() - begin
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            with get_session().stream("GET", url, headers=headers) as response:
                if response.status_code == 416:  # it is all here
                    return
                hf_raise_for_status(response)
                if have and response.status_code == 200:  # the range was ignored
                    sink.seek(begin)
                    sink.truncate()
                for piece in response.iter_bytes(PIECE):
                    sink.write(piece)
            return
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            if attempt == RETRIES:
                raise


__all__ = ("PIECE", "RETRIES", "api", "download", "prepare", "within")
