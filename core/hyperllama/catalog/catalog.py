"""The models by name: those that exist, those in memory, and how they get there.

Everything here runs on the event loop and holds no lock: between two awaits nothing else runs, and each model's load
is one task that every waiting call shares.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import structlog

from hyperllama.catalog.eviction import Resident, plan_eviction
from hyperllama.catalog.instance import ModelInstance
from hyperllama.config import Server, parse_duration
from hyperllama.errors import ConfigError, GatewayError, LoadFailed, ModelLoading, ModelNotFound, ModelUnavailable
from hyperllama.models import ModelInfo, ModelSpec, RunningModel
from hyperllama.modelstore.loadtimes import LoadTimes
from hyperllama.spi import Engine, LoadedModel, ModelSource

log = structlog.get_logger(__name__)


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

    __slots__ = ("complete", "engine", "history", "info", "instance", "path", "source", "spec")

    def __init__(
        self, spec: ModelSpec, info: ModelInfo, path: Path | None, *, engine: Engine, source: ModelSource | None
    ) -> None:
        self.spec = spec
        self.info = info
        self.path = path
        self.engine = engine
        self.source = source
        self.instance: ModelInstance | None = None
        self.history = History()
        self.complete: Callable[[ModelInfo], ModelInfo] = lambda info: info  # adds what the engine does not know


class Lease:
    """The right to use a loaded model, which stays in memory until the lease is released."""

    __slots__ = ("_instance", "load_ns", "model")

    def __init__(self, instance: ModelInstance, model: LoadedModel, load_ns: int) -> None:
        self._instance: ModelInstance | None = instance
        self.model = model
        self.load_ns = load_ns

    def release(self) -> None:
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.leave()


class Catalog:
    """The models of this gateway, loaded on demand within the memory budget."""

    def __init__(
        self,
        server: Server,
        *,
        engines: Mapping[str, Engine],
        sources: Mapping[str, ModelSource],
        load_times: LoadTimes,
        memory: int,
    ) -> None:
        """Create an empty catalog. ``memory``: bytes that loaded models may take together."""
        self._engines = engines
        self._sources = sources
        self._keep_alive = parse_duration(server.keep_alive)
        self._max_models = server.max_loaded_models
        self._memory = memory
        self._load_times = load_times
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, Entry] = {}
        self._leaving: dict[asyncio.Task[None], Entry] = {}  # no longer offered, still busy
        self._changed = asyncio.Event()
        self._placing = asyncio.Lock()
        self._closed = False
        self._on_failure: Callable[[GatewayError, str], None] = lambda _error, _model: None

    def on_load_failure(self, call: Callable[[GatewayError, str], None]) -> None:
        """Have ``call`` run with the error and the model's name after every load that fails."""
        self._on_failure = call

    # --- what exists ---

    def add(self, specs: Iterable[ModelSpec]) -> None:
        """Describe and offer models. Reads files; raises ConfigError for one that could never be loaded."""
        for spec in specs:
            self.put(self.describe(spec))

    def describe(self, spec: ModelSpec) -> Entry:
        """Return an entry for ``spec``, not yet offered. Reads files; raises ConfigError."""
        engine = self._engines.get(spec.engine)
        if engine is None:
            known = ", ".join(sorted(self._engines)) or "none"
            raise ConfigError(f"models.{spec.name}.engine: no engine {spec.engine!r}; installed are: {known}")
        try:
            source, path = self._locate(spec)
            info = engine.describe(spec, path)
        except ConfigError as error:
            place = "" if str(error).startswith("models.") else f"models.{spec.name}: "
            raise ConfigError(f"{place}{error}") from error
        except Exception as error:  # files that lie, and engines that trust them: one model, not the gateway
            raise ConfigError(f"models.{spec.name}: cannot be read: {type(error).__name__}: {error}") from error
        return Entry(spec, info, path, engine=engine, source=source)

    def put(self, entry: Entry) -> None:
        """Offer ``entry``, in place of one of the same name; requests that run on the old one finish."""
        if entry.spec.name in self._entries:
            self.remove(entry.spec.name)
        self._entries[entry.spec.name] = entry
        for name in (entry.spec.name, *entry.spec.aliases):
            self._names[_key(name)] = entry

    def remove(self, name: str) -> None:
        """Stop offering a model. Its running requests finish, then it is unloaded."""
        entry = self._entries.pop(name)
        self._names = {key: other for key, other in self._names.items() if other is not entry}
        if entry.instance is not None:
            leaving = asyncio.create_task(self.unload(entry), name=f"retire {name}")
            self._leaving[leaving] = entry
            leaving.add_done_callback(self._leaving.pop)

    def knows(self, name: str) -> bool:
        """Return whether a model or an alias has this name."""
        return _key(name) in self._names

    def entries(self) -> Sequence[Entry]:
        """Return every offered model, in the order in which they came."""
        return list(self._entries.values())

    def find(self, name: str) -> Entry:
        """Return the model of this name or alias, in any case, ``:latest`` implied. Raises ModelNotFound."""
        entry = self._names.get(_key(name))
        if entry is None:
            raise ModelNotFound(f"model '{name}' not found", param="model", model=name)
        return entry

    def running(self) -> Sequence[tuple[Entry, RunningModel]]:
        """Return loaded and loading models, latest to expire first."""
        found = [(entry, entry.instance.snapshot(entry.info)) for entry in self._entries.values() if entry.instance]
        return sorted(found, key=lambda pair: -(pair[1].expires_at or math.inf))

    # --- what is in memory ---

    async def acquire(self, entry: Entry, *, keep_alive: float | None = None, wait_timeout: float = math.inf) -> Lease:
        """Return a lease of the loaded model, loading it first if need be, once for every waiting call.

        ``keep_alive`` in seconds replaces the model's timer; None leaves it. After ``wait_timeout`` seconds raises
        ModelLoading with the progress of the load, which goes on. Raises LoadFailed, ModelUnavailable.
        """
        began = time.perf_counter_ns()
        instance = self._instance(entry)
        instance.enter(keep_alive)
        try:
            model = instance.model
            if model is not None:
                return Lease(instance, model, 0)
            if (pause := instance.unavailable_for()) > 0:
                raise ModelUnavailable(
                    f"The engine of model {entry.spec.name!r} died too often. Try again later.", retry_after=pause
                )
            loading = instance.begin()
            done, _ = await asyncio.wait([loading], timeout=None if math.isinf(wait_timeout) else wait_timeout)
            if not done:
                raise ModelLoading(
                    f"Model {entry.spec.name!r} is being loaded ({instance.describe()}). Try again, or wait longer.",
                    retry_after=instance.remaining(),
                )
            return Lease(instance, loading.result(), time.perf_counter_ns() - began)
        except BaseException:
            instance.leave()
            raise

    def preload(self, entry: Entry) -> None:
        """Start loading in the background; a failure is logged."""
        self._instance(entry).begin()

    async def unload(self, entry: Entry) -> None:
        """Let running requests finish, then unload the model. Does nothing when it is not loaded."""
        if entry.instance is not None:
            await entry.instance.retire()

    async def close(self) -> None:
        """Unload everything, without waiting for requests."""
        self._closed = True
        entries = (*self._entries.values(), *self._leaving.values())
        await asyncio.gather(*(entry.instance.close() for entry in entries if entry.instance))

    def changed(self) -> None:
        """Look again whether there is memory for the model that waits for it."""
        self._changed.set()

    def configured_keep_alive(self, entry: Entry) -> float:
        """Return the seconds that an idle model stays unless a request sets others; inf: for ever."""
        return self._keep_alive if entry.spec.keep_alive is None else parse_duration(entry.spec.keep_alive)

    def _instance(self, entry: Entry) -> ModelInstance:
        if entry.instance is None:
            keep = self.configured_keep_alive(entry)
            estimate = self._load_times.estimate(entry.info)
            entry.instance = ModelInstance(entry.spec.name, keep, estimate=estimate, owner=_Owner(self, entry))
        return entry.instance

    async def load(self, entry: Entry, instance: ModelInstance) -> LoadedModel:
        """Load ``entry`` for its ``instance``, once there is memory for it. For :class:`ModelInstance` only."""
        try:
            return await self._load_once(entry, instance)
        except GatewayError as error:
            self._failed(entry, error)
            raise
        except Exception as error:
            failure = LoadFailed(f"model '{entry.spec.name}' could not be loaded: {error}")
            self._failed(entry, failure)
            raise failure from error

    def _failed(self, entry: Entry, error: GatewayError) -> None:
        entry.history.failed += 1
        self._on_failure(error, entry.spec.name)

    async def _load_once(self, entry: Entry, instance: ModelInstance) -> LoadedModel:
        began = time.monotonic()
        path = entry.path
        if entry.source is not None:
            path = await entry.source.fetch(_reference(entry.spec), instance.report)
            if path != entry.path:
                info = await asyncio.to_thread(entry.engine.describe, entry.spec, path)
                entry.path, entry.info = path, entry.complete(info)
        async with self._placing:  # room is made for one model at a time, and is then taken by it
            await self._make_room(entry)
            instance.reserve(entry.info.memory_bytes)
        model = await entry.engine.load(entry.spec, path, instance.report)
        entry.info = entry.complete(model.info)
        took = time.monotonic() - began
        entry.history.loads += 1
        entry.history.seconds += took
        log.info("model loaded", model=entry.spec.name, seconds=round(took, 2))
        await self._load_times.record(entry.info, took)
        return model

    async def _make_room(self, entry: Entry) -> None:
        while True:
            all_others = (*self._entries.values(), *self._leaving.values())
            others = [other for other in all_others if other is not entry and other.instance is not None]
            residents = [_resident(other) for other in others if other.instance and other.instance.occupied]
            plan = plan_eviction(residents, entry.info.memory_bytes, budget=self._memory, max_models=self._max_models)
            self._changed.clear()
            for name in plan.evict:
                log.info("model evicted", model=name, to_load=entry.spec.name)
                await self.unload(self._entries[name])
            if not plan.wait:
                return
            if not plan.evict:
                await self._changed.wait()

    def _locate(self, spec: ModelSpec) -> tuple[ModelSource | None, Path | None]:
        scheme, colon, reference = spec.source.partition(":")
        if colon and scheme in self._sources:
            try:
                return self._sources[scheme], self._sources[scheme].local(reference)
            except ConfigError as error:
                raise ConfigError(f"models.{spec.name}.source: {error}") from error
        if not spec.source:
            return None, None
        path = Path(spec.source).expanduser()
        if not path.exists():
            known = ", ".join(f"{name}:" for name in sorted(self._sources))
            raise ConfigError(
                f"models.{spec.name}.source: {spec.source!r} does not exist; "
                f"give a directory, a .gguf file, or one of {known}"
            )
        return None, path


class _Owner:
    """The owner of one entry's instance."""

    __slots__ = ("_catalog", "_entry")

    def __init__(self, catalog: Catalog, entry: Entry) -> None:
        self._catalog, self._entry = catalog, entry

    async def load(self, instance: ModelInstance) -> LoadedModel:
        return await self._catalog.load(self._entry, instance)

    def changed(self) -> None:
        self._catalog.changed()

    def died(self) -> None:
        self._entry.history.deaths += 1

    def gone(self, instance: ModelInstance) -> None:
        if self._entry.instance is instance:
            self._entry.instance = None


def _reference(spec: ModelSpec) -> str:
    return spec.source.partition(":")[2]


def _resident(entry: Entry) -> Resident:
    instance = entry.instance
    assert instance is not None  # noqa: S101 - the caller filtered
    return Resident(entry.spec.name, instance.bytes(), instance.idle_since, instance.keep_alive)


def _key(name: str) -> str:
    return name.casefold().removesuffix(":latest")


__all__ = ("Catalog", "Entry", "History", "Lease")
