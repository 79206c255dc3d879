"""Hub repositories through huggingface_hub's own cache, which other programs share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hyperllama.errors import LoadFailed, LoadInterrupted, Overloaded
from hyperllama.hub import HubReference, parse
from hyperllama.models import LoadProgress, ModelSpec
from hyperllama.spi import Report

DOWNLOADS = 16  # of different models at once
RETRY = 10.0  # seconds after which a Hub that did not answer may be asked again
WAITING = 64  # and those that wait for one to end


class HubSource:
    """The source ``hf:org/repo``. It downloads when a model is loaded or pulled; never with HF_HUB_OFFLINE=1."""

    scheme = "hf"

    def __init__(self, *, timeout: float = 4.0) -> None:
        """Take ``timeout``: the seconds that the Hub may be silent."""
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(DOWNLOADS, "hub-downloads")
        self._fetching: dict[str, asyncio.Future[Path]] = {}

    def models(self) -> Sequence[ModelSpec]:
        """Return no models: the configuration names them."""
        return ()

    def local(self, reference: str) -> Path | None:
        """Return the files of ``reference`` if they are here. Raise ConfigError."""
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            return _snapshot(parse(reference), only_local=True, timeout=self._timeout)
        except LocalEntryNotFoundError:
            return None

    async def fetch(self, reference: str, report: Report) -> Path:
        """Download ``reference``, once for all that wait. Raise LoadFailed, ConfigError or Overloaded.

        A caller that is cancelled leaves the download to its end.
        """
        report(LoadProgress("downloading", detail=reference))
        future = self._fetching.get(reference)
        if future is None:
            if len(self._fetching) >= DOWNLOADS + WAITING:
                raise Overloaded("Too many models are being downloaded; try again later.", retry_after=10.0)
            wanted = parse(reference)
            future = asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: _snapshot(wanted, only_local=False, timeout=self._timeout)
            )
            self._fetching[reference] = future
            future.add_done_callback(lambda done: self._done(reference, done))
        try:
            return await asyncio.shield(future)
        except Exception as error:
            sentence = f"'hf:{reference}' could not be fetched: {_first_line(error)}"
            if _passes(error):
                raise LoadInterrupted(sentence, retry_after=RETRY) from error
            raise LoadFailed(sentence) from error

    def _done(self, reference: str, future: asyncio.Future[Path]) -> None:
        del self._fetching[reference]
        if not future.cancelled():
            future.exception()  # every caller may have left


def _snapshot(reference: HubReference, *, only_local: bool, timeout: float) -> Path:
    from hyperllama_hub.client import snapshot  # imports huggingface_hub, which takes long

    folder = snapshot(reference, only_local=only_local, timeout=timeout)
    if not reference.quant:
        return folder
    found = sorted(folder.glob(f"*{reference.quant}*.gguf"))
    if not found:
        raise LoadFailed(f"'{reference.repo}' has no GGUF file with {reference.quant!r} in its name")
    return found[0]


def _passes(error: BaseException | None) -> bool:
    """Return True for the failure of a Hub that is silent, out of reach or overloaded, whatever it led to."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError

    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, TimeoutError | httpx.TransportError):
            return True
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
        if status == 429 or status >= 500:
            return True
        error = error.__cause__ or error.__context__
    return False


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


__all__ = ("HubSource",)
