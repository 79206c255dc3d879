"""Every mode of instructor that OpenAI's and Anthropic's clients have, whole and in parts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any
from uuid import UUID

import instructor
from anthropic import Anthropic
from openai import OpenAI
from outcomes import CALLED, ENGINE, EXTRACT, PROMPTED, TYPED, URL, V1, Skip, report
from pydantic import BaseModel, Field

# Modes in which nothing holds the model to the schema
BY_WILL = {"JSON": PROMPTED, "MD_JSON": PROMPTED, "PARALLEL_TOOLS": CALLED, "ANTHROPIC_JSON": PROMPTED}
OPENAI = ("TOOLS", "TOOLS_STRICT", "JSON", "JSON_SCHEMA", "MD_JSON", "PARALLEL_TOOLS", "RESPONSES_TOOLS")
ANTHROPIC = ("ANTHROPIC_TOOLS", "ANTHROPIC_JSON")


class Person(BaseModel):
    """Somebody."""

    name: str = Field(max_length=24)
    age: int = Field(ge=0, le=150)


class Kinds(BaseModel):
    """One of each kind."""

    when: datetime
    id: UUID
    file: FilePath
    tags: set[str] = Field(max_length=3)
    step: int = Field(multiple_of=5, ge=0, le=100)
    price: Decimal = Field(ge=0, le=9)


def client(mode: str) -> Any:
    made = instructor.Mode[mode]
    if mode in ANTHROPIC:
        return instructor.from_anthropic(Anthropic(base_url=URL, api_key="none", max_retries=0), mode=made)
    return instructor.from_openai(OpenAI(base_url=V1, api_key="none", max_retries=0), mode=made)


def ask(mode: str, model: Any, text: str, **more: Any) -> Any:
    asked = {"model": TYPED, "messages": [{"role": "user", "content": text}], "max_tokens": 300}
    if mode.startswith("RESPONSES"):
        return client(mode).responses.create(model=TYPED, input=text, response_model=model, max_retries=1, **more)
    return client(mode).create(response_model=model, max_retries=1, **asked, **more)


def jobs(mode: str) -> dict[str, Any]:
    def whole() -> None:
        if mode in BY_WILL and ENGINE != "sim":
            raise Skip("a small model follows no schema in the prompt")
        found = ask(mode, Iterable[Person] if mode == "PARALLEL_TOOLS" else Person, BY_WILL.get(mode, EXTRACT))
        assert isinstance(next(iter(found)) if mode == "PARALLEL_TOOLS" else found, Person)

    def partial() -> None:
        *_, last = client(mode).create_partial(
            response_model=Person, model=TYPED, messages=[{"role": "user", "content": EXTRACT}], max_tokens=200
        )
        assert last.name is not None

    def kinds() -> None:
        assert isinstance(ask(mode, Kinds, "Make one up."), Kinds)

    found = {"object": whole}
    if mode in ("TOOLS", "JSON_SCHEMA"):
        found["streamed object"] = partial
    if mode in ("TOOLS", "ANTHROPIC_TOOLS"):
        found["object of pydantic's kinds"] = kinds
    return found


for mode in (*OPENAI, *ANTHROPIC):
    if hasattr(instructor.Mode, mode):
        report(f"instructor, {mode}", jobs(mode))
