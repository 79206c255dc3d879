"""A model in memory: its load, its users, its idle timer and its failures."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from typing import Protocol

import msgspec
import structlog

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
    """A model from its first request until it is unloaded. Loads again by itself after a death."""

    def __init__(self, name: str, keep_alive: float, *, estimate: float | None, owner: InstanceOwner) -> None:
        """Load nothing yet. ``keep_alive``: seconds that it stays in memory unused. ``estimate``: seconds of a load."""
        self.name = name
        self.keep_alive = keep_alive
        self.model: LoadedModel | None = None
        self.progress = LoadProgress("starting", estimate=estimate)
        self.idle_since: float | None = None
        self._owner = owner
        self._active = 0
        self._began = 0.0
        self._loading: asyncio.Task[LoadedModel] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.TimerHandle | None = None
        self._backoff: asyncio.TimerHandle | None = None
        self._expires_at: float | None = None
        self._reserved = 0
        self._deaths: deque[float] = deque(maxlen=DEATHS)
        self._rest_until = 0.0
        self._closed = False

    # --- users ---

    def enter(self, keep_alive: float | None) -> None:
        """Count one more user. ``keep_alive``, if given, replaces the model's own from now on."""
        self._active += 1
        self._idle.clear()
        self.idle_since = None
        if keep_alive is not None:
            self.keep_alive = keep_alive
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def leave(self) -> None:
        """Count one user fewer; the last one starts the idle timer."""
        self._active -= 1
        if self._active == 0:
            self.idle_since = time.monotonic()
            self._idle.set()
            self._owner.changed()
            self._arm()

    def _arm(self) -> None:
        if self._closed or self.model is None:
            if self.model is None and not (self._loading or self._deaths or self.unavailable_for()):
                self._owner.gone(self)
            return
        if math.isinf(self.keep_alive):
            self._expires_at = None
            return
        self._expires_at = time.time() + self.keep_alive
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.keep_alive, self._expire)

    def _expire(self) -> None:
        if self._active == 0 and self.model is not None:
            log.info("model idle, unloading", model=self.name)
            self._start_closing()

    # --- loading ---

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
            self._arm()
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
        if self._closing is not None:
            return min(self._expires_at or math.inf, time.time() - 1)
        if self._active == 0 and self.model is not None:
            return self._expires_at
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

    async def retire(self) -> None:
        """Wait until the last user has left, then unload."""
        if self._loading is not None:
            await asyncio.wait([self._loading])
        await self._idle.wait()
        if self.model is not None:
            self._start_closing()
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def close(self) -> None:
        """Unload at once; running requests fail."""
        self._closed = True
        for timer in (self._timer, self._backoff):
            if timer is not None:
                timer.cancel()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])
        self._start_closing()
        if self._closing is not None:
            await self._closing

    def _start_closing(self) -> None:
        model, self.model = self.model, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
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
