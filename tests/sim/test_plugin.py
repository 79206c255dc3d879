"""The sim engine as the gateway finds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from hyperllama.app.plugins import Plugins
from hyperllama.config import Config, PluginChoice
from hyperllama.errors import InvalidRequest
from hyperllama.generation import GenerationRequest, Sampling
from hyperllama.messages import Chat, Message, Prompt, PromptTokens, Text
from hyperllama.models import ModelSpec
from hyperllama.stream import collect
from hyperllama_sim import tokens
from hyperllama_sim.engine import SimEngine
from hyperllama_sim.model import SimModel

Load = Callable[..., Awaitable[SimModel]]


def test_it_is_found_by_its_entry_point() -> None:
    engines = Plugins(Config(plugins=PluginChoice(enabled=("sim",)))).engines()
    assert list(engines) == ["sim"]


def test_a_model_is_what_its_options_say() -> None:
    engine = SimEngine()
    plain = engine.describe(ModelSpec(name="m", engine="sim"), None)
    assert "embedding" not in plain.capabilities
    assert plain.context_length == 4096
    options = {"embedding": 8, "context_length": 100, "memory_mb": 3}
    made = engine.describe(ModelSpec(name="m", engine="sim", options=options), None)
    assert "embedding" in made.capabilities
    assert (made.context_length, made.embedding_length, made.memory_bytes) == (100, 8, 3 << 20)
    assert made.digest != plain.digest
    limited = ModelSpec(name="m", engine="sim", max_length=50, options={"capabilities": ["embedding"], **options})
    assert engine.describe(limited, None).capabilities == {"embedding"}
    assert engine.describe(limited, None).context_length == 50


async def test_its_tokenizer_shows_what_the_engine_sees(load: Load) -> None:
    model = await load()
    chat = Chat((Message(role="user", parts=(Text("hi"),)),))
    ids = await model.tokenize(chat)
    answer = await collect(
        await model.generate(GenerationRequest(model="m", input=chat, sampling=Sampling(max_tokens=1)))
    )
    assert len(ids) == answer.usage.prompt_tokens
    assert await model.detokenize(ids) == "user: hi\nassistant:"
    assert await model.tokenize(PromptTokens((1, 2))) == (1, 2)
    assert await model.detokenize((0, *tokens.encode("end"))) == "end"
    with pytest.raises(InvalidRequest, match="outside the vocabulary"):
        await model.detokenize((-1,))


async def test_a_configured_system_prompt_counts_unless_the_request_has_its_own() -> None:
    spec = ModelSpec(name="m", engine="sim", system="be brief")
    model = await SimEngine().load(spec, None, lambda _progress: None)
    chat = Chat((Message(role="user", parts=(Text("hi"),)),))
    requests = [GenerationRequest(model="m", input=chat, system=text) for text in (None, "be brief", "", "be long")]
    texts = [(await collect(await model.generate(request))).text for request in requests]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3
    await model.close()


async def test_a_continued_answer_and_a_suffix_are_prompts_of_their_own(load: Load) -> None:
    model = await load(echo=True)
    messages = (Message(role="user", parts=(Text("hi"),)), Message(role="assistant", parts=(Text("he"),)))
    assert tokens.decode(await model.tokenize(Chat(messages, continue_last=True))) == "user: hi\nassistant: he"
    filled = await collect(await model.generate(GenerationRequest(model="m", input=Prompt("a", suffix="b"))))
    plain = await collect(await model.generate(GenerationRequest(model="m", input=Prompt("a"))))
    assert filled.usage.prompt_tokens > plain.usage.prompt_tokens
