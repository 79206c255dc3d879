"""The contracts fail where they should: each broken engine and dialect is caught by the test that names its fault."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from litestar import get
from msgspec.structs import replace

from hyperllama.errors import ConfigError, ContextTooLong, GatewayError
from hyperllama.generation import GenerationRequest, TokenChunk
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.spi import ErrorReply, LoadedModel, Report
from hyperllama.stream import TokenStream, collect
from hyperllama.testing.engine import EngineContract
from hyperllama.testing.protocol import ProtocolContract
from hyperllama_sim.engine import SimEngine
from hyperllama_sim.model import SimModel

SPEC = ModelSpec(name="sim", engine="sim", max_batch_size=2, max_length=64)
SLOW = replace(SPEC, options={"tokens_per_second": 5})


class Broken(SimEngine):
    """Its models are the sim's, but for how they generate."""

    def __init__(self, generate: Callable[[SimModel, GenerationRequest], Any]) -> None:
        super().__init__()
        self._generate = generate

    async def load(self, spec: ModelSpec, path: Path | None, report: Report) -> LoadedModel:
        model = await super().load(spec, path, report)
        assert isinstance(model, SimModel)
        generate, plain = self._generate, model.generate

        async def broken(request: GenerationRequest) -> TokenStream:
            result: TokenStream = await generate(_Plain(plain, model), request)  # type: ignore[arg-type]
            return result

        model.generate = broken  # type: ignore[method-assign]
        return model


class _Plain:
    def __init__(self, generate: Any, model: SimModel) -> None:
        self.generate, self.info = generate, model.info


async def leaky(model: SimModel, request: GenerationRequest) -> TokenStream:
    """A bare generator: closed before it started, it runs no finally."""
    stream = await model.generate(request)

    async def chunks() -> AsyncGenerator[TokenChunk, None]:
        try:
            async for chunk in stream:
                yield chunk
        finally:
            await stream.aclose()

    return TokenStream(chunks())


def changed(change: Callable[[Sequence[TokenChunk]], Sequence[TokenChunk]]) -> Any:
    """Chunks changed on their way, all of them together."""

    async def generate(model: SimModel, request: GenerationRequest) -> TokenStream:
        stream = await model.generate(request)

        async def chunks() -> AsyncGenerator[TokenChunk, None]:
            for chunk in change([chunk async for chunk in stream]):
                yield chunk

        return TokenStream(chunks(), stream.aclose)

    return generate


async def unlimited(model: SimModel, request: GenerationRequest) -> TokenStream:
    return await model.generate(replace(request, sampling=replace(request.sampling, max_tokens=30)))


async def cutting(model: SimModel, request: GenerationRequest) -> TokenStream:
    try:
        return await model.generate(request)
    except ContextTooLong:
        return await model.generate(replace(request, input=replace(request.input, text="cut")))  # type: ignore[arg-type]


async def mixing(model: SimModel, request: GenerationRequest) -> TokenStream:
    """Answers depend on how many there are."""
    counts = mixing.__dict__.setdefault("counts", [0])
    counts[0] += 1
    return await model.generate(replace(request, input=replace(request.input, text=str(counts[0]))))  # type: ignore[arg-type]


def no_usage(chunks: Sequence[TokenChunk]) -> Sequence[TokenChunk]:
    return [replace(chunk, usage=None) for chunk in chunks]


def always_ending(chunks: Sequence[TokenChunk]) -> Sequence[TokenChunk]:
    return [replace(chunk, finish_reason="stop") for chunk in chunks]


def in_one_piece(chunks: Sequence[TokenChunk]) -> Sequence[TokenChunk]:
    return [replace(chunks[-1], text="all of it", tokens=len(chunks))]


def miscounted(chunks: Sequence[TokenChunk]) -> Sequence[TokenChunk]:
    return [replace(chunk, tokens=2) for chunk in chunks]


def without_ids(chunks: Sequence[TokenChunk]) -> Sequence[TokenChunk]:
    return [replace(chunk, token_ids=()) for chunk in chunks]


def without_logprobs(chunks: Sequence[TokenChunk]) -> Sequence[TokenChunk]:
    return [replace(chunk, logprobs=()) for chunk in chunks]


FIGURES = "test_an_answer_streams_and_ends_once_with_its_figures"
FAULTS: list[tuple[Any, str]] = [
    (leaky, "test_closing_before_the_first_token_gives_the_place_back"),
    (changed(no_usage), FIGURES),
    (changed(always_ending), FIGURES),
    (changed(in_one_piece), FIGURES),
    (changed(miscounted), FIGURES),
    (unlimited, "test_the_token_limit_is_kept_and_named"),
    (cutting, "test_a_prompt_over_the_context_is_refused_before_it_streams"),
    (mixing, "test_more_requests_than_places_are_all_answered_as_if_alone"),
    (changed(without_ids), "test_token_ids_come_when_asked_for"),
    (changed(without_logprobs), "test_log_probabilities_spell_the_text"),
]


@pytest.mark.parametrize(("fault", "caught_by"), FAULTS)
async def test_a_broken_engine_is_caught(fault: Any, caught_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EngineContract, "timeout", 2.0)  # a lost place would come back after 6 s
    contract = EngineContract()
    await getattr(contract, caught_by)(SimEngine(), SPEC, None)
    with pytest.raises((AssertionError, TimeoutError, GatewayError, pytest.fail.Exception)):
        await getattr(contract, caught_by)(Broken(fault), SLOW if fault is leaky else SPEC, None)


async def test_the_wrapper_itself_is_innocent() -> None:
    async def same(model: SimModel, request: GenerationRequest) -> TokenStream:
        return await model.generate(request)

    model = await Broken(same).load(SPEC, None, lambda _progress: None)
    contract = EngineContract()
    assert (await collect(await model.generate(contract.request(SPEC)))).usage.completion_tokens == 8
    await model.close()


async def test_an_engine_that_describes_another_model_is_caught() -> None:
    class Other(SimEngine):
        def describe(self, spec: ModelSpec, path: Path | None) -> ModelInfo:
            return replace(super().describe(spec, path), context_length=1)

    with pytest.raises(AssertionError):
        await EngineContract().test_loading_reports_and_ends_ready_to_serve(Other(), SPEC, None)


class Dialect:
    """The least there can be, right in everything."""

    name = "least"
    prefixes = ("/least",)

    @property
    def routes(self) -> list[Any]:
        @get("/least/things", opt={"permission": "public"}, sync_to_thread=False)
        def things() -> dict[str, str]:
            return {}

        return [things]

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply:
        return ErrorReply(error.status, error.message.encode(), "text/plain")


@pytest.fixture
def contract() -> ProtocolContract:
    return ProtocolContract()


async def test_a_dialect_that_keeps_the_contract_passes(contract: ProtocolContract, tmp_path: Path) -> None:
    await contract.test_it_has_a_name_and_prefixes_that_are_paths(Dialect())
    await contract.test_every_route_says_who_may_use_it(Dialect())
    await contract.test_every_error_is_spelled(Dialect(), "ContextTooLong")
    await contract.test_a_client_cannot_put_lines_into_headers(Dialect())
    await contract.test_unknown_paths_and_wrong_methods_are_answered_in_its_words(Dialect(), tmp_path)


async def test_a_route_without_a_permission_is_caught(contract: ProtocolContract) -> None:
    class Open(Dialect):
        @property
        def routes(self) -> list[Any]:
            @get("/least/open", sync_to_thread=False)
            def open_() -> None: ...

            return [open_]

    with pytest.raises(ConfigError, match="declares no permission"):
        await contract.test_every_route_says_who_may_use_it(Open())


SPELLED = "test_every_error_is_spelled"
AGAIN = "test_when_to_ask_again_is_said_in_whole_seconds_and_never_zero"


@pytest.mark.parametrize(
    ("reply", "caught_by"),
    [
        (ErrorReply(200, b"the reason is this", "text/plain"), SPELLED),
        (ErrorReply(400, b"", "text/plain"), SPELLED),
        (ErrorReply(400, b"something went wrong", "text/plain"), SPELLED),
        (ErrorReply(400, b"the reason is this", "text/plain", {"x": "a\r\nb: c"}), SPELLED),
        (ErrorReply(429, b"wait", "text/plain", {"retry-after": "0"}), AGAIN),
    ],
)
async def test_a_careless_reply_is_caught(contract: ProtocolContract, reply: ErrorReply, caught_by: str) -> None:
    class Careless(Dialect):
        def error_reply(self, error: GatewayError, path: str) -> ErrorReply:
            return reply

    with pytest.raises(AssertionError):
        await getattr(contract, caught_by)(Careless(), "InvalidRequest" if reply.status != 429 else "RateLimited")
