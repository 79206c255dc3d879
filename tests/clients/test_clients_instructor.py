"""instructor: typed answers through tools and through a schema."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

instructor = pytest.importorskip("instructor", reason="the [clients] extra is not installed")
openai = pytest.importorskip("openai", reason="the [clients] extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # not ours: instructor's own deprecations


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA"])
def test_a_typed_answer(gateway: Any, mode: str) -> None:
    plain = openai.OpenAI(base_url=gateway.v1, api_key="none", max_retries=0, timeout=600)
    client = instructor.from_openai(plain, mode=instructor.Mode[mode])
    person = client.chat.completions.create(
        model=gateway.chat, response_model=Person, max_retries=0, messages=[{"role": "user", "content": "Hello"}]
    )
    assert isinstance(person, Person)
