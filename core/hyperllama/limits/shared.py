"""Limits that several gateways share through Redis, and what holds when it does not answer.

One round trip settles what this gateway owes and takes what a call asks for, atomically, by the server's clock.
When Redis is down or silent, the gateway limits by itself: its own windows have mirrored all it was granted, and each
gateway then keeps to its part of every limit. Never unlimited, and no call waits longer than the timeout. What was used
meanwhile is charged when Redis is back. Where an answer was lost, the doubt goes against the caller: a charge may count
twice, a refund not at all, and either is forgotten with its window. Seats are counted up and down as calls come and go,
and set straight every few seconds, while no question is under way.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import structlog

from hyperllama.config import Limits
from hyperllama.errors import ConfigError
from hyperllama.limits.windows import Draw, Reading, Seat, Taken, Windows

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

R = TypeVar("R")

PREFIX = "{hyperllama}:limits:"  # the braces keep all keys on one node of a cluster
BEAT = 2.0  # seconds between signs of life
ALIVE = 10.0  # seconds after which a silent gateway's seats are free
SETTLE_EVERY = 0.02  # seconds that refunds wait for company
SLOW = 0.3  # of the timeout: an answer that is later than this makes the others limit alone meanwhile
CHARGES = 50_000  # windows remembered while Redis is away

#: Admitted, gateways alive, the first full seat or -1, and its places held or one reading per draw.
_ANSWER: Final = msgspec.msgpack.Decoder(tuple[int, int, int, int | list[tuple[int, int, int, int]]])

log = structlog.get_logger(__name__)


class SharedTaken(Taken, frozen=True, gc=False, array_like=True):
    """``mirror``: the local windows' slices; ``local``: Redis never heard of it."""

    mirror: tuple[int, ...] = ()
    local: bool = False


class SharedWindows:
    """The shared windows, seen from one gateway."""

    def __init__(
        self,
        client: Redis,
        local: Windows,
        *,
        timeout: float,
        clock: Callable[[], float],
        failures: tuple[type[Exception], ...],
    ) -> None:
        self._client = client
        self._failures: tuple[type[Exception], ...] = (*failures, TimeoutError, OSError)
        self._local = local
        self._timeout = timeout
        self._clock = clock
        self._gateway = uuid.uuid4().hex
        self._peers = 1
        self._down = True  # until the first answer
        self._asking: dict[int, float] = {}  # calls waiting for Redis, since when
        self._refunds: list[tuple[str, int, int, int]] = []  # key, seconds, slice, minus the amount
        self._charges: dict[str, tuple[int, int]] = {}  # key -> seconds, amount used beyond what Redis knows
        self._held: dict[str, int] = {}  # seats of this gateway, by room
        self._moves: dict[str, int] = {}  # seats given back, by room, that Redis has not heard of
        self._calm = asyncio.Event()  # no setting straight under way: questions may be asked
        self._calm.set()
        self._quiet = asyncio.Event()  # no question under way
        self._quiet.set()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[object]] = set()
        self._said = float("-inf")
        self._script: AsyncScript | None = None

    @property
    def down(self) -> bool:
        """Whether this gateway limits by itself now."""
        return self._down

    async def open(self) -> None:
        """Begin. A Redis that is not there yet is waited for in the background."""
        self._script = self._client.register_script(files(__package__).joinpath("shared.lua").read_text("utf-8"))
        await self._straighten()
        self._spawn(self._keep())

    async def close(self) -> None:
        """Settle what is owed, and give up every seat."""
        await asyncio.gather(*[task for task in self._tasks if task.cancel()], return_exceptions=True)
        self._moves.update(dict.fromkeys(self._held, 0))
        self._held.clear()
        if not self._down:
            await self._straighten()
        await self._client.aclose()

    async def take(self, draws: Sequence[Draw], seats: Sequence[Seat]) -> Taken:
        """All of it or none of it, asking Redis unless it is away."""
        if self._down or (self._asking and self._clock() - next(iter(self._asking.values())) > SLOW * self._timeout):
            return self._take_alone(draws, seats)
        if not self._calm.is_set():
            await self._calm.wait()
        asking = self._spawn(self._ask(draws, seats))
        try:
            answer = await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(lambda done: self._undo(done, draws, seats))
            raise
        if answer is None:
            return self._take_alone(draws, seats)
        if answer.admitted:
            mirror = self._local.book(draws, seats, self._clock())
            return SharedTaken(True, answer.readings, None, 0.0, mirror)
        return answer

    def settle(
        self, taken: Taken, draws: Sequence[Draw], used: Sequence[int], seats: Sequence[Seat], seconds: float
    ) -> None:
        """Correct what was set aside to what was ``used``; sent with the next question, or shortly."""
        assert isinstance(taken, SharedTaken)  # noqa: S101 - only admitted calls settle
        mirror = [reading.slice for reading in taken.readings] if taken.local else taken.mirror
        self._local.settle(draws, mirror, used, self._clock())
        self._local.leave(seats, seconds)
        for draw, reading, amount in zip(draws, taken.readings, used, strict=True):
            change = amount - draw.amount
            if taken.local or change > 0:
                self._charge(draw, change)
            elif change < 0:
                self._refunds.append((draw.key, draw.seconds, reading.slice, change))
        self._vacate(seats)
        self._wake.set()

    def _take_alone(self, draws: Sequence[Draw], seats: Sequence[Seat]) -> Taken:
        """This gateway's part of every limit, or the draw itself where that is more."""
        peers = self._peers
        own = [Draw(d.key, max(-(-d.limit // peers), min(d.amount, d.limit)), d.seconds, d.amount) for d in draws]
        rooms = [Seat(seat.key, max(seat.limit // peers, 1)) for seat in seats]
        taken = self._local.take(own, rooms, self._clock())
        if not taken.admitted:
            return taken
        for draw in draws:
            self._charge(draw, draw.amount)
        self._occupy(seats)
        return SharedTaken(True, taken.readings, None, 0.0, (), True)

    def _occupy(self, seats: Sequence[Seat]) -> None:
        for seat in seats:
            self._held[seat.key] = self._held.get(seat.key, 0) + 1

    def _vacate(self, seats: Sequence[Seat]) -> None:
        for seat in seats:
            self._moves[seat.key] = self._moves.get(seat.key, 0) - 1
            held = self._held.get(seat.key, 0) - 1
            if held > 0:
                self._held[seat.key] = held
            else:
                self._held.pop(seat.key, None)

    def _charge(self, draw: Draw, amount: int) -> None:
        seconds, owed = self._charges.get(draw.key, (draw.seconds, 0))
        if owed + amount > 0:
            self._charges[draw.key] = (seconds, owed + amount)
            if len(self._charges) > CHARGES:
                del self._charges[next(iter(self._charges))]
        else:
            self._charges.pop(draw.key, None)

    def _undo(self, asked: asyncio.Task[Taken | None], draws: Sequence[Draw], seats: Sequence[Seat]) -> None:
        """The caller left while Redis was being asked: whatever was granted goes back."""
        if asked.cancelled() or asked.exception() is not None or (answer := asked.result()) is None:
            return
        if answer.admitted:
            for draw, reading in zip(draws, answer.readings, strict=True):
                self._refunds.append((draw.key, draw.seconds, reading.slice, -draw.amount))
            self._vacate(seats)
            self._wake.set()

    async def _ask(self, draws: Sequence[Draw], seats: Sequence[Seat], *, straight: bool = False) -> Taken | None:
        """One round trip; None: Redis is away. Everything owed goes along; ``straight``: and every seat held."""
        script = self._script
        if script is None:
            return None
        refunds, self._refunds = self._refunds, []
        charges, self._charges = self._charges, {}
        moves, self._moves = self._moves, {}
        rooms = [(key, 1, self._held.get(key, 0)) for key in {*moves, *self._held}] if straight else []
        if not straight:
            rooms = [(key, 0, change) for key, change in moves.items()]
        owed = [*refunds, *((key, seconds, -1, amount) for key, (seconds, amount) in charges.items())]
        asked = msgspec.msgpack.encode((self._gateway, ALIVE, owed, rooms, draws, seats))
        token = id(asked)
        self._asking[token] = self._clock()
        self._quiet.clear()
        try:
            async with asyncio.timeout(self._timeout):
                reply = await script(keys=[PREFIX], args=[asked])
            answer = self._read(reply, seats)
            if answer.admitted:
                self._occupy(seats)
        except self._failures as error:
            for key, (seconds, amount) in charges.items():
                self._charge(Draw(key, 0, seconds, 0), amount)
            for key in (*moves, *(seat.key for seat in seats)):
                self._moves.setdefault(key, 0)  # to be set straight
            self._went_down(error)
            return None
        finally:
            del self._asking[token]
            if not self._asking:
                self._quiet.set()
        return answer

    def _read(self, reply: bytes, seats: Sequence[Seat]) -> Taken:
        admitted, alive, full, rest = _ANSWER.decode(reply)
        self._peers = max(alive, 1)
        if isinstance(rest, int):
            mean = self._local.mean(seats[full].key)
            return Taken(False, (), full, mean / max(rest, 1))
        readings = tuple(Reading(used, wait / 1000, reset / 1000, slice_) for used, wait, reset, slice_ in rest)
        return Taken(bool(admitted), readings)

    def _went_down(self, error: Exception) -> None:
        self._down = True
        if self._clock() - self._said >= 60:
            self._said = self._clock()
            log.warning("shared limits are away; limiting alone", reason=type(error).__name__, peers=self._peers)

    async def _straighten(self) -> None:
        """Tell Redis every seat held, with no question under way that it could contradict."""
        self._calm.clear()
        try:
            await self._quiet.wait()
            if await self._ask((), (), straight=True) is not None and self._down:
                self._down = False
                log.info("shared limits answer", peers=self._peers)
        finally:
            self._calm.set()

    async def _keep(self) -> None:
        """Send refunds soon, signs of life now and then, and look for Redis while it is away."""
        beat = time.monotonic() + BEAT
        while True:
            try:
                async with asyncio.timeout(max(beat - time.monotonic(), 0)):
                    await self._wake.wait()
                    await asyncio.sleep(SETTLE_EVERY)
            except TimeoutError:
                beat = time.monotonic() + BEAT
                await self._straighten()
                continue
            self._wake.clear()
            if not self._down and (self._refunds or self._charges or self._moves):
                await self._ask((), ())

    def _spawn(self, coroutine: Coroutine[object, object, R]) -> asyncio.Task[R]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def connect(limits: Limits, local: Windows, clock: Callable[[], float]) -> SharedWindows | None:
    """The storage ``[limits] storage`` names; None: memory. Connects to nothing yet. Raises ConfigError."""
    if limits.storage.startswith("memory"):
        return None
    try:
        from limits.aio.storage import RedisStorage
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise ConfigError("limits.storage: Redis needs the extra: pip install 'hyperllama-gateway[redis]'") from error
    url = limits.storage if limits.storage.startswith("async+") else f"async+{limits.storage}"
    options = {
        "socket_timeout": limits.timeout,
        "socket_connect_timeout": limits.timeout,
        "retry": Retry(NoBackoff(), 0),
    }
    storage = RedisStorage(url, implementation="redispy", **options)  # type: ignore[arg-type]  # passed on to redis-py
    failures = storage.base_exceptions
    return SharedWindows(
        storage.bridge.get_connection(),  # type: ignore[attr-defined]  # of the redispy bridge chosen above
        local,
        timeout=limits.timeout,
        clock=clock,
        failures=failures if isinstance(failures, tuple) else (failures,),
    )


__all__ = ("SharedTaken", "SharedWindows", "connect")
