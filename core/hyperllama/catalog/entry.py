"""A model as the catalog has it, and the right to use it while it is in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hyperllama.catalog.instance import ModelInstance
from hyperllama.catalog.weights import Weights
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.spi import Engine, LoadedModel, ModelSource


class History:
    """Loads and deaths of a model since it is offered; for metrics."""

    __slots__ = ("deaths", "failed", "loads", "seconds")

    def __init__(self) -> None:
        self.loads = 0
        self.seconds = 0.0  # that they took together
        self.failed = 0  # loads
        self.deaths = 0


class Entry:
    """A model that clients can use."""

    __slots__ = ("complete", "engine", "history", "info", "loads", "path", "source", "spec", "weights")

    def __init__(
        self,
        spec: ModelSpec,
        info: ModelInfo,
        path: Path | None,
        *,
        engine: Engine,
        source: ModelSource | None,
        sharing: str | None = None,
    ) -> None:
        self.spec = spec
        self.loads = spec  # the same with the batch that the memory budget holds
        self.info = info
        self.path = path
        self.engine = engine
        self.source = source
        self.weights = Weights(sharing)  # its own until it is offered beside another of the same
        self.history = History()
        self.complete: Callable[[ModelInfo], ModelInfo] = lambda info: info  # adds what the engine does not know

    @property
    def instance(self) -> ModelInstance | None:
        """The process that has it in memory, or is about to; None: there is none."""
        return self.weights.instance

    @property
    def lane(self) -> str:
        """The name of the queue that it shares with all models of the same weights."""
        return self.weights.name or self.spec.name


class Lease:
    """The right to use a loaded model, which stays in memory until the lease is released.

    ``rendering`` goes with every request of the model; None: nothing needs to.
    """

    __slots__ = ("_entry", "_instance", "info", "load_ns", "model", "rendering")

    def __init__(self, entry: Entry, instance: ModelInstance, model: LoadedModel, load_ns: int) -> None:
        self._entry = entry
        self._instance: ModelInstance | None = instance
        self.info = entry.info if entry.weights.sharing is not None else model.info
        self.model = model
        self.load_ns = load_ns
        self.rendering = entry.weights.rendering(entry)

    def release(self) -> None:
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.leave(self._entry)


__all__ = ("Entry", "History", "Lease")
