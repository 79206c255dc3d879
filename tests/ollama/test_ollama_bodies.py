"""Bytes to wire requests: tables of (body, request) and of (body, refusal)."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from hyperllama.errors import InvalidRequest
from hyperllama_ollama import wire
from hyperllama_ollama.decode import bodies


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        (b"{}", wire.GenerateRequest()),
        (b"null", wire.GenerateRequest()),
        (b'{"MODEL":"m","Prompt":"p"}', wire.GenerateRequest(model="m", prompt="p")),
        (b'{"model":"a","Model":"b"}', wire.GenerateRequest(model="b")),
        (b'{"Model":"a","model":"b"}', wire.GenerateRequest(model="b")),
        (b'{"model":"a","model":"b"}', wire.GenerateRequest(model="b")),
        (b'{"model":"m","unknown":[{}],"width":512}', wire.GenerateRequest(model="m")),
        (b'{"model":null,"stream":null,"options":null,"think":null,"keep_alive":null}', wire.GenerateRequest()),
        (b'{"stream":false,"raw":true,"truncate":false}', wire.GenerateRequest(stream=False, raw=True, truncate=False)),
        (b'{"context":[1,2,3],"images":["AQI=",""]}',
         wire.GenerateRequest(context=(1, 2, 3), images=(b"\x01\x02", b""))),
        (b'{"images":["AQI=\\r\\n"]}', wire.GenerateRequest(images=(b"\x01\x02",))),
        (b'{"think":"max","format":"json"}', wire.GenerateRequest(think="max", format="json")),
        (b'{"format":{"type":"object"}}', wire.GenerateRequest(format={"type": "object"})),
        (b'{"options":{"seed":1,"stop":null}}', wire.GenerateRequest(options={"seed": 1})),
        (b'{"_debug_render_only":true,"logprobs":true,"top_logprobs":3}',
         wire.GenerateRequest(debug_render_only=True, logprobs=True, top_logprobs=3)),
        (b'{"model":"m\xff"}', wire.GenerateRequest(model="m\ufffd")),
        (b'{"model":"m"} {"model":"n"}', wire.GenerateRequest(model="m")),
    ],
)  # fmt: skip
def test_a_generate_body_is_read(body: bytes, request_: wire.GenerateRequest) -> None:
    assert bodies.generate(body)[0] == request_


def test_a_chat_body_is_read() -> None:
    body = b"""{"model":"m","messages":[
        {"ROLE":"User","content":"hi","images":["AQI="]},
        {"role":"assistant","content":null,"thinking":"hm","tool_calls":[
            {"id":"c1","function":{"index":0,"name":"f","arguments":{"b":1,"a":[2.0]}}},{"function":{"name":"g"}}]},
        {"role":"tool","content":"42","tool_name":"f","tool_call_id":"c1"}],
      "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","title":"T",
        "required":["a"],"additionalProperties":false,"$defs":{"x":{}},
        "properties":{"z":{"type":"string","minLength":3,"enum":["q"]},"a":{"type":["number","null"],"description":"n"},
          "o":{"type":"object","properties":{"i":{"type":"integer","minimum":1}},"required":["i"]}}}}}]}"""
    request, _ = bodies.chat(body)
    assert request.messages == (
        wire.Message(role="user", content="hi", images=(b"\x01\x02",)),
        wire.Message(
            role="assistant",
            thinking="hm",
            tool_calls=(
                wire.ToolCall(
                    id="c1", function=wire.ToolCallFunction(index=0, name="f", arguments={"b": 1, "a": [2.0]})
                ),
                wire.ToolCall(function=wire.ToolCallFunction(name="g")),
            ),
        ),
        wire.Message(role="tool", content="42", tool_name="f", tool_call_id="c1"),
    )
    parameters = request.tools[0].function.parameters
    assert parameters == {
        "type": "object",
        "required": ["a"],
        "$defs": {"x": {}},
        "properties": {
            "z": {"type": "string", "enum": ["q"]},
            "a": {"type": ["number", "null"], "description": "n"},
            "o": {"type": "object", "properties": {"i": {"type": "integer"}}, "required": ["i"]},
        },
    }
    assert list(parameters["properties"]) == ["z", "a", "o"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"5", 5.0),
        (b"42.5", 42.5),
        (b"0", 0.0),
        (b"0.0", 0.0),
        (b"-1", math.inf),
        (b"-1.0", math.inf),
        (b"-3.14", math.inf),
        (b'"5m"', 300.0),
        (b'"5m0s"', 300.0),
        (b'"1h30m"', 5400.0),
        (b'"300ms"', 0.3),
        (b'"0s"', 0.0),
        (b'"0"', 0.0),
        (b'"-1m"', math.inf),
        (b'"-1s"', math.inf),
        (b'"2562047h47m16.854775807s"', math.inf),
        (b"1e300", math.inf),
        (b"9" * 400, math.inf),
    ],
)
def test_keep_alive_is_read_in_every_form(value: bytes, seconds: float) -> None:
    request, _ = bodies.generate(b'{"keep_alive":' + value + b"}")
    assert request.keep_alive == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b'"-1"', 'time: missing unit in duration "-1"'),
        (b'"60"', 'time: missing unit in duration "60"'),
        (b'""', 'time: invalid duration ""'),
        (b'"abc"', 'time: invalid duration "abc"'),
        (b'"1d"', 'time: unknown unit "d" in duration "1d"'),
        (b"true", "Unsupported type: 'bool'"),
        (b"[]", "Unsupported type: '[]interface {}'"),
        (b"{}", "Unsupported type: 'map[string]interface {}'"),
    ],
)
def test_keep_alive_that_is_none_is_refused(value: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        bodies.chat(b'{"keep_alive":' + value + b"}")
    assert error.value.message == message


_THINK = '"high", "medium", "low", "max", true, or false'


@pytest.mark.parametrize(
    ("decode", "body", "message"),
    [
        (bodies.chat, b"", "missing request body"),
        (bodies.chat, b" \n", "missing request body"),
        (bodies.chat, b'{"model":"m"', "unexpected EOF"),
        (bodies.chat, b'{"model":"m",}', "invalid character '}' looking for beginning of object key string"),
        (bodies.chat, b"not json", "invalid character 'o' in literal null (expecting 'u')"),
        (bodies.chat, b"[]", "json: cannot unmarshal array into Go value of type api.ChatRequest"),
        (bodies.generate, b'"x"', "json: cannot unmarshal string into Go value of type api.GenerateRequest"),
        (bodies.embed, b"1", "json: cannot unmarshal number into Go value of type api.EmbedRequest"),
        (bodies.embeddings, b"true", "json: cannot unmarshal bool into Go value of type api.EmbeddingRequest"),
        (bodies.show, b"[]", "json: cannot unmarshal array into Go value of type api.ShowRequest"),
        (bodies.create, b"[]", "json: cannot unmarshal array into Go value of type api.CreateRequest"),
        (bodies.copy, b"[]", "json: cannot unmarshal array into Go value of type api.CopyRequest"),
        (bodies.delete, b"[]", "json: cannot unmarshal array into Go value of type api.DeleteRequest"),
        (bodies.pull, b"[]", "json: cannot unmarshal array into Go value of type api.PullRequest"),
        (bodies.push, b"[]", "json: cannot unmarshal array into Go value of type api.PushRequest"),
        (bodies.chat, b'{"model":123}',
         "json: cannot unmarshal number into Go struct field ChatRequest.model of type string"),
        (bodies.chat, b'{"stream":"true"}',
         "json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool"),
        (bodies.chat, b'{"messages":"hi"}',
         "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message"),
        (bodies.chat, b'{"options":[]}',
         "json: cannot unmarshal array into Go struct field ChatRequest.options of type map[string]interface {}"),
        (bodies.generate, b'{"context":["a"]}',
         "json: cannot unmarshal string into Go struct field GenerateRequest.context of type int"),
        (bodies.chat, b'{"top_logprobs":1.5}',
         "json: cannot unmarshal number 1.5 into Go struct field ChatRequest.top_logprobs of type int"),
        (bodies.chat, b'{"top_logprobs":1e2}',
         "json: cannot unmarshal number 1e2 into Go struct field ChatRequest.top_logprobs of type int"),
        (bodies.chat, b'{"top_logprobs":99999999999999999999}',
         ("json: cannot unmarshal number 99999999999999999999 into Go struct field "
          "ChatRequest.top_logprobs of type int")),
        (bodies.chat, b'{"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}',
         "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string"),
        (bodies.chat, b'{"messages":[{"role":"user","content":1}],"model":2}',
         "json: cannot unmarshal number into Go struct field ChatRequest.messages.content of type string"),
        (bodies.chat, b'{"model":2,"stream":"x"}',
         "json: cannot unmarshal number into Go struct field ChatRequest.model of type string"),
        (bodies.chat, b'{"tools":{}}',
         "json: cannot unmarshal object into Go struct field ChatRequest.tools of type api.Tools"),
        (bodies.chat, b'{"tools":[{"function":{"name":5}}]}',
         "json: cannot unmarshal number into Go struct field ToolFunction.tools.function.name of type string"),
        (bodies.chat, b'{"messages":[{"tool_calls":[{"function":{"arguments":"{}"}}]}]}',
         "Value looks like object, but can't find closing '}' symbol"),
        (bodies.chat, b'{"think":"x"}', f'invalid think value: "x" (must be {_THINK})'),
        (bodies.chat, b'{"think":1}', f"think must be a boolean or string ({_THINK})"),
        (bodies.chat, b'{"model":1,"think":1}', f"think must be a boolean or string ({_THINK})"),
        (bodies.generate, b'{"images":["data:image/png;base64,AAAA"]}', "illegal base64 data at input byte 4"),
        (bodies.generate, b'{"images":["!!!"]}', "illegal base64 data at input byte 0"),
        (bodies.generate, b'{"images":["AQI"]}', "illegal base64 data at input byte 0"),
        (bodies.generate, b'{"images":["AAAAAQI"]}', "illegal base64 data at input byte 4"),
        (bodies.generate, b'{"images":["AQ=A"]}', "illegal base64 data at input byte 2"),
        (bodies.generate, b'{"images":["AQI=AAAA"]}', "illegal base64 data at input byte 4"),
        (bodies.generate, b'{"images":[1]}',
         "json: cannot unmarshal number into Go struct field GenerateRequest.images of type api.ImageData"),
        (bodies.generate, b'{"images":"x"}',
         "json: cannot unmarshal string into Go struct field GenerateRequest.images of type []api.ImageData"),
        (bodies.generate, b'{"options":{"x":1e999}}',
         "json: cannot unmarshal number 1e999 into Go struct field GenerateRequest.options of type float64"),
        (bodies.generate, b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "invalid character '[' exceeded max depth"),
        (bodies.generate, b'{"format":' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}",
         "format is nested more than 100 levels deep"),
        (bodies.chat,
         b'{"tools":[{"function":{"parameters":{"properties":' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}}}]}",
         "tools is nested more than 100 levels deep"),
    ],
)  # fmt: skip
def test_a_bad_body_is_refused_in_the_words_of_go(decode: Callable[[bytes], object], body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        decode(body)
    assert error.value.message == message


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (b'"x"', ("x",)),
        (b'""', ()),
        (b"null", ()),
        (b"[]", ()),
        (b'["a","","b"]', ("a", "", "b")),
        (b"1", None),
        (b'["a",1]', None),
        (b"{}", None),
        (b"[null]", None),
    ],
)
def test_the_input_of_embed_is_texts_or_nothing_it_knows(value: bytes, texts: tuple[str, ...] | None) -> None:
    assert bodies.embed(b'{"input":' + value + b"}").input == texts


def test_name_stands_in_for_an_empty_model() -> None:
    assert bodies.show(b'{"model":"","name":"x"}').target == "x"
    assert bodies.delete(b'{"name":"x"}').target == "x"
    assert bodies.pull(b'{"model":"y","name":"x"}').target == "y"


def test_a_create_body_is_read() -> None:
    request = bodies.create(
        b'{"model":"n","from":"b","files":{"a.gguf":"sha256:1"},"license":"MIT","parameters":{"stop":["x"]},'
        b'"messages":[{"role":"user","content":"hi"}],"info":{"context_length":8,"other":1},"quantization":"Q4_K_M"}'
    )
    assert request == wire.CreateRequest(
        model="n",
        from_="b",
        files={"a.gguf": "sha256:1"},
        license=("MIT",),
        parameters={"stop": ["x"]},
        messages=(wire.Message(role="user", content="hi"),),
        info={"context_length": 8},
        quantization="Q4_K_M",
    )
    assert bodies.create(b'{"license":["a","b"]}').license == ("a", "b")
    assert bodies.create(b"{}").parameters is None
