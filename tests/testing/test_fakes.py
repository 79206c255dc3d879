"""The fake gateway behaves as the real one is typed to."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hyperllama.config import Config
from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import EngineFailed, ModelNotFound, Overloaded
from hyperllama.generation import GenerationRequest
from hyperllama.identity import Caller, Principal
from hyperllama.messages import Chat, Message, Prompt, PromptTokens, Text
from hyperllama.spi import Gateway
from hyperllama.stream import collect
from hyperllama.testing.chunks import chunks
from hyperllama.testing.fakes import FakeGateway, caller, model_info

REQUEST = GenerationRequest(model="fake", input=Prompt("hi"))


async def test_it_answers_and_remembers(hyperllama_gateway: FakeGateway, hyperllama_caller: Caller) -> None:
    gateway: Gateway = hyperllama_gateway
    answer = await collect(await gateway.generate(REQUEST, hyperllama_caller))
    assert (answer.text, answer.finish_reason) == ("Hello from here", "stop")
    assert hyperllama_gateway.requests == [REQUEST]
    assert (hyperllama_gateway.open, [running.info.name for running in gateway.running(Principal(id="x"))]) == (
        0,
        ["fake"],
    )


async def test_streams_that_are_not_closed_are_counted(hyperllama_gateway: FakeGateway) -> None:
    stream = await hyperllama_gateway.generate(REQUEST, caller())
    assert hyperllama_gateway.open == 1
    await stream.aclose()
    await stream.aclose()
    assert hyperllama_gateway.open == 0


async def test_errors_come_where_they_were_put() -> None:
    gateway = FakeGateway(answer=lambda _request: [chunks(["one", "two"])[0], EngineFailed("broken")])
    stream = await gateway.generate(REQUEST, caller())
    assert (await anext(stream)).text == "one"
    with pytest.raises(EngineFailed):
        await anext(stream)
    gateway.refusal = Overloaded("full", retry_after=3)
    with pytest.raises(Overloaded):
        await gateway.generate(REQUEST, caller())


async def test_models_are_found_by_alias_and_hidden_from_who_may_not_use_them() -> None:
    gateway = FakeGateway(model_info("a", aliases=("b",)))
    assert gateway.model("b", Principal(id="x")).name == "a"
    with pytest.raises(ModelNotFound):
        gateway.model("a", Principal(id="x", models=("other*",)))
    made = await gateway.embed(EmbeddingRequest(model="b", inputs=("x", "y"), dimensions=4), caller())
    assert [len(vector) for vector in made.vectors] == [16, 16]


async def test_models_are_loaded_counted_in_tokens_and_unloaded(hyperllama_gateway: FakeGateway) -> None:
    gateway, who = hyperllama_gateway, caller()
    assert await gateway.load("fake", who, keep_alive=3.0) > 0
    assert [running.info.name for running in gateway.running(who.principal)] == ["fake"]
    ids = await gateway.tokenize("fake", Prompt("hi"), who)
    assert await gateway.detokenize("fake", ids, who) == "hi"
    assert await gateway.tokenize("fake", PromptTokens((1, 2)), who) == (1, 2)
    chat = Chat((Message(role="user", parts=(Text("hi"),)), Message(role="user", parts=(Text("ho"),))))
    assert await gateway.detokenize("fake", await gateway.tokenize("fake", chat, who), who) == "hi\nho"
    await gateway.unload("fake", who)
    assert not gateway.running(who.principal)
    assert (gateway.loads, gateway.unloads) == ([("fake", 3.0)], ["fake"])


def test_the_plugins_config_is_the_default_one(hyperllama_config: Config) -> None:
    assert hyperllama_config == Config()


def test_loading_the_fixtures_imports_next_to_nothing_of_the_gateway() -> None:
    code = "import sys, hyperllama.testing.fixtures; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith(("hyperllama.", "litestar", "msgspec"))}
    assert loaded == {"hyperllama.testing", "hyperllama.testing.fixtures"}
