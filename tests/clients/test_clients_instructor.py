"""instructor: typed answers through tools and through a schema, whole, in parts and in a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

instructor = pytest.importorskip("instructor", reason="the [clients] extra is not installed")
openai = pytest.importorskip("openai", reason="the [clients] extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # not ours: instructor's own deprecations


@pytest.fixture
def plain(gateway: Any) -> Iterator[Any]:
    with openai.OpenAI(base_url=gateway.v1, api_key="none", max_retries=0, timeout=600) as found:
        yield found


def ask(gateway: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": gateway.extract}]
    return {"model": gateway.chat, "messages": said, "temperature": 0, "max_tokens": 200, "max_retries": 0}


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA"])
def test_a_typed_answer(plain: Any, gateway: Any, mode: str) -> None:
    client = instructor.from_openai(plain, mode=instructor.Mode[mode])
    person, completion = client.chat.completions.create_with_completion(response_model=gateway.person, **ask(gateway))
    assert isinstance(person, gateway.person)
    assert completion.usage.completion_tokens > 0


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA"])
def test_a_typed_answer_in_parts(plain: Any, gateway: Any, mode: str) -> None:
    client = instructor.from_openai(plain, mode=instructor.Mode[mode])
    parts = list(client.chat.completions.create_partial(response_model=gateway.person, **ask(gateway)))
    assert len(parts) > 1
    assert gateway.person.model_validate(parts[-1].model_dump())


async def test_the_async_client(gateway: Any) -> None:
    async with openai.AsyncOpenAI(base_url=gateway.v1, api_key="none", max_retries=0, timeout=600) as plain:
        client = instructor.from_openai(plain, mode=instructor.Mode.TOOLS)
        made = await client.chat.completions.create(response_model=gateway.person, **ask(gateway))
    assert isinstance(made, gateway.person)
