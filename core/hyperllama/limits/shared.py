"""Limits that several gateways share through Redis, and limits of each alone while it does not answer.

One round trip settles what this gateway owes and reserves what a call asks for, atomically, by the server's clock.
When Redis is down or silent, the gateway limits by itself: its own windows have mirrored every grant, and each gateway
then keeps to its part of every limit. A caller is never unlimited, and never waits longer than the timeout. What was
used meanwhile is charged when Redis is back. Where a reply was lost, the error is against the caller: a charge may
count twice, a refund not at all, and either is forgotten with its window. Slots are counted up and down as calls come
and go, and set to their true number every few seconds, while no reservation is under way.
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
from hyperllama.limits.local import LocalStore
from hyperllama.limits.reservation import Reservation, ReservationOutcome, Slot, WindowState

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

R = TypeVar("R")

PREFIX = "{hyperllama}:limits:"  # the braces keep all keys on one node of a cluster
BEAT = 2.0  # seconds between heartbeats
ALIVE = 10.0  # seconds after which a silent gateway's slots are free
SETTLE_EVERY = 0.02  # seconds that refunds are gathered for
SLOW = 0.3  # of the timeout: while a reply takes longer than this, other calls are limited locally
CHARGES = 50_000  # windows remembered while Redis is away

#: Admitted, gateways alive, the first full slot or -1, and the number held or one window state per reservation.
_ANSWER: Final = msgspec.msgpack.Decoder(tuple[int, int, int, int | list[tuple[int, int, int, int]]])

log = structlog.get_logger(__name__)


class SharedOutcome(ReservationOutcome, frozen=True, gc=False, array_like=True):
    """``mirror``: slices of the local windows. ``local``: reserved without Redis."""

    mirror: tuple[int, ...] = ()
    local: bool = False


class SharedStore:
    """The shared windows and slots, as one gateway uses them."""

    def __init__(
        self,
        client: Redis,
        local: LocalStore,
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
        self._sent: dict[int, float] = {}  # round trips under way, and when each began
        self._refunds: list[tuple[str, int, int, int]] = []  # key, seconds, slice, minus the amount
        self._charges: dict[str, tuple[int, int]] = {}  # key -> seconds, amount used beyond what Redis knows
        self._held: dict[str, int] = {}  # slots of this gateway, by pool
        self._moves: dict[str, int] = {}  # slots released, by pool, that Redis does not know of
        self._calm = asyncio.Event()  # set while no resynchronisation is under way: calls may reserve
        self._calm.set()
        self._quiet = asyncio.Event()  # set while no round trip is under way
        self._quiet.set()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[object]] = set()
        self._complained = float("-inf")
        self._script: AsyncScript | None = None

    @property
    def down(self) -> bool:
        """True while this gateway limits by itself."""
        return self._down

    async def open(self) -> None:
        """Connect. A Redis that does not answer yet is retried in the background."""
        self._script = self._client.register_script(files(__package__).joinpath("shared.lua").read_text("utf-8"))
        await self._resynchronise()
        self._spawn(self._maintain())

    async def close(self) -> None:
        """Settle what is owed, and release every slot."""
        await asyncio.gather(*[task for task in self._tasks if task.cancel()], return_exceptions=True)
        self._moves.update(dict.fromkeys(self._held, 0))
        self._held.clear()
        if not self._down:
            await self._resynchronise()
        await self._client.aclose()

    async def reserve(self, reservations: Sequence[Reservation], slots: Sequence[Slot]) -> ReservationOutcome:
        """Reserve all of it or none of it, in Redis unless it is down."""
        if self._down or (self._sent and self._clock() - next(iter(self._sent.values())) > SLOW * self._timeout):
            return self._reserve_locally(reservations, slots)
        if not self._calm.is_set():
            await self._calm.wait()
        sending = self._spawn(self._send(reservations, slots))
        try:
            answer = await asyncio.shield(sending)
        except asyncio.CancelledError:
            sending.add_done_callback(lambda done: self._abandon(done, reservations, slots))
            raise
        if answer is None:
            return self._reserve_locally(reservations, slots)
        if answer.admitted:
            mirror = self._local.book(reservations, slots, self._clock())
            return SharedOutcome(True, answer.windows, None, 0.0, mirror)
        return answer

    def settle(
        self,
        outcome: ReservationOutcome,
        reservations: Sequence[Reservation],
        used: Sequence[int],
        slots: Sequence[Slot],
        seconds: float,
    ) -> None:
        """Correct the reservations to ``used``; sent with the next round trip, or shortly."""
        assert isinstance(outcome, SharedOutcome)  # noqa: S101 - only admitted calls settle
        mirror = [window.slice for window in outcome.windows] if outcome.local else outcome.mirror
        self._local.settle(reservations, mirror, used, self._clock())
        self._local.release(slots, seconds)
        for reservation, window, amount in zip(reservations, outcome.windows, used, strict=True):
            change = amount - reservation.amount
            if outcome.local or change > 0:
                self._charge(reservation, change)
            elif change < 0:
                self._refunds.append((reservation.key, reservation.seconds, window.slice, change))
        self._release(slots)
        self._wake.set()

    def _reserve_locally(self, reservations: Sequence[Reservation], slots: Sequence[Slot]) -> ReservationOutcome:
        """Reserve within this gateway's part of every limit, or the whole amount where that is more."""
        peers = self._peers
        own = [
            Reservation(r.key, max(-(-r.limit // peers), min(r.amount, r.limit)), r.seconds, r.amount)
            for r in reservations
        ]
        parts = [Slot(slot.key, max(slot.limit // peers, 1)) for slot in slots]
        outcome = self._local.reserve(own, parts, self._clock())
        if not outcome.admitted:
            return outcome
        for reservation in reservations:
            self._charge(reservation, reservation.amount)
        self._occupy(slots)
        return SharedOutcome(True, outcome.windows, None, 0.0, (), True)

    def _occupy(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            self._held[slot.key] = self._held.get(slot.key, 0) + 1

    def _release(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            self._moves[slot.key] = self._moves.get(slot.key, 0) - 1
            held = self._held.get(slot.key, 0) - 1
            if held > 0:
                self._held[slot.key] = held
            else:
                self._held.pop(slot.key, None)

    def _charge(self, reservation: Reservation, amount: int) -> None:
        seconds, owed = self._charges.get(reservation.key, (reservation.seconds, 0))
        if owed + amount > 0:
            self._charges[reservation.key] = (seconds, owed + amount)
            if len(self._charges) > CHARGES:
                del self._charges[next(iter(self._charges))]
        else:
            self._charges.pop(reservation.key, None)

    def _abandon(
        self, sent: asyncio.Task[ReservationOutcome | None], reservations: Sequence[Reservation], slots: Sequence[Slot]
    ) -> None:
        """Refund a grant whose caller left during the round trip."""
        if sent.cancelled() or sent.exception() is not None or (answer := sent.result()) is None:
            return
        if answer.admitted:
            for reservation, window in zip(reservations, answer.windows, strict=True):
                self._refunds.append((reservation.key, reservation.seconds, window.slice, -reservation.amount))
            self._release(slots)
            self._wake.set()

    async def _send(
        self, reservations: Sequence[Reservation], slots: Sequence[Slot], *, all_slots: bool = False
    ) -> ReservationOutcome | None:
        """Make one round trip; None when Redis is down.

        Sends everything owed, and with ``all_slots`` the number of slots held in every pool.
        """
        script = self._script
        if script is None:
            return None
        refunds, self._refunds = self._refunds, []
        charges, self._charges = self._charges, {}
        moves, self._moves = self._moves, {}
        pools = [(key, 1, self._held.get(key, 0)) for key in {*moves, *self._held}] if all_slots else []
        if not all_slots:
            pools = [(key, 0, change) for key, change in moves.items()]
        owed = [*refunds, *((key, seconds, -1, amount) for key, (seconds, amount) in charges.items())]
        message = msgspec.msgpack.encode((self._gateway, ALIVE, owed, pools, reservations, slots))
        token = id(message)
        self._sent[token] = self._clock()
        self._quiet.clear()
        try:
            async with asyncio.timeout(self._timeout):
                reply = await script(keys=[PREFIX], args=[message])
            answer = self._read(reply, slots)
            if answer.admitted:
                self._occupy(slots)
        except self._failures as error:
            for key, (seconds, amount) in charges.items():
                self._charge(Reservation(key, 0, seconds, 0), amount)
            for key in (*moves, *(slot.key for slot in slots)):
                self._moves.setdefault(key, 0)  # unknown: corrected by the next resynchronisation
            self._went_down(error)
            return None
        finally:
            del self._sent[token]
            if not self._sent:
                self._quiet.set()
        return answer

    def _read(self, reply: bytes, slots: Sequence[Slot]) -> ReservationOutcome:
        admitted, alive, full, rest = _ANSWER.decode(reply)
        self._peers = max(alive, 1)
        if isinstance(rest, int):
            mean = self._local.mean(slots[full].key)
            return ReservationOutcome(False, (), full, mean / max(rest, 1))
        windows = tuple(WindowState(used, wait / 1000, reset / 1000, slice_) for used, wait, reset, slice_ in rest)
        return ReservationOutcome(bool(admitted), windows)

    def _went_down(self, error: Exception) -> None:
        self._down = True
        if self._clock() - self._complained >= 60:
            self._complained = self._clock()
            log.warning("shared limits are unreachable; limiting alone", reason=type(error).__name__, peers=self._peers)

    async def _resynchronise(self) -> None:
        """Send every slot held, while no round trip is under way that could contradict it."""
        self._calm.clear()
        try:
            await self._quiet.wait()
            if await self._send((), (), all_slots=True) is not None and self._down:
                self._down = False
                log.info("shared limits answer", peers=self._peers)
        finally:
            self._calm.set()

    async def _maintain(self) -> None:
        """Send refunds soon and heartbeats regularly, and look for Redis while it is down."""
        beat = time.monotonic() + BEAT
        while True:
            try:
                async with asyncio.timeout(max(beat - time.monotonic(), 0)):
                    await self._wake.wait()
                    await asyncio.sleep(SETTLE_EVERY)
            except TimeoutError:
                beat = time.monotonic() + BEAT
                await self._resynchronise()
                continue
            self._wake.clear()
            if not self._down and (self._refunds or self._charges or self._moves):
                await self._send((), ())

    def _spawn(self, coroutine: Coroutine[object, object, R]) -> asyncio.Task[R]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def connect(limits: Limits, local: LocalStore, clock: Callable[[], float]) -> SharedStore | None:
    """Return the storage that ``[limits] storage`` names; None: memory. Opens no connection yet. Raises ConfigError."""
    if limits.storage.startswith("memory"):
        return None
    try:
        from redis.asyncio import from_url
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
    except ImportError as error:
        raise ConfigError("limits.storage: Redis needs the extra; pip install 'hyperllama-gateway[redis]'.") from error
    try:
        client = from_url(
            limits.storage.removeprefix("async+").replace("redis+unix://", "unix://", 1),
            socket_timeout=limits.timeout,
            socket_connect_timeout=limits.timeout,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise ConfigError(f"limits.storage: {error}") from error
    return SharedStore(client, local, timeout=limits.timeout, clock=clock, failures=(RedisError,))


__all__ = ("SharedOutcome", "SharedStore", "connect")
