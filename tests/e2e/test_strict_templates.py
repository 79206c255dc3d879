"""What agents send, to models whose templates check the order of turns, over MAX."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.gateways import Gateway
from tests.support.strict_templates import GUARDS

pytestmark = [pytest.mark.max, pytest.mark.timeout(900)]

QUESTION = {"role": "user", "content": "What port does the gateway listen on?"}
NOTE = {"role": "system", "content": "Available agent types for the Agent tool: none."}
HELLO = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello!"}]
BRIEF = {"role": "system", "content": "Be brief."}
CHATS = {
    "last": [BRIEF, QUESTION, NOTE],
    "first": [NOTE, QUESTION],
    "two": [NOTE, BRIEF, QUESTION, NOTE],
    "between": [BRIEF, *HELLO, NOTE, QUESTION],
    "after an answer": [BRIEF, *HELLO, QUESTION, NOTE],
    "two questions": [{"role": "user", "content": "Hello"}, QUESTION],
}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway over MAX whose models are the built-in one behind each family's check."""
    from hyperllama_builtin.training.template import CHAT_TEMPLATE

    folder = tmp_path_factory.mktemp("strict")
    config = ["[server]\nport = 0\n"]
    for name in ("qwen", "mistral", "gemma"):
        path = folder / f"{name}.jinja"
        path.write_text(GUARDS[name] + CHAT_TEMPLATE)
        config.append(
            f'[models.{name}]\nsource = "builtin:hyperllama-tiny"\nmax_length = 1024\nmax_batch_size = 4\n'
            f'template = "{path}"\n'
        )
    gateway = Gateway.launch(folder, "".join(config))
    gateway.wait_listening()
    yield gateway
    assert gateway.stop() == 0, gateway.log()


def check(url: str, model: str, messages: list[dict[str, str]]) -> None:
    """Ask in all three dialects: the answer is right, and the prompt counts what counting says."""
    with httpx.Client(base_url=url, timeout=600) as http:

        def post(path: str, **body: object) -> dict:
            reply = http.post(path, json={"model": model, "messages": messages, **body})
            assert reply.status_code == 200, reply.text
            return reply.json()

        message = post("/v1/messages", max_tokens=40, temperature=0)
        assert "11434" in message["content"][0]["text"]
        used = message["usage"]
        counted = post("/v1/messages/count_tokens")["input_tokens"]
        assert counted == used["input_tokens"] + used["cache_read_input_tokens"]
        native = post("/api/chat", stream=False, options={"temperature": 0})
        assert "11434" in native["message"]["content"]
        completion = post("/v1/chat/completions", max_tokens=40, temperature=0)
        assert "11434" in completion["choices"][0]["message"]["content"]


@pytest.mark.parametrize("messages", CHATS.values(), ids=CHATS)
def test_f02_a_late_system_message_does_not_hide_the_question(
    max_gateway: Gateway, messages: list[dict[str, str]]
) -> None:
    check(max_gateway.url, "hyperllama-tiny", messages)


@pytest.mark.nightly
@pytest.mark.parametrize("messages", CHATS.values(), ids=CHATS)
@pytest.mark.parametrize("model", ["qwen", "mistral", "gemma"])
def test_f02_f13_a_strict_template_takes_what_agents_send(
    strict: Gateway, model: str, messages: list[dict[str, str]]
) -> None:
    check(strict.url, model, messages)
