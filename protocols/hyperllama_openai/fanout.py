"""Several generations of one request, started together: none waits for another to be read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from hyperllama.generation import Completion, GenerationRequest, TokenChunk
from hyperllama.identity import Caller
from hyperllama.spi import Gateway
from hyperllama.stream import Collector, TokenStream


async def start(gateway: Gateway, requests: Sequence[GenerationRequest], caller: Caller) -> Sequence[TokenStream]:
    """Return a stream per request once the first has been admitted. Raise the error that refused it.

    The others may still be queued, since the place they wait for can be one that an unread stream of ours holds.
    """
    if len(requests) == 1:
        return (await gateway.generate(requests[0], caller),)
    pending = [_Pending(gateway.generate(request, caller)) for request in requests]
    try:
        await pending[0].admitted()
        await asyncio.sleep(0)  # what was asked together is mostly answered together
        for source in pending:
            source.raise_refusal()
    except BaseException:
        await asyncio.shield(_close(pending))
        raise
    return tuple(TokenStream(source) for source in pending)


async def whole(
    gateway: Gateway,
    requests: Sequence[GenerationRequest],
    caller: Caller,
    keep: Callable[[TokenChunk], TokenChunk] | None = None,
) -> Sequence[Completion]:
    """Return a completion per request. The first failure stops the others and is raised. ``keep`` sees every chunk."""
    if len(requests) == 1:
        return (await _one(gateway, requests[0], caller, keep),)
    tasks = [asyncio.ensure_future(_one(gateway, request, caller, keep)) for request in requests]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.shield(asyncio.wait(tasks))
        raise


async def _one(
    gateway: Gateway, request: GenerationRequest, caller: Caller, keep: Callable[[TokenChunk], TokenChunk] | None
) -> Completion:
    stream = await gateway.generate(request, caller)
    collector = Collector()
    try:
        while chunks := await stream.batch():
            collector.add(chunks if keep is None else [keep(chunk) for chunk in chunks])
    finally:
        await asyncio.shield(stream.aclose())
    return collector.result()


class _Pending:
    """A stream that is still being admitted, readable and closable like any other."""

    def __init__(self, admission: Awaitable[TokenStream]) -> None:
        self._admission = asyncio.ensure_future(admission)

    async def admitted(self) -> TokenStream:
        return await asyncio.shield(self._admission)

    def raise_refusal(self) -> None:
        """Raise the error of an admission that has failed by now, while a status code can still be sent."""
        if self._admission.done():
            self._admission.result()

    async def batch(self) -> Sequence[TokenChunk]:
        return await (await self.admitted()).batch()

    async def aclose(self) -> None:
        """Give up waiting, or close what was admitted. Safe to call twice."""
        if not self._admission.done():
            self._admission.cancel()
            await asyncio.wait([self._admission])
        if not self._admission.cancelled() and self._admission.exception() is None:
            await self._admission.result().aclose()


async def _close(pending: Sequence[_Pending]) -> None:
    for source in pending:
        await source.aclose()


__all__ = ("start", "whole")
