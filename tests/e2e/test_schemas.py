"""Output schemas that cannot be enforced whole, in every dialect and on both engines: F7 and B03."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import jsonschema
import pytest

from hyperllama.schemas import check
from tests.schemas.corpus import Listed, corpus
from tests.support.gateways import Gateway

S = {"type": "string"}


class Case(NamedTuple):
    """A property's schema; the keywords that are loosened; the answer must fit ``holds``."""

    schema: dict[str, Any]
    loosened: tuple[str, ...]
    holds: dict[str, Any]


def text(**more: Any) -> dict[str, Any]:
    return {"type": "string", **more}


CASES: dict[str, Case] = {
    "format and pattern": Case(
        text(format="uuid", pattern="^[0-9a-f]{8}-[0-9a-f]{4}$"), ("format",), text(pattern="^[0-9a-f]{8}-[0-9a-f]{4}$")
    ),
    "format and a pattern with a lookahead": Case(
        text(format="email", pattern=r"^(?!\.)[a-z]{1,8}@[a-z]{1,8}\.[a-z]{2,4}$"), ("format", "pattern"), text()
    ),
    "uniqueItems": Case(
        {"type": "array", "items": {"enum": ["a", "b", 3]}, "uniqueItems": True, "maxItems": 4},
        ("uniqueItems",),
        {"type": "array", "maxItems": 3, "items": {"enum": ["a", "b", 3]}},
    ),
    "multipleOf": Case({"type": "integer", "multipleOf": 7}, ("multipleOf",), {"type": "integer"}),
    "multipleOf a fraction": Case({"type": "number", "multipleOf": 0.01}, ("multipleOf",), {"type": "number"}),
    "multipleOf within bounds": Case(
        {"type": "integer", "multipleOf": 5, "minimum": 1, "maximum": 99},
        (),
        {"type": "integer", "multipleOf": 5, "minimum": 1, "maximum": 99},
    ),
    "pattern and length": Case(text(pattern="^[a-z]+$", maxLength=8), (), text(pattern="^[a-z]{1,8}$")),
    "exclusiveMinimum of draft 4": Case(
        {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 5},
        (),
        {"type": "integer", "minimum": 4, "maximum": 5},
    ),
    "items of draft 4": Case(
        {"type": "array", "items": [{"enum": ["a"]}, {"enum": [1]}], "additionalItems": False},
        (),
        {"type": "array", "prefixItems": [{"enum": ["a"]}, {"enum": [1]}], "items": False},
    ),
    "lookahead": Case(text(pattern="^(?=a)[ab]{3}$"), ("pattern",), text(pattern="^[ab]{3}$")),
    "word boundary": Case(text(pattern=r"^\b[ab]{3}\b$"), ("pattern",), text(pattern="^[ab]{3}$")),
    "back reference": Case(text(pattern=r"^(a|b)\1$", maxLength=9), ("pattern",), text(maxLength=9)),
    "property of Unicode": Case(text(pattern=r"^\p{L}+$", maxLength=9), ("pattern",), text(maxLength=9)),
    "empty pattern": Case(text(pattern="", maxLength=9), (), text(maxLength=9)),
    "oneOf that overlaps": Case(
        {"oneOf": [{"type": "number", "minimum": 5}, {"type": "integer"}]}, ("oneOf",), {"type": "number"}
    ),
    "discriminated union": Case(
        {"oneOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}], "discriminator": {"propertyName": "k"}},
        (),
        {"type": "object", "required": ["k"], "properties": {"k": {"enum": ["a", "b"]}}},
    ),
    "not": Case(
        {"type": "integer", "maximum": 9, "minimum": 0, "not": {"const": 3}},
        ("not",),
        {"type": "integer", "maximum": 9},
    ),
    "if": Case({"type": "boolean", "if": {"const": True}, "then": False}, ("if",), {"type": "boolean"}),
    "contains": Case(
        {"type": "array", "items": {"enum": [1, 2]}, "contains": {"const": 1}, "maxItems": 3},
        ("contains",),
        {"type": "array", "minItems": 1, "maxItems": 3},
    ),
    "dependentRequired": Case(
        {"type": "object", "properties": {"a": {"const": 1}}, "dependentRequired": {"a": ["b"]}},
        ("dependentRequired",),
        {"type": "object"},
    ),
    "long bound": Case(
        {"type": "array", "items": {"enum": ["a"]}, "maxItems": 100_000, "minItems": 1},
        ("maxItems",),
        {"type": "array", "items": {"const": "a"}, "minItems": 1},
    ),
    "type any": Case({"type": "any", "enum": [1]}, (), {"const": 1}),
    "type STRING": Case({"type": "STRING", "maxLength": 3}, (), text(maxLength=3)),
    "type of no language": Case({"type": "nonsense", "enum": [1]}, ("type",), {"const": 1}),
    "reference with siblings": Case({"$ref": "#/$defs/name", "maxLength": 3}, (), text(maxLength=3)),
    "reference elsewhere": Case({"$ref": "http://127.0.0.1:9/x", "enum": [1]}, ("$ref",), {"const": 1}),
    "allOf with other bounds": Case(
        {"type": "integer", "allOf": [{"minimum": 3}, {"minimum": 5}, {"maximum": 7}]},
        (),
        {"type": "integer", "minimum": 5, "maximum": 7},
    ),
    "enum beside a type": Case({"type": "string", "enum": ["a", 1], "pattern": "a"}, (), {"const": "a"}),
    "nullable": Case(text(nullable=True, maxLength=3), (), text(maxLength=3)),
}
#: Words beside "string" that are annotations: pydantic's, zod's, OpenAPI's, anybody's.
FORMATS = [
    "path",
    "file-path",
    "directory-path",
    "password",
    "binary",
    "base64url",
    "uuid4",
    "json-string",
    "ipvanyaddress",
    "cuid",
    "ulid",
    "nanoid",
    "jwt",
    "e164",
    "base64",
    "emoji",
    "starts_with",
    "lowercase",
    "regex",
    "byte",
    "decimal",
    "url",
    "phone",
    "int32",
    "iri",
    "idn-email",
    "color",
    "currency",
    "markdown",
    "slug",
]
CASES |= {f"format {name}": Case(text(format=name, maxLength=6), ("format",), text(maxLength=6)) for name in FORMATS}
SAMPLE = ("format and pattern", "uniqueItems", "multipleOf", "pattern and length", "items of draft 4", "lookahead",
          "discriminated union", "contains", "format path", "reference with siblings")  # fmt: skip


def schema_of(case: Case) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"a": case.schema},
        "required": ["a"],
        "additionalProperties": False,
        "$defs": {
            "name": text(),
            "A": {"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]},
            "B": {"type": "object", "properties": {"k": {"const": "b"}}, "required": ["k"]},
        },
    }


Ask = Callable[..., tuple[httpx.Response, Any]]
TALK = [{"role": "user", "content": "Give me JSON."}]


def _chat(http: httpx.Client, model: str, schema: Any, *, strict: bool | None, temperature: float) -> Any:
    form = {"name": "n", "schema": schema} | ({} if strict is None else {"strict": strict})
    body = {"response_format": {"type": "json_schema", "json_schema": form}, "temperature": temperature, "seed": 1}
    reply = http.post("/v1/chat/completions", json={"model": model, "messages": TALK, "max_tokens": 400, **body})
    return reply, reply.is_success and reply.json()["choices"][0]["message"]["content"]


def _chat_tool(http: httpx.Client, model: str, schema: Any, *, strict: bool | None, temperature: float) -> Any:
    function = {"name": "lookup", "parameters": schema} | ({} if strict is None else {"strict": strict})
    body = {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "required",
        "temperature": temperature,
    }
    reply = http.post(
        "/v1/chat/completions",
        json={"model": model, "messages": TALK, "max_tokens": 400, "temperature": temperature, **body},
    )
    return reply, reply.is_success and reply.json()["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]


def _responses(http: httpx.Client, model: str, schema: Any, *, strict: bool | None, temperature: float) -> Any:
    form = {"type": "json_schema", "name": "n", "schema": schema} | ({} if strict is None else {"strict": strict})
    body = {"text": {"format": form}, "temperature": temperature, "max_output_tokens": 400}
    reply = http.post("/v1/responses", json={"model": model, "input": "Give me JSON.", **body})
    return reply, reply.is_success and reply.json()["output"][-1]["content"][0]["text"]


def _anthropic(http: httpx.Client, model: str, schema: Any, *, strict: bool | None, temperature: float) -> Any:
    tool = {"name": "lookup", "input_schema": schema} | ({} if strict is None else {"strict": strict})
    body = {"tools": [tool], "tool_choice": {"type": "any"}, "temperature": min(temperature, 1.0)}
    reply = http.post("/v1/messages", json={"model": model, "messages": TALK, "max_tokens": 400, **body})
    return reply, reply.is_success and json.dumps(reply.json()["content"][-1]["input"])


def _anthropic_format(http: httpx.Client, model: str, schema: Any, *, strict: bool | None, temperature: float) -> Any:
    form = {"type": "json_schema", "schema": schema}
    body = {"output_format": form, "temperature": min(temperature, 1.0), "max_tokens": 400}
    reply = http.post("/v1/messages", json={"model": model, "messages": TALK, **body})
    return reply, reply.is_success and reply.json()["content"][-1]["text"]


def _ollama(http: httpx.Client, model: str, schema: Any, *, strict: bool | None, temperature: float) -> Any:
    body = {"format": schema, "stream": False, "options": {"temperature": temperature, "num_predict": 400, "seed": 1}}
    reply = http.post("/api/chat", json={"model": model, "messages": TALK, **body})
    return reply, reply.is_success and reply.json()["message"]["content"]


DIALECTS: dict[str, Ask] = {
    "chat": _chat,
    "chat tool": _chat_tool,
    "responses": _responses,
    "anthropic": _anthropic,
    "anthropic format": _anthropic_format,
    "ollama": _ollama,
}


@pytest.fixture(scope="module")
def sim_http(sim: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sim.url, timeout=60, trust_env=False) as http:
        yield http


@pytest.fixture(scope="module")
def max_http(max_gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=max_gateway.url, timeout=120, trust_env=False) as http:
        yield http


def _holds(http: httpx.Client, model: str, ask: Ask, case: Case, temperature: float = 0.0) -> None:
    reply, written = ask(http, model, schema_of(case), strict=None, temperature=temperature)
    assert reply.status_code == 200, reply.text
    places = reply.headers.get("hyperllama-loosened-schema", "")
    assert tuple(sorted(place.rpartition("/")[2] for place in places.split(", ") if place)) == case.loosened
    assert ("hyperllama-schema-check" in reply.headers) == bool(case.loosened)
    try:
        answer = json.loads(written)
    except ValueError:
        assert reply.headers.get("hyperllama-schema-check", "unchecked") == "unchecked"  # cut off
        return
    jsonschema.validate(answer["a"], case.holds)


@pytest.mark.parametrize("name", CASES)
def test_f07_b03_a_schema_is_loosened_and_said_on_sim(sim_http: httpx.Client, name: str) -> None:
    dialects = list(DIALECTS.values()) if name in SAMPLE else [_chat, _ollama]
    for ask in dialects:
        _holds(sim_http, "sim", ask, CASES[name])


@pytest.mark.max
@pytest.mark.timeout(900)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_f07_b03_a_schema_is_loosened_and_kept_to_on_max(max_http: httpx.Client, temperature: float) -> None:
    for at, name in enumerate(SAMPLE):
        _holds(max_http, "hyperllama-tiny", list(DIALECTS.values())[at % len(DIALECTS)], CASES[name], temperature)


@pytest.mark.nightly
@pytest.mark.max
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_f07_b03_every_schema_on_max(max_http: httpx.Client, dialect: str, temperature: float) -> None:
    for case in CASES.values():
        _holds(max_http, "hyperllama-tiny", DIALECTS[dialect], case, temperature)


#: What OpenAI's strict mode takes too, and is followed or checked here.
STRICT = ("format and pattern", "multipleOf", "multipleOf a fraction", "pattern and length", "long bound", "nullable")


@pytest.mark.parametrize("dialect", ["chat", "chat tool", "responses", "anthropic"])
@pytest.mark.parametrize("name", ["uniqueItems", "not", "format path", "lookahead", "oneOf that overlaps", *STRICT])
def test_f07_strict_is_enforced_or_checked_or_refused_by_name(sim_http: httpx.Client, dialect: str, name: str) -> None:
    case = CASES[name]
    reply, _ = DIALECTS[dialect](sim_http, "sim", schema_of(case), strict=True, temperature=0.0)
    if name in STRICT:
        assert reply.status_code == 200, reply.text
        return
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert f'"{case.loosened[0]}" at "#/properties/a"' in error["message"]
    place = {"chat": "response_format", "chat tool": 'tools[0] "lookup"', "responses": "text.format"}.get(dialect)
    assert error["message"].startswith(place or 'tools.0 "lookup"')
    if place:
        code = "invalid_function_parameters" if "tool" in dialect else "invalid_json_schema"
        assert (error["param"], error["code"]) == (place.partition(" ")[0], code)


@pytest.mark.parametrize("strict", [None, True])
def test_f07_a_tool_that_need_not_be_called_is_never_refused(sim_http: httpx.Client, strict: bool | None) -> None:
    function = {"name": "lookup", "parameters": schema_of(CASES["uniqueItems"]), "strict": strict}
    body = {"model": "sim", "messages": TALK, "tools": [{"type": "function", "function": function}]}
    reply = sim_http.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200
    assert "hyperllama-loosened-schema" not in reply.headers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
def test_f07_a_stream_says_what_is_loosened_before_its_body(sim_http: httpx.Client, path: str) -> None:
    schema = schema_of(CASES["uniqueItems"])
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    body = {"model": "sim", "messages": TALK, "stream": True, "response_format": form, "format": schema}
    with sim_http.stream("POST", path, json=body) as reply:
        assert reply.headers["hyperllama-loosened-schema"] == "#/properties/a/uniqueItems"
        assert "hyperllama-schema-check" not in reply.headers
        assert reply.read()


def test_f07_an_answer_is_checked_against_the_schema_as_it_was_sent(sim_http: httpx.Client) -> None:
    def verdict(schema: dict[str, Any]) -> str:
        reply, _ = _chat(sim_http, "sim", schema_of(Case(schema, (), {})), strict=None, temperature=0.0)
        return str(reply.headers["hyperllama-schema-check"])

    two = {"type": "array", "items": {"type": "boolean"}, "minItems": 2}
    assert verdict({**two, "uniqueItems": True, "maxItems": 3}) == "invalid"
    assert verdict({**two, "not": {"maxItems": 1}}) == "valid"
    assert verdict(text(pattern=r"^(a+)+\1$")) == "unchecked"


def test_f07_the_log_names_keywords_and_nothing_of_the_answer(sim: Gateway, sim_http: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"secretive": {"type": "array", "uniqueItems": True}}}
    reply, written = _chat(sim_http, "sim", schema, strict=None, temperature=0.0)
    assert reply.is_success
    line = next(line for line in reversed(sim.log().splitlines()) if "answer checked" in line)
    assert "uniqueItems" in line
    assert "secretive" not in line
    assert written not in line


#: Schemas as libraries, agents and JSON Schema's own suite make them.
OBJECTS = [each for each in corpus() if each.schema.get("type") == "object"]
ASK = list(DIALECTS.items())


def _answered(http: httpx.Client, model: str, listed: Listed, at: int, temperature: float) -> bool:
    """Ask for an answer in one of the dialects, which must fit; return whether it was not cut off."""
    dialect, ask = ASK[at % len(ASK)]
    reply, written = ask(http, model, listed.schema, strict=None, temperature=temperature)
    assert reply.status_code == 200, (listed.name, dialect, reply.text)
    written = written if isinstance(written, str) else json.dumps(written)
    if "hyperllama-loosened-schema" not in reply.headers and _whole(reply, written):
        said, broken = check(listed.schema, written)
        assert said != "invalid", (listed.name, dialect, broken, written)
    return _whole(reply, written)


def _whole(reply: httpx.Response, written: str) -> bool:
    if reply.json().get("stop_reason") == "max_tokens":
        return False
    try:
        json.loads(written)
    except ValueError:
        return False  # cut off by the bound on tokens
    return True


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_b03_f07_sim_answers_the_corpus(sim_http: httpx.Client, temperature: float) -> None:
    for at, listed in enumerate(OBJECTS[int(temperature) :: 4]):
        assert _answered(sim_http, "sim", listed, at, temperature), listed.name


@pytest.mark.max
@pytest.mark.timeout(600)
def test_b03_f07_max_answers_a_sample_of_the_corpus(max_http: httpx.Client) -> None:
    for at, listed in enumerate(OBJECTS[:: len(OBJECTS) // 6]):
        _answered(max_http, "hyperllama-tiny", listed, at, at % 2)


@pytest.mark.nightly
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_b03_f07_sim_answers_the_whole_corpus(sim_http: httpx.Client, temperature: float) -> None:
    for listed in OBJECTS:
        for at in range(len(ASK)):
            assert _answered(sim_http, "sim", listed, at, temperature), listed.name


@pytest.mark.nightly
@pytest.mark.max
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_b03_f07_max_answers_the_corpus(max_http: httpx.Client, temperature: float) -> None:
    for at, listed in enumerate(OBJECTS):
        _answered(max_http, "hyperllama-tiny", listed, at, temperature)
