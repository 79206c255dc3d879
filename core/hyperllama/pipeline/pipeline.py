"""The way of one request, from the decoded request to the finished answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

import msgspec
import structlog

from hyperllama.catalog.catalog import Catalog
from hyperllama.catalog.entry import Entry, Lease
from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import ClientGone, Draining, EngineFailed, GatewayError, UnsupportedFeature
from hyperllama.generation import GenerationRequest, Rendering, Usage
from hyperllama.identity import Caller
from hyperllama.pipeline.auxiliary import AuxiliaryPlaces
from hyperllama.pipeline.held_answers import LOOSENED, CheckedAnswer, HeldAnswers
from hyperllama.pipeline.suspects import CrashSuspects
from hyperllama.pipeline.token_loop import TokenLoop
from hyperllama.spi import (
    Auxiliary,
    AuxiliaryWork,
    Call,
    CallNext,
    Embeds,
    Gate,
    LoadedModel,
    Observer,
    Outcome,
    Stage,
    Transform,
)
from hyperllama.stream import TokenStream

log = structlog.get_logger(__name__)

T = TypeVar("T")

MakeTransform: TypeAlias = Callable[[GenerationRequest, Entry], Transform | None]
ModelWork: TypeAlias = Callable[[LoadedModel, Rendering | None], Awaitable[T]]
EmbedCall: TypeAlias = Callable[[Embeds, EmbeddingRequest], Awaitable[Embeddings]]
GenerateCall: TypeAlias = Callable[[LoadedModel, GenerationRequest], Awaitable[TokenStream]]


async def generate_alone(model: LoadedModel, request: GenerationRequest) -> TokenStream:
    """Call the engine for one request alone."""
    return await model.generate(request)


class Pipeline:
    """Gates, then the model, then stages around its tokens, then the one loop over them.

    Everything that a call holds is released once, whatever a gate, stage, transform or observer raises.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        gates: Sequence[Gate] = (),
        stages: Sequence[Stage] = (),
        observers: Sequence[Observer] = (),
        transform: MakeTransform = lambda _request, _entry: None,
        generate: GenerateCall = generate_alone,
    ) -> None:
        """Build the pipeline. ``generate`` makes the engine call, for one request or for several together."""
        self._catalog = catalog
        self._gates = tuple(gates)
        self._observers = list(observers)
        self._transform = transform
        self._generate = generate
        self._suspects = CrashSuspects()
        self._places = AuxiliaryPlaces()
        self._answers = HeldAnswers()
        self._live: set[TokenLoop] = set()
        self._refusing: GatewayError | None = None
        self._stages = tuple(stages)

    def add_observer(self, observer: Observer) -> None:
        """Notify ``observer`` of every call that ends from now on."""
        self._observers.append(observer)

    @property
    def live(self) -> int:
        """The number of generations under way."""
        return len(self._live)

    @property
    def refusing(self) -> bool:
        """True once the gateway is stopping."""
        return self._refusing is not None

    def refuse(self) -> GatewayError:
        """Refuse new work, since the gateway is stopping. Returns the error that callers get."""
        self._refusing = Draining("The gateway is stopping. Try again in a moment.", retry_after=5)
        return self._refusing

    def abort(self) -> None:
        """End every stream with an error that its client can read."""
        for loop in list(self._live):
            loop.abort(Draining("The gateway is stopping; the answer was cut short.", retry_after=5))

    async def generate(self, request: GenerationRequest, caller: Caller, entry: Entry) -> TokenStream:
        """Admit, load if need be, submit. Raises any refusal; the returned stream must be closed."""
        call = Call(
            caller=caller,
            request=request,
            info=entry.info,
            lane=entry.lane,
            truncated=request.truncated,
            on_finish=[],
        )
        try:
            self._suspects.check(request, _tenant(caller), entry.lane)
            await self._enter(call)
            held = await self._answers.held(request)
            if held is not None:
                caller.headers[LOOSENED] = held.header()
            call_next: CallNext = partial(self._submit, entry)
            for stage in reversed(self._stages):
                call_next = partial(stage, call_next=call_next)
            stream = await call_next(call)
            loop = TokenLoop(call, stream, self._transform(request, entry), self._end)
        except BaseException as error:
            await self._finish(call, _outcome(error), error)
            raise
        self._live.add(loop)
        release = partial(self._release, loop, stream)
        if held is None:
            return TokenStream(loop, release)
        return TokenStream(CheckedAnswer(loop, call, held, self._answers), release)

    async def embed(self, request: EmbeddingRequest, caller: Caller, entry: Entry, embed: EmbedCall) -> Embeddings:
        """Do the same for vectors. ``embed`` makes the engine call, for one request or for several together."""
        call = Call(caller=caller, request=request, info=entry.info, lane=entry.lane, on_finish=[])
        try:
            await self._enter(call)
            model = (await self._acquire(call, entry, request.keep_alive)).model
            if not isinstance(model, Embeds):
                raise UnsupportedFeature(f"Model {request.model!r} does not support embeddings.", param="model")
            vectors = await embed(model, request)
            call.last = time.perf_counter_ns()
            call.usage = Usage(prompt_tokens=vectors.prompt_tokens)
            call.truncated = sum(vectors.cut)
        except BaseException as error:
            await self._finish(call, _outcome(error), error)
            raise
        await self._finish(call, "finished")
        return msgspec.structs.replace(vectors, load_ns=call.loaded - call.admitted, total_ns=call.last - call.started)

    async def load(self, caller: Caller, entry: Entry, keep_alive: float | None) -> int:
        """Load the model, unless it is loaded. Returns the nanoseconds that took."""

        async def work(call: Call) -> int:
            await self._acquire(call, entry, keep_alive)
            return call.loaded - call.admitted

        return await self._auxiliary("load", caller, entry, work)

    async def unload(self, caller: Caller, entry: Entry) -> None:
        """Let running requests finish, then unload the model."""
        await self._auxiliary("unload", caller, entry, lambda _: self._catalog.unload(entry))

    async def use(self, kind: Auxiliary, caller: Caller, entry: Entry, work: ModelWork[T]) -> T:
        """Do ``work`` with the loaded model and the model's rendering, in one of the few places for such work."""

        async def with_model(call: Call) -> T:
            async with self._places.place(entry.lane, _tenant(caller)):
                lease = await self._acquire(call, entry, None)
                return await work(lease.model, lease.rendering)

        return await self._auxiliary(kind, caller, entry, with_model)

    async def _auxiliary(
        self, kind: Auxiliary, caller: Caller, entry: Entry, work: Callable[[Call], Awaitable[T]]
    ) -> T:
        """Run the gates and observers around work without an answer of tokens.

        All of it that one HTTP request needs counts once, or not at all beside a generation or an embedding.
        """
        requests = 0 if caller.tally.get("requests") else 1
        call = Call(
            caller=caller,
            request=AuxiliaryWork(entry.spec.name, kind),
            info=entry.info,
            lane=entry.lane,
            requests=requests,
            on_finish=[],
        )
        try:
            await self._enter(call)
            caller.tally["prepaid"] = caller.tally.get("prepaid", 0) + requests
            result = await work(call)
            call.last = time.perf_counter_ns()
        except BaseException as error:
            await self._finish(call, _outcome(error), error)
            raise
        await self._finish(call, "finished")
        return result

    async def _enter(self, call: Call) -> None:
        if self._refusing is not None:
            raise self._refusing
        tally = call.caller.tally
        if not isinstance(call.request, AuxiliaryWork) and tally.pop("prepaid", 0):
            call.requests = 0
        for gate in self._gates:
            await gate.enter(call)
        call.admitted = time.perf_counter_ns()
        call.caller.headers.update(call.headers)
        tally["requests"] = 1

    async def _acquire(self, call: Call, entry: Entry, keep_alive: float | None) -> Lease:
        lease = await self._catalog.acquire(entry, keep_alive=keep_alive, wait_timeout=call.caller.wait_timeout)

        async def release(_: Call) -> None:
            lease.release()

        call.on_finish.append(release)
        call.loaded = time.perf_counter_ns()
        call.model, call.info = lease.model, lease.info
        self._suspects.enter(lease.model)
        return lease

    async def _submit(self, entry: Entry, call: Call) -> TokenStream:
        request = call.request
        assert isinstance(request, GenerationRequest)  # noqa: S101 - embed() has its own walk
        lease = await self._acquire(call, entry, request.keep_alive)
        request = msgspec.structs.replace(
            request,
            tenant=_tenant(call.caller),
            context_length=call.info.num_ctx if request.context_length is None else request.context_length,
            rendering=lease.rendering,
        )
        stream = await self._generate(lease.model, request)
        call.submitted = time.perf_counter_ns()

        async def close(_: Call) -> None:
            await stream.aclose()  # a stage that failed may not have closed it

        call.on_finish.append(close)
        return stream

    async def _end(self, loop: TokenLoop, outcome: Outcome, error: BaseException | None = None) -> None:
        self._live.discard(loop)
        await self._finish(loop.call, outcome, error)

    async def _release(self, loop: TokenLoop, stream: TokenStream) -> None:
        try:
            await stream.aclose()
        finally:
            await self._end(loop, "cancelled")

    async def _finish(self, call: Call, outcome: Outcome, error: BaseException | None = None) -> None:
        if call.outcome is not None:
            return
        call.outcome = outcome
        call.error = error if isinstance(error, GatewayError) else None
        if outcome == "refused" and (paid := call.charged):  # another attempt within the HTTP request is paid for
            call.caller.tally["prepaid"] = call.caller.tally.get("prepaid", 0) + paid
        if call.model is not None:
            failed = isinstance(error, EngineFailed)
            self._suspects.leave(call.model, call.request, _tenant(call.caller), call.lane, failed=failed)
        try:
            await call.finish()
        finally:
            self._notify(call)

    def _notify(self, call: Call) -> None:
        interruption: BaseException | None = None
        for observer in self._observers:
            try:
                observer.finished(call)
            except BaseException as failure:  # noqa: BLE001 - an observer may not break what it watches
                log.error("observer failed", observer=type(observer).__name__, reason=repr(failure))
                interruption = interruption if isinstance(failure, Exception) else failure
        if interruption is not None:
            raise interruption


def _tenant(caller: Caller) -> str:
    return caller.principal.owner or caller.principal.id


def _outcome(error: BaseException) -> Outcome:
    if isinstance(error, asyncio.CancelledError | ClientGone):
        return "cancelled"
    return "refused" if isinstance(error, GatewayError) and not isinstance(error, EngineFailed) else "failed"


__all__ = ("Pipeline",)
