"""Hub repositories through huggingface_hub's own cache, so that what other programs fetched is there already."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hyperllama.errors import ConfigError, LoadFailed
from hyperllama.models import LoadProgress, ModelSpec
from hyperllama.spi import Report

_REFERENCE = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w.-]+))?(?:@([\w./-]+))?")
#: Weights and what reads them. Never pickles.
_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.jinja", "tokenizer*", "LICENSE*")


class Reference(msgspec.Struct, frozen=True):
    """``org/repo[:quant][@revision]``."""

    repo: str
    quant: str | None  # the part of a GGUF file's name; None: safetensors
    revision: str | None

    @property
    def patterns(self) -> list[str]:
        return [*_PATTERNS, *([f"*{self.quant}*.gguf"] if self.quant else [])]


def parse(text: str) -> Reference:
    """Raises ConfigError."""
    match = _REFERENCE.fullmatch(text)
    if match is None or ".." in text:
        raise ConfigError(f"'hf:{text}' is no Hub model; write hf:org/repo, hf:org/repo:Q4_K_M or hf:org/repo@revision")
    return Reference(*match.groups())


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


__all__ = ("HubSource", "Reference", "parse")
