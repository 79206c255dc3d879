"""The source of the built-in models, which need no download, account or table in the config."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from hyperllama.errors import ConfigError, LoadFailed
from hyperllama.models import ModelSpec
from hyperllama.spi import Report
from hyperllama_builtin.models import BUILTIN, CHAT_MODEL, verify

#: As in the config.toml at the top: one length, one compilation.
_LENGTHS = {CHAT_MODEL: 1024}


class BuiltinSource:
    """The source ``builtin:<name>``. Files are checked against the card before an engine sees them."""

    scheme = "builtin"

    def models(self) -> Sequence[ModelSpec]:
        return tuple(
            ModelSpec(
                name=model.name, engine="max", source=f"builtin:{model.name}", max_length=_LENGTHS.get(model.name)
            )
            for model in BUILTIN
        )

    def local(self, reference: str) -> Path | None:
        for model in BUILTIN:
            if model.name == reference:
                return model.folder
        names = ", ".join(model.name for model in BUILTIN)
        raise ConfigError(f"There is no built-in model {reference!r}; there are {names}.")

    async def fetch(self, reference: str, report: Report) -> Path:
        folder = self.local(reference)
        assert folder is not None  # noqa: S101 - local() raises for an unknown name
        try:
            await asyncio.to_thread(verify, folder)
        except ValueError as error:
            raise LoadFailed(str(error)) from error
        return folder


__all__ = ("BuiltinSource",)
