"""Wire requests in the core's words."""

from __future__ import annotations

import msgspec
import pytest

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import InvalidRequest
from hyperllama.generation import AnyJson, GenerationRequest, JsonSchema, Sampling, ToolSpec
from hyperllama.messages import Chat, Image, Message, Prompt, Text, ToolCall
from hyperllama.models import ModelInfo
from hyperllama_ollama.decode import bodies, requests
from hyperllama_ollama.errors import Failure

INFO = ModelInfo(
    name="m",
    engine="fake",
    capabilities=frozenset({"completion", "chat", "tools"}),
    context_length=64,
    parameters={"temperature": 0, "top_p": 1, "top_k": 1},
)
THINKER = msgspec.structs.replace(INFO, capabilities=frozenset({"completion", "chat", "thinking"}))


def _chat(body: bytes, info: ModelInfo = INFO) -> GenerationRequest:
    return requests.chat(*bodies.chat(body), info)


def _generate(body: bytes, info: ModelInfo = INFO) -> GenerationRequest:
    return requests.generate(*bodies.generate(body), info)


def test_a_chat_becomes_a_generation() -> None:
    found = _chat(
        b'{"model":"M:latest","keep_alive":"5m","options":{"num_ctx":32,"num_predict":3},"format":"json","messages":'
        b'[{"role":"system","content":"s"},{"role":"USER","content":"look","images":["AQI="]}],'
        b'"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}]}'
    )
    assert found == GenerationRequest(
        model="m",
        input=Chat(
            (
                Message(role="system", parts=(Text("s"),)),
                Message(role="user", parts=(Image(b"\x01\x02"), Text("look"))),
            )
        ),
        sampling=Sampling(max_tokens=3),
        tools=(ToolSpec("f", "d", {"type": "object", "properties": {}}),),
        output=AnyJson(),
        keep_alive=300.0,
        context_length=32,
    )


def test_results_find_their_calls_by_name_and_order_when_ids_are_gone() -> None:
    call = '{"function":{"name":"%s","arguments":{"a":1}}}'
    body = (
        '{"messages":[{"role":"assistant","tool_calls":[' + ",".join(call % name for name in ("f", "g", "f")) + "]},"
        '{"role":"tool","content":"one","tool_name":"g"},{"role":"tool","content":"two","tool_name":"f"},'
        '{"role":"tool","content":"three"},{"role":"tool","content":"stray","tool_name":"h"}]}'
    )
    found = _chat(body.encode()).input
    assert isinstance(found, Chat)
    ids = [item.id for item in found.messages[0].tool_calls]
    assert len(set(ids)) == 3
    assert found.messages[0].tool_calls[0] == ToolCall(ids[0], "f", '{"a":1}')
    answered = [(message.tool_call_id, message.name) for message in found.messages[1:]]
    assert answered == [(ids[1], "g"), (ids[0], "f"), (ids[2], "f"), (None, "h")]


def test_ids_that_came_are_kept() -> None:
    found = _chat(
        b'{"messages":[{"role":"assistant","tool_calls":[{"id":"call_00000000","function":{"name":"f"}},'
        b'{"function":{"name":"g"}}]},{"role":"tool","content":"x","tool_call_id":"call_00000000"}]}'
    ).input
    assert isinstance(found, Chat)
    assert [item.id for item in found.messages[0].tool_calls] == ["call_00000000", "call_00000001"]
    assert (found.messages[1].tool_call_id, found.messages[1].name) == ("call_00000000", "f")


def test_the_same_conversation_gets_the_same_ids() -> None:
    body = b'{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]}'
    assert _chat(body) == _chat(body)


def test_any_role_is_taken() -> None:
    found = _chat(b'{"messages":[{"role":"developer","content":"a"},{"role":"critic","content":"b"},{"content":"c"}]}')
    assert isinstance(found.input, Chat)
    assert [message.role for message in found.input.messages] == ["system", "user", "user"]


def test_generate_is_templated_unless_raw() -> None:
    assert _generate(b'{"prompt":"p","system":"s","images":["AQI="]}').input == Chat(
        (Message(role="user", parts=(Image(b"\x01\x02"), Text("p"))),)
    )
    assert _generate(b'{"prompt":"p","system":"s"}').system == "s"
    assert _generate(b'{"prompt":"p","system":""}').system is None
    raw = _generate(b'{"prompt":"<s>p","raw":true}')
    assert (raw.input, raw.return_token_ids) == (Prompt("<s>p"), False)
    assert _generate(b'{"prompt":"p"}').return_token_ids
    assert _generate(b'{"prompt":"a","suffix":"b"}').input == Prompt("a", suffix="b")


def test_a_model_without_a_template_gets_the_bare_prompt() -> None:
    plain = msgspec.structs.replace(INFO, capabilities=frozenset({"completion"}))
    assert _generate(b'{"prompt":"p","system":"s"}', plain).input == Prompt("s\n\np")


@pytest.mark.parametrize(
    ("sent", "info", "reasoning"),
    [
        (b"null", INFO, None),
        (b"false", INFO, None),
        (b"null", THINKER, True),
        (b"false", THINKER, False),
        (b"true", THINKER, True),
        (b'"low"', THINKER, "low"),
        (b'"max"', THINKER, "max"),
    ],
)
def test_think_says_how_much_is_reasoned(sent: bytes, info: ModelInfo, reasoning: object) -> None:
    assert _chat(b'{"messages":[{"content":"x"}],"think":' + sent + b"}", info).reasoning == reasoning


@pytest.mark.parametrize("level", [b"true", b'"low"'])
def test_thinking_is_refused_by_a_model_that_cannot(level: bytes) -> None:
    request, _ = bodies.chat(b'{"model":"M","think":' + level + b"}")
    with pytest.raises(InvalidRequest) as error:
        requests.check_think(request, INFO)
    assert error.value.message == '"M" does not support thinking'
    requests.check_think(request, THINKER)


def test_formats() -> None:
    assert _chat(b'{"messages":[],"format":""}').output is None
    assert _chat(b'{"messages":[],"format":null}').output is None
    assert _chat(b'{"messages":[],"format":{"type":"object"}}').output == JsonSchema({"type": "object"})


@pytest.mark.parametrize(
    ("written", "shown"),
    [(b'"yaml"', r'"\"yaml\""'), (b"5", '"5"'), (b"[1, 2.0]", '"[1, 2.0]"'), (b"true", '"true"')],
)
def test_a_bad_format_is_shown_as_it_was_written(written: bytes, shown: str) -> None:
    with pytest.raises(Failure) as error:
        _chat(b'{"messages":[],"format":' + written + b"}")
    assert error.value.message == f'invalid format: {shown}; expected "json" or a valid JSON Schema object'
    assert error.value.status == 500


def test_logprobs_are_asked_for_only_when_asked_for() -> None:
    assert _chat(b'{"top_logprobs":5}').sampling.logprobs is None
    assert _chat(b'{"logprobs":true}').sampling.logprobs == 0
    assert _chat(b'{"logprobs":true,"top_logprobs":5}').sampling.logprobs == 5


@pytest.mark.parametrize("count", [b"-1", b"21"])
def test_top_logprobs_has_a_range(count: bytes) -> None:
    with pytest.raises(InvalidRequest, match="top_logprobs must be between 0 and 20"):
        requests.check_logprobs(bodies.generate(b'{"top_logprobs":' + count + b"}")[0])


def test_vectors_are_normalised_on_the_new_route_alone() -> None:
    asked = bodies.embed(b'{"input":["a"],"dimensions":2,"truncate":false,"keep_alive":0}')
    info = msgspec.structs.replace(INFO, embedding_length=3)
    assert requests.embed(asked, ("a",), info) == EmbeddingRequest(
        model="m", inputs=("a",), truncate=False, dimensions=2, keep_alive=0.0
    )
    larger = bodies.embed(b'{"input":["a"],"dimensions":3}')
    assert requests.embed(larger, ("a",), info).dimensions is None
    old = bodies.embeddings(b'{"prompt":"a"}')
    assert requests.embedding(old, info) == EmbeddingRequest(model="m", inputs=("a",), normalize=False, truncate=False)


def test_a_stored_system_prompt_goes_first_even_where_somebody_speaks_as_the_system_later() -> None:
    info = msgspec.structs.replace(INFO, system="be kind")
    later = b'{"model":"m","messages":[{"role":"user","content":"a"},{"role":"system","content":"b"}]}'
    request, body = bodies.chat(later)
    said = requests.chat(request, body, info).input
    assert isinstance(said, Chat)
    assert [(turn.role, turn.text) for turn in said.messages] == [("system", "be kind"), ("user", "a"), ("system", "b")]
    first = later.replace(b'"user"', b'"system"', 1)
    request, body = bodies.chat(first)
    assert len(requests.chat(request, body, info).input.messages) == 2
