"""Bounds on auxiliary work (tokenizing, detokenizing), for each model and each caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from hyperllama.errors import Overloaded

PER_MODEL = 8
PER_TENANT = 4
WAITING = 256  # calls of one tenant that may wait
TIMEOUT = 30.0  # seconds that one may wait


class _Place:
    __slots__ = ("semaphore", "users")

    def __init__(self, places: int) -> None:
        self.semaphore = asyncio.Semaphore(places)
        self.users = 0  # holding it or waiting for it


class AuxiliaryPlaces:
    """Places for auxiliary work. First come, first served between tenants, each with few calls at a time."""

    def __init__(self) -> None:
        self._tenants: dict[str, _Place] = {}
        self._models: dict[str, _Place] = {}

    @asynccontextmanager
    async def place(self, model: str, tenant: str) -> AsyncGenerator[None, None]:
        """Hold a place for as long as the block runs. Waits for it; raises Overloaded when that takes too long."""
        mine = self._tenants.get(tenant)
        if mine is not None and mine.users >= PER_TENANT + WAITING:
            raise Overloaded("Too many token counts are waiting. Try again in a moment.", retry_after=1)
        async with _held(self._tenants, tenant, PER_TENANT), _held(self._models, model, PER_MODEL):
            yield


@asynccontextmanager
async def _held(places: dict[str, _Place], name: str, most: int) -> AsyncGenerator[None, None]:
    place = places.get(name)
    if place is None:
        place = places[name] = _Place(most)
    place.users += 1
    try:
        try:
            async with asyncio.timeout(TIMEOUT):
                await place.semaphore.acquire()
        except TimeoutError:
            raise Overloaded(
                "The model is busy with other token counts. Try again in a moment.", retry_after=5
            ) from None
        try:
            yield
        finally:
            place.semaphore.release()
    finally:
        place.users -= 1
        if not place.users:
            del places[name]


__all__ = ("AuxiliaryPlaces",)
