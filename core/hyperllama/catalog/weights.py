"""The weights of one process, and the models that share them: each with a name and a rendering of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hyperllama.generation import Rendering
from hyperllama.models import ModelInfo

if TYPE_CHECKING:
    from hyperllama.catalog.entry import Entry
    from hyperllama.catalog.instance import ModelInstance

#: What a name's own template decides of what it can do; all else is the process's.
_RENDERED = frozenset({"chat", "tools", "thinking"})


class Weights:
    """The weights that one load brings into memory. ``entries``: the offered models that share it, as they came."""

    __slots__ = ("_described", "_loaded", "entries", "instance", "loader", "sharing")

    def __init__(self, sharing: str | None) -> None:
        """Share nothing yet. ``sharing``: as the engine names what a load makes; None: of one model alone."""
        self.sharing = sharing
        self.entries: list[Entry] = []
        self.instance: ModelInstance | None = None
        self.loader: Entry | None = None  # the model by whose table it is or was loaded
        self._described: ModelInfo | None = None  # the loader's, before and after the load
        self._loaded: ModelInfo | None = None

    @property
    def name(self) -> str:
        """The name of the queue and the auxiliary places that all the models share."""
        return self.entries[0].spec.name if self.entries else ""

    def chosen(self, entry: Entry) -> Entry:
        """Return the model to load by: ``entry`` while it is offered, else another that still is."""
        return entry if entry in self.entries or not self.entries else self.entries[0]

    def loaded(self, entry: Entry, info: ModelInfo) -> None:
        """Note that a load by ``entry`` found ``info``, and tell it of every model that shares the weights."""
        self.loader, self._described, self._loaded = entry, entry.info, info
        entry.info = entry.complete(info)
        for other in self.entries:
            if other is not entry:
                self.adapt(other)

    def adapt(self, entry: Entry) -> None:
        """Give ``entry`` the figures of the process, if one is in memory; all else of its description is its own."""
        before, after = self._described, self._loaded
        if before is None or after is None or self.instance is None or self.instance.model is None:
            return
        info = entry.info
        lost = (before.capabilities - after.capabilities) - _RENDERED
        entry.info = msgspec.structs.replace(
            info,
            capabilities=info.capabilities - lost,
            context_length=after.context_length,
            max_batch_size=after.max_batch_size,
            max_logprobs=after.max_logprobs,
            memory_bytes=after.memory_bytes,
            vocab_size=after.vocab_size,
        )

    def rendering(self, entry: Entry) -> Rendering | None:
        """Return what requests of ``entry`` need; None: the process renders so by itself."""
        if self.sharing is None or entry is self.loader or self._described is None:
            return None
        found = rendering_of(entry.info)
        return None if found == rendering_of(self._described) else found


def rendering_of(info: ModelInfo) -> Rendering:
    return Rendering(system=info.system, template=info.template, parameters=info.parameters)


__all__ = ("Weights", "rendering_of")
