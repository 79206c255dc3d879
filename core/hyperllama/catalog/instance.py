"""A process with a model in memory: its load, the names that use it, and its failures."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Hashable
from typing import Protocol

import msgspec
import structlog

from hyperllama.catalog.holds import Holds
from hyperllama.errors import GatewayError, LoadInterrupted
from hyperllama.models import LoadProgress, ModelInfo, RunningModel
from hyperllama.spi import LoadedModel

log = structlog.get_logger(__name__)

DEATHS, WINDOW = 5, 60.0  # that many deaths in as many seconds make the model rest
REST = 30.0  # seconds
BACKOFF = (0.5, 30.0)  # seconds, doubled from the first to the second


class InstanceOwner(Protocol):
    """The catalog as an instance needs it. Every method runs on the event loop."""

    async def load(self, instance: ModelInstance) -> LoadedModel:
        """Load the model. Raises GatewayError."""
        ...

    def changed(self) -> None:
        """Note that memory may have become free, or a model idle."""
        ...

    def died(self) -> None:
        """Note that the engine of the loaded model died."""
        ...

    def gone(self, instance: ModelInstance) -> None:
        """Forget ``instance``: nothing of the model is left in memory."""
        ...


class ModelInstance:
    """Weights from their first request until they are unloaded. They load again by themselves after a death.

    The models that use them are ``holders``: each counts its own users and has its own timer, and the weights are
    unloaded when the last of them has let go.
    """

    def __init__(self, name: str, *, estimate: float | None, owner: InstanceOwner) -> None:
        """Load nothing yet. ``name``: for the log. ``estimate``: seconds of a load."""
        self.name = name
        self.model: LoadedModel | None = None
        self.progress = LoadProgress("starting", estimate=estimate)
        self.idle_since: float | None = None
        self.holds = Holds(self._expire)
        self._owner = owner
        self._began = 0.0
        self._loading: asyncio.Task[LoadedModel] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()
        self._backoff: asyncio.TimerHandle | None = None
        self._reserved = 0
        self._deaths: deque[float] = deque(maxlen=DEATHS)
        self._rest_until = 0.0
        self._closed = False

    # --- users ---

    @property
    def _active(self) -> int:
        return self.holds.active

    @property
    def keep_alive(self) -> float:
        """The longest time that one of the holders keeps it unused."""
        return self.holds.keep_alive

    def keep(self, holder: Hashable, keep_alive: float) -> None:
        """Have ``holder`` keep the weights, once they are loaded, for as long as this."""
        self.holds.keep(holder, keep_alive)
        if self.model is not None:
            self.holds.arm(holder)

    def enter(self, holder: Hashable, configured: float, keep_alive: float | None) -> None:
        """Count one more user. ``keep_alive``, if given, replaces the holder's own, or ``configured``, from now on."""
        hold = self.holds.enter(holder, configured)
        self._idle.clear()
        self.idle_since = None
        if keep_alive is not None:
            hold.keep_alive = keep_alive

    def leave(self, holder: Hashable) -> None:
        """Count one user fewer; a holder's last one starts its idle timer."""
        hold = self.holds.leave(holder)
        if self._active == 0:
            self.idle_since = time.monotonic()
            self._idle.set()
            self._owner.changed()
        if hold.active == 0:
            self._arm(holder)

    def _arm(self, holder: Hashable) -> None:
        if self._closed or self.model is None:
            dying = self._loading or self._deaths or self.unavailable_for()
            if self.model is None and not self._active and not dying:
                self._owner.gone(self)
            return
        self.holds.arm(holder)

    def _expire(self, holder: Hashable) -> None:
        if self.model is None:
            return  # armed again when it is loaded
        self.holds.drop(holder)
        if not self.holds:
            log.info("model idle, unloading", model=self.name)
            self._start_closing()

    # --- loading ---

    @property
    def loading(self) -> bool:
        """True while a load is under way."""
        return self._loading is not None

    def begin(self) -> asyncio.Task[LoadedModel]:
        """Return the load under way, or start one: a single task that every waiting call shares."""
        if self._loading is None:
            if self._backoff is not None:
                self._backoff.cancel()
                self._backoff = None
            self._loading = asyncio.create_task(self._run(), name=f"load {self.name}")
            self._loading.add_done_callback(_retrieve)
        return self._loading

    async def _run(self) -> LoadedModel:
        if self._closing is not None:
            await asyncio.shield(self._closing)
        self._began = time.monotonic()
        self._log_progress()
        try:
            model = await self._owner.load(self)
        except GatewayError as error:
            log.error("model not loaded", model=self.name, reason=error.message)
            self._failed()
            raise
        except BaseException:
            self._failed()
            raise
        self._loading = None
        if model.failure is not None:
            await model.close()
            self._failed()
            raise LoadInterrupted(f"model '{self.name}' stopped while it was loaded: {model.failure}", retry_after=1)
        self.model = model
        self.progress = msgspec.structs.replace(self.progress, phase="ready", detail="", seconds=self._elapsed())
        model.watch(lambda reason: self._died(model, reason))
        if self._active == 0:
            self.idle_since = time.monotonic()
        for holder in self.holds:
            self.holds.arm(holder)
        if not self.holds:  # all have let go while it was loaded
            self._start_closing()
        return model

    def _failed(self) -> None:
        self._loading = None
        self._reserved = 0
        self._owner.changed()
        if self._active == 0:
            self._owner.gone(self)

    def report(self, progress: LoadProgress) -> None:
        """Record the progress that the engine reports."""
        new_phase = progress.phase != self.progress.phase
        estimate = progress.estimate or self.progress.estimate
        self.progress = msgspec.structs.replace(progress, seconds=self._elapsed(), estimate=estimate)
        if new_phase:
            self._log_progress()

    def _log_progress(self) -> None:
        estimate = self.progress.estimate
        log.info(
            "model loading",
            model=self.name,
            phase=self.progress.phase,
            seconds=round(self._elapsed(), 1),
            estimate=estimate and round(estimate, 1),
        )

    def describe(self) -> str:
        """Describe the progress of the load in a few words."""
        of = f" of about {self.progress.estimate:.0f}" if self.progress.estimate else ""
        return f"{self.progress.phase}, {self._elapsed():.0f}{of} s"

    def remaining(self) -> float:
        """Return the seconds that the load may still take, at least one; a guess where none was ever measured."""
        estimate = self.progress.estimate or 10.0
        return max(1.0, estimate - self._elapsed())

    def _elapsed(self) -> float:
        return time.monotonic() - self._began if self._began else 0.0

    # --- memory ---

    def reserve(self, size: int) -> None:
        """Count ``size`` bytes as taken until the memory in use can be measured."""
        self._reserved = size

    @property
    def occupied(self) -> bool:
        """True while the model takes memory, or is about to."""
        return self.model is not None or self._reserved > 0

    def bytes(self) -> int:
        """Return the memory in use or reserved, whichever is more."""
        return max(self._reserved, self.model.memory()[0] if self.model is not None else 0)

    def snapshot(self, info: ModelInfo) -> RunningModel:
        """Describe the instance to clients."""
        resident, accelerator = self.model.memory() if self.model is not None else (0, 0)
        progress = self.progress
        if self.model is None:
            progress = msgspec.structs.replace(progress, seconds=self._elapsed())
        return RunningModel(
            info=info,
            progress=progress,
            size_bytes=resident,
            size_vram=accelerator,
            expires_at=self._expiry(),
            active=self._active,
        )

    def _expiry(self) -> float | None:
        """Return the unix time at which the idle timer ends; None: never.

        A model that loads or works counts as idle from now; one that is being unloaded has expired.
        """
        expires = self.holds.expires_at
        if self._closing is not None:
            return min(expires or math.inf, time.time() - 1)
        if self._active == 0 and self.model is not None:
            return expires
        return None if math.isinf(self.keep_alive) else time.time() + self.keep_alive

    # --- death ---

    def unavailable_for(self) -> float:
        """Return the seconds for which the model rests after dying too often; 0: it can be loaded."""
        return max(0.0, self._rest_until - time.monotonic())

    def _died(self, model: LoadedModel, reason: str) -> None:
        if self.model is not model or self._closed or self._closing is not None:
            return
        now = time.monotonic()
        self.model = None
        self._reserved = 0
        self._deaths.append(now)
        self._owner.died()
        self._closing = asyncio.create_task(self._bury(model))
        recent = [death for death in self._deaths if now - death < WINDOW]
        if len(recent) >= DEATHS:
            self._rest_until = now + REST
            self._deaths.clear()
            log.error("model died too often, resting", model=self.name, reason=reason, seconds=REST)
            return
        pause = min(BACKOFF[1], BACKOFF[0] * 2 ** (len(recent) - 1)) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        log.error("model died, loading it again", model=self.name, reason=reason, pause=round(pause, 2))
        self._backoff = asyncio.get_running_loop().call_later(pause, self._reload)

    def _reload(self) -> None:
        if not self._closed:
            self.begin()

    async def _bury(self, model: LoadedModel) -> None:
        try:
            await model.close()
        finally:
            self._closing = None
            self._owner.changed()

    # --- leaving ---

    async def retire(self, holder: Hashable) -> None:
        """Wait until the last user of ``holder`` has left, then let go; unload if no other holds on."""
        if self._loading is not None and {*self.holds} <= {holder}:
            await asyncio.wait([self._loading])
        while (hold := self.holds.get(holder)) is not None and hold.active:
            await hold.idle.wait()
        self.holds.drop(holder)
        if not self.holds:
            await self._unloaded()

    async def evict(self) -> None:
        """Wait until the last user of any holder has left, then unload."""
        if self._loading is not None:
            await asyncio.wait([self._loading])
        while self._active:
            await self._idle.wait()
        await self._unloaded()

    async def _unloaded(self) -> None:
        if self.model is not None:
            self._start_closing()
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def close(self) -> None:
        """Unload at once; running requests fail."""
        self._closed = True
        self.holds.stop()
        if self._backoff is not None:
            self._backoff.cancel()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])
        self._start_closing()
        if self._closing is not None:
            await self._closing

    def _start_closing(self) -> None:
        model, self.model = self.model, None
        self.holds.clear()
        if model is not None and self._closing is None:
            self._closing = asyncio.create_task(self._unload(model), name=f"unload {self.name}")

    async def _unload(self, model: LoadedModel) -> None:
        try:
            await model.close()
            log.info("model unloaded", model=self.name)
        finally:
            self._closing = None
            self._reserved = 0
            self._owner.changed()
            if self._active == 0 and self._loading is None and self.model is None:
                self._owner.gone(self)


def _retrieve(task: asyncio.Task[LoadedModel]) -> None:
    """Mark the failure as seen: it was logged, and no call may be left to await it."""
    if not task.cancelled():
        task.exception()


__all__ = ("InstanceOwner", "ModelInstance")
