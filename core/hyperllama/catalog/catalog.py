"""The models by name: those that exist, those in memory, and how they get there.

Everything here runs on the event loop and holds no lock: between two awaits nothing else runs, and each model's load
is one task that every waiting call shares.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path

import structlog

from hyperllama.catalog.entry import Entry, Lease
from hyperllama.catalog.eviction import Resident, plan_eviction
from hyperllama.catalog.fitting import fitted
from hyperllama.catalog.instance import ModelInstance
from hyperllama.catalog.weights import Weights
from hyperllama.config import Server, parse_duration
from hyperllama.errors import ConfigError, GatewayError, LoadFailed, ModelLoading, ModelNotFound, ModelUnavailable
from hyperllama.models import ModelInfo, ModelSpec, RunningModel
from hyperllama.modelstore.loadtimes import LoadTimes
from hyperllama.spi import Engine, LoadedModel, ModelSource, Shares

log = structlog.get_logger(__name__)


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
        self._shared: dict[str, Weights] = {}  # by what they are; those of one model alone are not here
        self._leaving: dict[asyncio.Task[None], Entry] = {}  # no longer offered, still busy
        self._changed = asyncio.Event()
        self._placing = asyncio.Lock()
        self._closed = False
        self._on_failure: Callable[[GatewayError, str], None] = lambda _error, _model: None

    def on_load_failure(self, call: Callable[[GatewayError, str], None]) -> None:
        """Have ``call`` run with the error and the name of the model's queue after every load that fails."""
        self._on_failure = call

    @property
    def memory(self) -> int:
        """The bytes that loaded models may take together."""
        return self._memory

    # --- what exists ---

    def add(self, specs: Iterable[ModelSpec]) -> None:
        """Describe and offer models. Reads files; raises ConfigError for one that could never be loaded."""
        for spec in specs:
            self.put(self.describe(spec))

    def describe(self, spec: ModelSpec, *, origin: str = "") -> Entry:
        """Return an entry for ``spec``, not yet offered. Reads files; raises ConfigError.

        ``origin``: the model that this one is a copy of, where there are no files to tell.
        """
        engine = self._engines.get(spec.engine)
        if engine is None:
            known = ", ".join(sorted(self._engines)) or "none"
            raise ConfigError(f"models.{spec.name}.engine: no engine {spec.engine!r}; installed are: {known}")
        try:
            source, path = self._locate(spec)
            info = engine.describe(spec, path)
            sharing = _sharing(engine, spec, path, origin)
        except ConfigError as error:
            place = "" if str(error).startswith("models.") else f"models.{spec.name}: "
            raise ConfigError(f"{place}{error}") from error
        except Exception as error:  # files that lie, and engines that trust them: one model, not the gateway
            raise ConfigError(f"models.{spec.name}: cannot be read: {type(error).__name__}: {error}") from error
        loads, info = fitted(spec, info, self._memory)
        entry = Entry(spec, info, path, engine=engine, source=source, sharing=sharing)
        entry.loads = loads
        return entry

    def put(self, entry: Entry) -> None:
        """Offer ``entry``, in place of one of the same name; requests that run on the old one finish.

        It shares the process of every model of the same weights, also that of the one it replaces.
        """
        if (sharing := entry.weights.sharing) is not None:
            entry.weights = self._shared.setdefault(sharing, entry.weights)
        weights = entry.weights
        weights.entries.append(entry)
        old = self._entries.get(entry.spec.name)
        if old is not None:
            if old.weights is weights and weights.instance is not None and old in weights.instance.holds:
                weights.instance.keep(entry, self.configured_keep_alive(entry))
            self.remove(entry.spec.name)
        self._entries[entry.spec.name] = entry
        for name in (entry.spec.name, *entry.spec.aliases):
            self._names[_key(name)] = entry
        weights.adapt(entry)

    def remove(self, name: str) -> None:
        """Stop offering a model. Its running requests finish, then it is unloaded unless another uses the same."""
        entry = self._entries.pop(name)
        self._names = {key: other for key, other in self._names.items() if other is not entry}
        entry.weights.entries.remove(entry)
        self.forget(entry.weights)
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

    def running(self, may: Callable[[Entry], bool] = lambda _: True) -> Sequence[tuple[Entry, RunningModel]]:
        """Return loaded and loading models, latest to expire first; one for all that share a process.

        That is the model by which it was loaded, or else another that uses it: one for which ``may`` returns True.
        """
        found = []
        for weights in dict.fromkeys(entry.weights for entry in self._entries.values()):
            if (instance := weights.instance) is None:
                continue
            loader = weights.loader
            users = [entry for entry in (loader, *weights.entries) if entry in instance.holds]
            if not users and loader is not None:
                users = [loader]  # it rests after a death
            shown = next((entry for entry in users if entry in weights.entries and may(entry)), None)
            if shown is not None:
                found.append((shown, instance.snapshot(shown.info)))
        return sorted(found, key=lambda pair: -(pair[1].expires_at or math.inf))

    # --- what is in memory ---

    async def acquire(self, entry: Entry, *, keep_alive: float | None = None, wait_timeout: float = math.inf) -> Lease:
        """Return a lease of the loaded model, loading it first if need be, once for every waiting call.

        ``keep_alive`` in seconds replaces the model's timer; None leaves it. After ``wait_timeout`` seconds raises
        ModelLoading with the progress of the load, which goes on. Raises LoadFailed, ModelUnavailable.
        """
        began = time.perf_counter_ns()
        instance = self._instance(entry)
        instance.enter(entry, self.configured_keep_alive(entry), keep_alive)
        try:
            model = instance.model
            if model is not None:
                if entry.path is None and entry.source is not None:
                    await self._fetched(entry)
                return Lease(entry, instance, model, 0)
            if (pause := instance.unavailable_for()) > 0:
                raise ModelUnavailable(
                    f"The engine of model {entry.spec.name!r} died too often. Try again later.", retry_after=pause
                )
            loading = self._begin(entry, instance)
            done, _ = await asyncio.wait([loading], timeout=None if math.isinf(wait_timeout) else wait_timeout)
            if not done:
                raise ModelLoading(
                    f"Model {entry.spec.name!r} is being loaded ({instance.describe()}). Try again, or wait longer.",
                    retry_after=instance.remaining(),
                )
            return Lease(entry, instance, _loaded(loading, entry), time.perf_counter_ns() - began)
        except BaseException:
            instance.leave(entry)
            raise

    async def _fetched(self, entry: Entry) -> None:
        """Describe ``entry`` from the files that a model of the same weights was loaded from."""
        loader = entry.weights.loader
        if loader is None or (path := loader.path) is None:
            return
        info = await asyncio.to_thread(entry.engine.describe, entry.spec, path)
        self._found(entry, path, info)
        entry.weights.adapt(entry)

    def preload(self, entry: Entry) -> None:
        """Start loading in the background; a failure is logged."""
        instance = self._instance(entry)
        instance.keep(entry, self.configured_keep_alive(entry))
        if instance.model is None:
            self._begin(entry, instance)

    async def unload(self, entry: Entry) -> None:
        """Let running requests finish, then unload the model, unless another name still holds the same process.

        Does nothing when it is not loaded.
        """
        if entry.instance is not None:
            await entry.instance.retire(entry)

    async def close(self) -> None:
        """Unload everything, without waiting for requests."""
        self._closed = True
        await asyncio.gather(*(weights.instance.close() for weights in self._processes() if weights.instance))

    def changed(self) -> None:
        """Look again whether there is memory for the model that waits for it."""
        self._changed.set()

    def configured_keep_alive(self, entry: Entry) -> float:
        """Return the seconds that an idle model stays unless a request sets others; inf: for ever."""
        return self._keep_alive if entry.spec.keep_alive is None else parse_duration(entry.spec.keep_alive)

    def _instance(self, entry: Entry) -> ModelInstance:
        weights = entry.weights
        if weights.instance is None:
            estimate = self._load_times.estimate(entry.info)
            weights.instance = ModelInstance(entry.spec.name, estimate=estimate, owner=_Owner(self, weights))
        return weights.instance

    def _begin(self, entry: Entry, instance: ModelInstance) -> asyncio.Task[LoadedModel]:
        if not instance.loading:
            entry.weights.loader = entry
        return instance.begin()

    def _processes(self) -> list[Weights]:
        """Return all weights with a process, also those that only models no longer offered use."""
        entries = (*self._entries.values(), *self._leaving.values())
        return [weights for weights in dict.fromkeys(entry.weights for entry in entries) if weights.instance]

    def forget(self, weights: Weights) -> None:
        """Drop weights that no model offers and that are not in memory."""
        if weights.sharing is not None and not weights.entries and weights.instance is None:
            self._shared.pop(weights.sharing, None)

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
        self._on_failure(error, entry.lane)

    async def _load_once(self, entry: Entry, instance: ModelInstance) -> LoadedModel:
        began = time.monotonic()
        path = entry.path
        if entry.source is not None:
            path = await entry.source.fetch(_reference(entry.spec), instance.report)
            if path != entry.path:
                info = await asyncio.to_thread(entry.engine.describe, entry.spec, path)
                self._found(entry, path, info)
                self._identify(entry)
        async with self._placing:  # room is made for one model at a time, and is then taken by it
            await self._make_room(entry)
            instance.reserve(entry.info.memory_bytes)
        model = await entry.engine.load(entry.loads, path, instance.report)
        entry.weights.loaded(entry, model.info)
        took = time.monotonic() - began
        entry.history.loads += 1
        entry.history.seconds += took
        log.info("model loaded", model=entry.spec.name, seconds=round(took, 2))
        if entry.loads.max_batch_size < entry.spec.max_batch_size:
            log.warning(
                "fewer answers at once than configured, so that the model fits into memory",
                model=entry.spec.name,
                max_batch_size=entry.loads.max_batch_size,
                configured=entry.spec.max_batch_size,
            )
        await self._load_times.record(entry.info, took)
        return model

    def _found(self, entry: Entry, path: Path, info: ModelInfo) -> None:
        """Have ``entry`` described by the files at ``path``, as its engine found them."""
        entry.loads, info = fitted(entry.spec, info, self._memory)
        entry.path, entry.info = path, entry.complete(info)

    def _identify(self, entry: Entry) -> None:
        """Know the weights of ``entry`` by their files, now that these are here."""
        weights = entry.weights
        found = _sharing(entry.engine, entry.spec, entry.path, "")
        if weights.sharing is not None and found is not None and found not in self._shared:
            self._shared.pop(weights.sharing, None)
            weights.sharing = found
            self._shared[found] = weights

    async def _make_room(self, entry: Entry) -> None:
        while True:
            others = [weights for weights in self._processes() if weights is not entry.weights]
            residents: dict[Hashable, Weights] = {
                id(weights): weights for weights in others if weights.instance and weights.instance.occupied
            }
            plan = plan_eviction(
                [_resident(weights) for weights in residents.values()],
                entry.info.memory_bytes,
                budget=self._memory,
                max_models=self._max_models,
            )
            self._changed.clear()
            for key in plan.evict:
                weights = residents[key]
                if weights.instance is not None:
                    log.info("model evicted", model=weights.instance.name, to_load=entry.spec.name)
                    await weights.instance.evict()
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
    """The owner of the instance of some weights."""

    __slots__ = ("_catalog", "_weights")

    def __init__(self, catalog: Catalog, weights: Weights) -> None:
        self._catalog, self._weights = catalog, weights

    async def load(self, instance: ModelInstance) -> LoadedModel:
        loader = self._weights.loader
        assert loader is not None  # noqa: S101 - set before the first load begins
        self._weights.loader = loader = self._weights.chosen(loader)
        instance.name = loader.spec.name
        return await self._catalog.load(loader, instance)

    def changed(self) -> None:
        self._catalog.changed()

    def died(self) -> None:
        if self._weights.loader is not None:
            self._weights.loader.history.deaths += 1

    def gone(self, instance: ModelInstance) -> None:
        if self._weights.instance is instance:
            self._weights.instance = None
            self._catalog.forget(self._weights)


def _reference(spec: ModelSpec) -> str:
    return spec.source.partition(":")[2]


def _resident(weights: Weights) -> Resident:
    instance = weights.instance
    assert instance is not None  # noqa: S101 - the caller filtered
    return Resident(id(weights), instance.bytes(), instance.idle_since, instance.keep_alive)


def _loaded(loading: asyncio.Task[LoadedModel], entry: Entry) -> LoadedModel:
    """Return the model. Raise the error of its load, which names ``entry`` even where another's load was waited for."""
    loader = entry.weights.loader
    try:
        return loading.result()
    except GatewayError as error:
        if loader is None or loader is entry:
            raise
        message = error.message.replace(repr(loader.spec.name), repr(entry.spec.name))
        raise type(error)(message, param=error.param, retry_after=error.retry_after) from error


def _sharing(engine: Engine, spec: ModelSpec, path: Path | None, origin: str) -> str | None:
    if not isinstance(engine, Shares) or (found := engine.sharing(spec, path)) is None:
        return None
    return f"{engine.name} {found}" if spec.source else f"{engine.name} {origin or spec.name} {found}"


def _key(name: str) -> str:
    return name.casefold().removesuffix(":latest")


__all__ = ("Catalog",)
