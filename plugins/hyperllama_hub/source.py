"""Hub repositories through huggingface_hub's own cache, so that what other programs fetched is there already."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from hyperllama.errors import LoadFailed
from hyperllama.models import LoadProgress, ModelSpec
from hyperllama.modelstore.hub_reference import HubReference as Reference
from hyperllama.modelstore.hub_reference import parse
from hyperllama.spi import Report


class HubSource:
    """Downloads only when a model is loaded or pulled; HF_HUB_OFFLINE=1 keeps it from doing so at all."""

    scheme = "hf"

    def models(self) -> Sequence[ModelSpec]:
        return ()

    def local(self, reference: str) -> Path | None:
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            return _snapshot(parse(reference), only_local=True)
        except LocalEntryNotFoundError:
            return None

    async def fetch(self, reference: str, report: Report) -> Path:
        report(LoadProgress("downloading", detail=reference))
        try:
            return await asyncio.to_thread(_snapshot, parse(reference), only_local=False)
        except Exception as error:
            raise LoadFailed(f"'hf:{reference}' could not be fetched: {_first_line(error)}") from error


def _snapshot(reference: Reference, *, only_local: bool) -> Path:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download

    folder = Path(
        snapshot_download(
            reference.repo,
            revision=reference.revision,
            allow_patterns=reference.patterns,
            local_files_only=only_local,
        )
    )
    if not reference.quant:
        return folder
    found = sorted(folder.glob(f"*{reference.quant}*.gguf"))
    if not found:
        raise LoadFailed(f"'{reference.repo}' has no GGUF file with {reference.quant!r} in its name")
    return found[0]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


__all__ = ("HubSource",)
