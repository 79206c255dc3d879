"""One request's walk, from decoded request to finished tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

import msgspec
import structlog

from hyperllama.catalog.catalog import Catalog, Entry
from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import ClientGone, Draining, EngineFailed, GatewayError, UnsupportedFeature
from hyperllama.generation import GenerationRequest, Timings, TokenChunk, Usage
from hyperllama.identity import Caller
from hyperllama.pipeline.suspects import PoisonList
from hyperllama.spi import Call, CallNext, Embeds, Gate, LoadedModel, Observer, Outcome, Stage, Transform
from hyperllama.stream import Take, TokenStream

log = structlog.get_logger(__name__)

MakeTransform: TypeAlias = Callable[[GenerationRequest, Entry], Transform | None]
EmbedCall: TypeAlias = Callable[[Embeds, EmbeddingRequest], Awaitable[Embeddings]]
GenerateCall: TypeAlias = Callable[[LoadedModel, GenerationRequest], Awaitable[TokenStream]]


async def generate_alone(model: LoadedModel, request: GenerationRequest) -> TokenStream:
    """The engine call of one request, not shared with others."""
    return await model.generate(request)


class Pipeline:
    """Gates, then the model, then stages around its tokens, then the one loop over them."""

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
        """``generate`` makes the engine call, alone or together with others'."""
        self._catalog = catalog
        self._gates = tuple(gates)
        self._observers = list(observers)
        self._transform = transform
        self._generate = generate
        self._poison = PoisonList()
        self._live: set[_Drive] = set()
        self._refusing: GatewayError | None = None
        self._stages = tuple(stages)

    def add_observer(self, observer: Observer) -> None:
        """Tell one more of every call that ends from now on."""
        self._observers.append(observer)

    @property
    def live(self) -> int:
        """Generations under way."""
        return len(self._live)

    @property
    def refusing(self) -> bool:
        """Whether the gateway is stopping."""
        return self._refusing is not None

    def refuse(self) -> GatewayError:
        """Take no new work: the gateway is stopping. The error that callers get."""
        self._refusing = Draining("the gateway is stopping; ask again in a moment", retry_after=5)
        return self._refusing

    def abort(self) -> None:
        """End every stream with an error that its client can read."""
        for drive in list(self._live):
            drive.abort(Draining("the gateway is stopping; the answer was cut short", retry_after=5))

    async def generate(self, request: GenerationRequest, caller: Caller, entry: Entry) -> TokenStream:
        """Admit, load if need be, submit. Whatever refuses raises here; the returned stream must be closed."""
        call = Call(caller=caller, request=request, info=entry.info, truncated=request.truncated, on_finish=[])
        try:
            self._poison.check(request)
            await self._enter(call)
            call_next: CallNext = partial(self._submit, entry)
            for stage in reversed(self._stages):
                call_next = partial(stage, call_next=call_next)
            stream = await call_next(call)
        except BaseException as error:
            await self._finish(call, _outcome(error), error)
            raise
        drive = _Drive(call, stream, self._transform(request, entry), self._end)
        self._live.add(drive)
        return TokenStream(drive, partial(self._release, drive, stream))

    async def embed(self, request: EmbeddingRequest, caller: Caller, entry: Entry, embed: EmbedCall) -> Embeddings:
        """The same walk for vectors. ``embed`` makes the engine call, alone or together with others'."""
        call = Call(caller=caller, request=request, info=entry.info, on_finish=[])
        try:
            await self._enter(call)
            model = await self._acquire(call, entry, request.keep_alive)
            if not isinstance(model, Embeds):
                raise UnsupportedFeature(f"model '{request.model}' does not support embeddings", param="model")
            vectors = await embed(model, request)
            call.last = time.perf_counter_ns()
            call.usage = Usage(prompt_tokens=vectors.prompt_tokens)
            call.truncated = sum(vectors.cut)
        except BaseException as error:
            await self._finish(call, _outcome(error), error)
            raise
        await self._finish(call, "finished")
        return msgspec.structs.replace(vectors, load_ns=call.loaded - call.admitted, total_ns=call.last - call.started)

    async def _enter(self, call: Call) -> None:
        if self._refusing is not None:
            raise self._refusing
        for gate in self._gates:
            await gate.enter(call)
        call.admitted = time.perf_counter_ns()
        call.caller.headers.update(call.headers)

    async def _acquire(self, call: Call, entry: Entry, keep_alive: float | None) -> LoadedModel:
        lease = await self._catalog.acquire(entry, keep_alive=keep_alive, wait_timeout=call.caller.wait_timeout)

        async def give_back(_: Call) -> None:
            lease.release()

        call.on_finish.append(give_back)
        call.loaded = time.perf_counter_ns()
        call.model, call.info = lease.model, lease.model.info
        return lease.model

    async def _submit(self, entry: Entry, call: Call) -> TokenStream:
        request = call.request
        assert isinstance(request, GenerationRequest)  # noqa: S101 - embed() has its own walk
        model = await self._acquire(call, entry, request.keep_alive)
        principal = call.caller.principal
        request = msgspec.structs.replace(
            request,
            tenant=principal.owner or principal.id,
            context_length=call.info.num_ctx if request.context_length is None else request.context_length,
        )
        stream = await self._generate(model, request)
        call.submitted = time.perf_counter_ns()
        return stream

    async def _end(self, drive: _Drive, outcome: Outcome, error: BaseException | None = None) -> None:
        self._live.discard(drive)
        await self._finish(drive.call, outcome, error)

    async def _release(self, drive: _Drive, stream: TokenStream) -> None:
        try:
            await stream.aclose()
        finally:
            await self._end(drive, "cancelled")

    async def _finish(self, call: Call, outcome: Outcome, error: BaseException | None = None) -> None:
        if call.outcome is not None:
            return
        call.outcome = outcome
        call.error = error if isinstance(error, GatewayError) else None
        died = isinstance(error, EngineFailed) and call.model is not None and call.model.failure is not None
        if died and isinstance(call.request, GenerationRequest):
            self._poison.record(call.request)
        try:
            await call.finish()
        finally:
            for observer in self._observers:
                try:
                    observer.finished(call)
                except Exception as failure:  # noqa: BLE001 - an observer may not break what it watches
                    log.error("observer failed", observer=type(observer).__name__, reason=repr(failure))


class _Drive:
    """The only loop over tokens in the core: whatever looks at each one, looks here."""

    __slots__ = (
        "_abort",
        "_ended",
        "_looked",
        "_prompt",
        "_stream",
        "_take",
        "_task",
        "_transform",
        "_when_done",
        "call",
    )

    def __init__(
        self,
        call: Call,
        stream: TokenStream,
        transform: Transform | None,
        when_done: Callable[[_Drive, Outcome, BaseException | None], Awaitable[None]],
    ) -> None:
        self.call = call
        self._stream = stream
        self._transform = transform
        self._when_done = when_done
        self._prompt = Usage()
        self._take: Take | None = None
        self._looked: Sequence[TokenChunk] = ()  # at, and not taken
        self._ended = False
        self._abort: GatewayError | None = None
        self._task: asyncio.Task[object] | None = None

    async def batch(self) -> Sequence[TokenChunk]:
        return await self._next(None)

    async def relay(self, take: Take) -> Sequence[TokenChunk]:
        """The first chunks are never taken: they decide what the answer's head says."""
        return await self._next(take if self.call.first else None)

    async def _next(self, take: Take | None) -> Sequence[TokenChunk]:
        if self._ended:
            return ()
        call, self._take = self.call, take
        try:
            if self._abort is not None:
                raise self._abort
            self._task = asyncio.current_task()
            chunks = await (self._stream.batch() if take is None else self._stream.relay(self._pass_on))
            self._task = None
            if not chunks:
                raise EngineFailed("the engine ended without finishing the answer")
            if not call.first:
                call.first = time.perf_counter_ns()
                call.caller.headers["server-timing"] = _server_timing(call)
                self._prompt = chunks[0].usage or self._prompt
            chunks, self._looked = self._looked or self._look(chunks), ()
            return chunks if chunks[-1].finish_reason is None else await self._finish(chunks)
        except asyncio.CancelledError:
            if self._abort is None or self._task is None:
                raise
            self._task.uncancel()
            await self._fail(self._abort)
            raise self._abort from None
        except GatewayError as error:
            await self._fail(error)
            raise
        except Exception as error:
            log.exception("stream failed", model=call.info.name, request_id=call.caller.request_id)
            failure = EngineFailed("the answer could not be finished because of an internal error")
            await self._fail(failure)
            raise failure from error

    async def aclose(self) -> None:
        self._ended = True
        await self._stream.aclose()

    def abort(self, error: GatewayError) -> None:
        """Make the reader, if it waits, raise ``error``; otherwise its next read does."""
        self._abort = error
        if self._task is not None:
            self._task.cancel()

    def _pass_on(self, chunks: Sequence[TokenChunk]) -> bool:
        looked = self._look(chunks)
        if looked[-1].finish_reason is None and self._take is not None and self._take(looked):
            return True
        self._looked = looked
        return False

    def _look(self, chunks: Sequence[TokenChunk]) -> Sequence[TokenChunk]:
        if self._transform is not None:
            chunks = _transformed(chunks, self._transform)
        for chunk in chunks:
            self.call.tokens += chunk.tokens
        return chunks

    async def _finish(self, chunks: Sequence[TokenChunk]) -> Sequence[TokenChunk]:
        """Complete the last chunk, and let go of everything before the client has read it."""
        self._ended = True
        call, last = self.call, chunks[-1]
        call.last = time.perf_counter_ns()
        usage = last.usage or msgspec.structs.replace(self._prompt, completion_tokens=call.tokens)
        call.usage = usage
        timings = Timings(
            total=call.last - call.started,
            load=call.loaded - call.admitted,
            queue=call.admitted - call.started,
            prompt=call.first - call.loaded,
            generate=call.last - call.first,
        )
        done = msgspec.structs.replace(last, usage=usage, timings=timings)
        await self._stream.aclose()
        await self._when_done(self, "finished", None)
        return [*chunks[:-1], done]

    async def _fail(self, error: BaseException) -> None:
        self._ended = True
        await self._stream.aclose()
        await self._when_done(self, "failed", error)


def _transformed(chunks: Sequence[TokenChunk], transform: Transform) -> Sequence[TokenChunk]:
    out = []
    for chunk in chunks:
        out.append(transform.feed(chunk))
        if out[-1].finish_reason is not None:
            break
    return out


def _server_timing(call: Call) -> str:
    """Where the time to the first token went, in milliseconds."""
    spans = (
        ("queue", call.admitted - call.started),
        ("load", call.loaded - call.admitted),
        ("engine", call.first - call.loaded),
    )
    return ", ".join(f"{name};dur={span / 1e6:.2f}" for name, span in spans)


def _outcome(error: BaseException) -> Outcome:
    if isinstance(error, asyncio.CancelledError | ClientGone):
        return "cancelled"
    return "refused" if isinstance(error, GatewayError) and not isinstance(error, EngineFailed) else "failed"


__all__ = ("Pipeline",)
