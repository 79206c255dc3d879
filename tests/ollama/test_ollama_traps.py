"""What naive clones get wrong, a test a trap; 24 is in test_ollama_store_routes, 25 to 27 in test_ollama_compat_traps,
28 in test_ollama_origins, 29 with keys in test_ollama_keyed."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest

from hyperllama.errors import ContextTooLong, EngineFailed, LoadFailed, ModelNotFound, Overloaded, RateLimited
from hyperllama.generation import TokenChunk, ToolCallDelta

JSON = "application/json; charset=utf-8"
CHAT: dict[str, Any] = {"model": "llama3.2", "messages": [{"role": "user", "content": "hi"}]}
GENERATE: dict[str, Any] = {"model": "llama3.2", "prompt": "hi"}


def _error(reply: httpx.Response) -> tuple[int, str]:
    assert list(reply.json()) == ["error"]
    return reply.status_code, reply.json()["error"]


def _lines(reply: httpx.Response) -> list[dict[str, Any]]:
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.text.endswith("\n")
    return [json.loads(line) for line in reply.text[:-1].split("\n")]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("generate", 404, "model '' not found"),
        ("embed", 404, "model '' not found"),
        ("chat", 400, "model is required"),
        ("embeddings", 400, "model is required"),
        ("show", 400, "model is required"),
        ("push", 400, "model is required"),
        ("pull", 400, "invalid model name"),
        ("create", 400, "invalid model name"),
        ("copy", 400, 'source "" is invalid'),
    ],
)
@pytest.mark.parametrize("body", [b"{}", b"null", b'{"model":""}', b'{"model":"","name":""}'])
def test_trap_01_an_empty_model_has_an_answer_for_each_endpoint(
    http: httpx.Client, path: str, status: int, message: str, body: bytes
) -> None:
    assert _error(http.post(f"/api/{path}", content=body)) == (status, message)
    assert _error(http.post(f"/api/{path}", content=b" ")) == (400, "missing request body")
    assert _error(http.request("DELETE", "/api/delete", content=body)) == (400, "model is required")


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("generate", {"model": "Nope"}, "model 'Nope' not found"),
        ("chat", {"model": "Nope"}, "model 'Nope' not found"),
        ("embed", {"model": "Nope"}, 'model "Nope" not found, try pulling it first'),
        ("embeddings", {"model": "Nope"}, 'model "Nope" not found, try pulling it first'),
        ("show", {"model": "Nope"}, "model 'Nope:latest' not found"),
        ("show", {"model": "registry.ollama.ai/library/Nope:x"}, "model 'Nope:x' not found"),
    ],
)
def test_trap_02_a_missing_model_has_an_answer_for_each_endpoint(
    http: httpx.Client, path: str, body: dict[str, str], message: str
) -> None:
    assert _error(http.post(f"/api/{path}", json=body)) == (404, message)
    malformed = http.post(f"/api/{path}", json={"model": "../x"})
    assert _error(malformed) == (400, "invalid model name")


def test_trap_03_two_of_the_capability_errors_show_the_full_name(http: httpx.Client) -> None:
    embedder = {"model": "org/all-minilm:22M"}
    assert _error(http.post("/api/chat", json=embedder)) == (400, '"org/all-minilm:22M" does not support chat')
    assert _error(http.post("/api/generate", json=embedder)) == (400, '"org/all-minilm:22M" does not support generate')
    thinking = {**CHAT, "model": "LLAMA3.2", "think": True}
    assert _error(http.post("/api/chat", json=thinking)) == (400, '"LLAMA3.2" does not support thinking')
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert _error(http.post("/api/chat", json={**CHAT, "model": "qwen3", "tools": tools})) == (
        400,
        "registry.ollama.ai/library/qwen3:latest does not support tools",
    )
    assert _error(http.post("/api/generate", json={**GENERATE, "model": "qwen3", "suffix": "x"})) == (
        400,
        "registry.ollama.ai/library/qwen3:latest does not support insert",
    )


def test_trap_04_wrong_options_and_formats_are_500(http: httpx.Client) -> None:
    assert _error(http.post("/api/chat", json={**CHAT, "options": {"temperature": "x"}})) == (
        500,
        'option "temperature" must be of type float32',
    )
    assert _error(http.post("/api/generate", json={**GENERATE, "options": {"stop": "x"}})) == (
        500,
        'option "stop" must be of type array',
    )
    reply = http.post("/api/chat", json={**CHAT, "format": "yaml"})
    assert _error(reply) == (500, 'invalid format: "\\"yaml\\""; expected "json" or a valid JSON Schema object')
    assert rb'"invalid format: \"\\\"yaml\\\"\"; expected' in reply.content


def test_trap_05_a_full_queue_has_two_spaces(http: httpx.Client, gateway: Any) -> None:
    gateway.refusal = Overloaded("queue", retry_after=2.4)
    for stream in (True, False):
        reply = http.post("/api/chat", json={**CHAT, "stream": stream})
        assert _error(reply) == (503, "server busy, please try again.  maximum pending requests exceeded")
        assert reply.headers["retry-after"] == "3"


def test_trap_06_errors_before_the_first_token_keep_their_status_and_later_ones_end_the_stream(
    http: httpx.Client, gateway: Any
) -> None:
    gateway.script = [EngineFailed("worker died")]
    reply = http.post("/api/chat", json=CHAT)
    assert reply.headers["content-type"] == "application/json"
    assert _error(reply) == (500, "an error was encountered while running the model: worker died")
    whole = http.post("/api/chat", json={**CHAT, "stream": False})
    assert whole.headers["content-type"] == JSON
    assert _error(whole)[0] == 500

    gateway.script = [TokenChunk(text="Hi"), EngineFailed("worker died")]
    lines = _lines(http.post("/api/generate", json=GENERATE))
    assert lines[-1] == {"error": "an error was encountered while running the model: worker died"}
    assert [line["response"] for line in lines[:-1]] == ["Hi"]
    assert not any(line.get("done") for line in lines)


def test_trap_07_errors_are_never_empty_and_good_lines_have_none(http: httpx.Client, gateway: Any) -> None:
    assert all("error" not in line for line in _lines(http.post("/api/chat", json=CHAT)))
    gateway.refusal = RateLimited("", retry_after=7)
    reply = http.post("/api/chat", json=CHAT)
    assert _error(reply) == (429, "rate_limit_exceeded")
    assert reply.headers["retry-after"] == "7"


def test_trap_08_the_router_answers_in_text_and_head_is_rare(http: httpx.Client) -> None:
    missing = http.get("/api/nope")
    assert (missing.status_code, missing.text, missing.headers["content-type"]) == (
        404,
        "404 page not found",
        "text/plain",
    )
    wrong = http.post("/api/tags")
    assert (wrong.status_code, wrong.text, wrong.headers["content-type"]) == (
        405,
        "405 method not allowed",
        "text/plain",
    )
    assert wrong.headers["allow"] == "HEAD, GET"
    assert http.get("/api/blobs/x").headers["allow"] == "HEAD, POST"
    assert http.get("/api/chat").headers["allow"] == "POST"
    assert http.options("/api/tags").status_code == 405
    for path in ("/", "/api/version", "/api/tags"):
        assert http.head(path).status_code == 200
    for path in ("/api/ps", "/api/show", "/api/status", "/api/chat"):
        assert http.head(path).status_code == 405
    assert http.get("/").text == "Ollama is running"
    assert http.get("/").headers["content-type"] == "text/plain; charset=utf-8"
    slash = http.get("/api/tags/")
    assert (slash.status_code, slash.headers["location"]) == (301, "/api/tags")
    slash = http.post("/api/chat/?ts=1", json=CHAT)
    assert (slash.status_code, slash.headers["location"]) == (307, "/api/chat?ts=1")


def test_trap_09_streaming_is_the_default_and_null_means_it_too(http: httpx.Client) -> None:
    for stream in ({}, {"stream": None}, {"stream": True}):
        assert len(_lines(http.post("/api/chat", json={**CHAT, **stream}))) == 3
        assert len(_lines(http.post("/api/generate", json={**GENERATE, **stream}))) == 3
    whole = http.post("/api/chat", json={**CHAT, "stream": False})
    assert whole.headers["content-type"] == JSON
    assert whole.json()["message"]["content"] == "Hi there"


def test_trap_10_a_line_is_a_line_for_every_client(http: httpx.Client, gateway: Any) -> None:
    text = "a\u0085b\u2028c\u2029d\x0b\x0c\x1c\x1d\x1e\r\n<&>"
    gateway.says(text)
    reply = http.post("/api/chat", json=CHAT)
    assert len(reply.text.splitlines()) == 2
    assert "\n\n" not in reply.text
    assert _lines(reply)[0]["message"]["content"] == text
    assert "\\u003c\\u0026\\u003e" in reply.text


def test_trap_11_done_comes_once_and_last(http: httpx.Client, gateway: Any) -> None:
    gateway.says("a", "b", text="c", reasoning="")
    lines = _lines(http.post("/api/chat", json=CHAT))
    assert [line["done"] for line in lines] == [False, False, False, True]
    assert "".join(line["message"]["content"] for line in lines) == "abc"


@pytest.mark.parametrize("stream", [{}, {"stream": True}, {"stream": False}])
def test_trap_12_loading_and_unloading_answer_with_one_object(
    http: httpx.Client, gateway: Any, stream: dict[str, bool]
) -> None:
    reply = http.post("/api/generate", json={"model": "llama3.2", **stream})
    assert reply.headers["content-type"] == JSON
    assert not reply.text.endswith("\n")
    found = reply.json()
    assert found.pop("created_at").endswith("Z")
    assert found == {"model": "llama3.2", "response": "", "done": True, "done_reason": "load"}
    reply = http.post("/api/chat", json={"model": "llama3.2", "messages": [], "keep_alive": 0, **stream})
    assert reply.headers["content-type"] == JSON
    found = reply.json()
    del found["created_at"]
    assert found == {
        "model": "llama3.2",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "unload",
    }
    assert gateway.calls == [("load", "llama3.2", None), ("unload", "llama3.2")]
    assert gateway.asked == []


def test_trap_13_only_stream_lines_end_with_a_newline(http: httpx.Client) -> None:
    assert http.post("/api/chat", json=CHAT).text.endswith("}\n")
    for reply in (
        http.post("/api/chat", json={**CHAT, "stream": False}),
        http.get("/api/tags"),
        http.get("/api/ps"),
        http.get("/api/version"),
        http.post("/api/show", json={"model": "llama3.2"}),
        http.post("/api/show", json={"model": "nope"}),
        http.post("/api/embed", json={"model": "org/all-minilm:22m", "input": "x"}),
    ):
        assert reply.text.endswith("}")
        assert reply.headers["content-type"] == JSON


def test_trap_14_numbers_are_whole_and_zero_ones_are_left_out(http: httpx.Client, gateway: Any) -> None:
    last = _lines(http.post("/api/chat", json=CHAT))[-1]
    assert list(last) == [
        "model", "created_at", "message", "done", "done_reason", "total_duration", "load_duration",
        "prompt_eval_count", "prompt_eval_cached_count", "prompt_eval_duration", "eval_count", "eval_duration",
    ]  # fmt: skip
    assert all(type(last[key]) is int for key in last if key.endswith(("_count", "_duration")))
    gateway.says(usage=None, timings=None)
    last = _lines(http.post("/api/generate", json=GENERATE))[-1]
    assert list(last) == ["model", "created_at", "response", "done", "done_reason", "prompt_eval_cached_count"]


def test_trap_15_keep_alive_in_every_form(http: httpx.Client, gateway: Any) -> None:
    sent: str | float | None
    for sent in ("-1", "60"):
        reply = http.post("/api/generate", json={**GENERATE, "keep_alive": sent})
        assert _error(reply) == (400, f'time: missing unit in duration "{sent}"')
    for sent in ("0s", 0.0, -1.0, "2562047h47m16.854775807s", "5m0s", None):
        assert http.post("/api/generate", json={**GENERATE, "keep_alive": sent}).status_code == 200
    kept = [request.keep_alive for request in gateway.asked]
    assert kept == [0.0, 0.0, float("inf"), float("inf"), 300.0, None]  # None leaves it as it is: sticky


def test_trap_16_unloading_what_is_not_loaded_loads_nothing(http: httpx.Client, gateway: Any) -> None:
    reply = http.post("/api/generate", json={"model": "org/all-minilm:22m", "keep_alive": "0s"})
    assert (reply.status_code, reply.json()["done_reason"]) == (200, "unload")
    assert gateway.calls == [("unload", "org/all-minilm:22m")]


def test_trap_17_a_model_that_thinks_does_unless_told_not_to(http: httpx.Client, gateway: Any) -> None:
    for think in ({}, {"think": False}, {"think": "max"}, {"think": None}):
        assert http.post("/api/chat", json={**CHAT, "model": "qwen3", **think}).status_code == 200
    assert [request.reasoning for request in gateway.asked] == [True, False, "max", True]
    bare = http.post("/api/generate", json={"model": "llama3.2", "think": "low"})
    assert _error(bare) == (400, '"llama3.2" does not support thinking')
    gateway.script = [TokenChunk(reasoning="hm"), *gateway.script]
    lines = _lines(http.post("/api/chat", json={**CHAT, "model": "qwen3"}))
    assert lines[0]["message"] == {"role": "assistant", "content": "", "thinking": "hm"}


def test_trap_18_tool_calls_are_objects_with_an_index(http: httpx.Client, gateway: Any) -> None:
    deltas = (ToolCallDelta(0, '{"city":', id="", name="w"), ToolCallDelta(0, '"Paris"}'))
    gateway.script = [
        *(TokenChunk(tool_calls=(delta,)) for delta in deltas),
        TokenChunk(finish_reason="tool_calls", tokens=0),
    ]
    lines = _lines(http.post("/api/chat", json=CHAT))
    call = lines[0]["message"]["tool_calls"][0]
    assert list(call) == ["id", "function"]
    assert call["function"] == {"index": 0, "name": "w", "arguments": {"city": "Paris"}}
    assert (lines[-1]["done_reason"], "tool_calls" in lines[-1]["message"]) == ("stop", False)
    whole = http.post("/api/chat", json={**CHAT, "stream": False}).json()
    assert whole["message"]["tool_calls"][0]["function"] == call["function"]
    back = [
        *CHAT["messages"],
        {"role": "assistant", "tool_calls": [{"function": {"name": "w", "arguments": {"city": "Paris"}}}]},
        {"role": "tool", "tool_name": "w", "content": "mild"},
    ]
    assert http.post("/api/chat", json={**CHAT, "messages": back}).status_code == 200
    messages = gateway.asked[-1].input.messages
    assert messages[2].tool_call_id == messages[1].tool_calls[0].id


def test_trap_19_content_is_a_string_and_images_are_bare_base64(http: httpx.Client) -> None:
    parts = {**CHAT, "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
    assert _error(http.post("/api/chat", json=parts)) == (
        400,
        "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string",
    )
    url = {**GENERATE, "images": ["data:image/png;base64,AAAA"]}
    assert _error(http.post("/api/generate", json=url)) == (400, "illegal base64 data at input byte 4")


def test_trap_20_names_and_keys_in_any_case_and_the_clients_spelling_back(http: httpx.Client) -> None:
    reply = http.post("/api/chat", content=b'{"MODEL":" LLaMA3.2:Latest","Messages":[{"Role":"user","content":"x"}]}')
    assert _lines(reply)[0]["model"] == " LLaMA3.2:Latest"
    reply = http.post("/api/show", json={"model": "", "name": "LLAMA3.2"})
    assert reply.status_code == 200
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert http.post("/api/chat", content=json.dumps(CHAT) + "rest", headers=form).status_code == 200


def test_trap_21_context_is_on_the_last_templated_object_alone(http: httpx.Client, gateway: Any) -> None:
    gateway.script = [
        TokenChunk(text="Hi", token_ids=(7,)),
        TokenChunk(finish_reason="stop", token_ids=(8,), prompt_token_ids=(1, 2)),
    ]
    lines = _lines(http.post("/api/generate", json=GENERATE))
    assert ["context" in line for line in lines] == [False, True]
    assert lines[-1]["context"] == [1, 2, 7, 8]
    assert http.post("/api/generate", json={**GENERATE, "stream": False}).json()["context"] == [1, 2, 7, 8]
    assert "context" not in _lines(http.post("/api/generate", json={**GENERATE, "raw": True}))[-1]
    http.post("/api/generate", json={**GENERATE, "prompt": "and now", "context": [1, 2, 7, 8]})
    assert gateway.asked[-1].input.ids == (1, 2, 7, 8, 103, 103)  # the second beginning of text is gone


def test_trap_22_vectors(http: httpx.Client, gateway: Any) -> None:
    model = "org/all-minilm:22m"
    reply = http.post("/api/embed", json={"model": model, "input": ["a", "b"], "dimensions": 1})
    assert reply.text == (
        '{"model":"org/all-minilm:22m","embeddings":[[0.6,0.8]],"total_duration":14143917,"load_duration":1019500,'
        '"prompt_eval_count":8}'
    )
    asked = gateway.embedded[-1]
    assert (asked.inputs, asked.normalize, asked.dimensions, asked.truncate) == (("a", "b"), True, 1, True)
    for nothing in ({}, {"input": None}, {"input": ""}, {"input": []}):
        reply = http.post("/api/embed", json={"model": model, **nothing})
        assert reply.text == '{"model":"org/all-minilm:22m","embeddings":[]}'
    for wrong in (1, ["a", 2], {}):
        assert _error(http.post("/api/embed", json={"model": "", "input": wrong})) == (400, "invalid input type")
    assert http.post("/api/embeddings", json={"model": model, "prompt": "x"}).text == (
        '{"embedding":[0.6000000238418579,0.800000011920929]}'
    )
    assert gateway.embedded[-1].normalize is False
    assert http.post("/api/embeddings", json={"model": model}).text == '{"embedding":[]}'
    gateway.refusal = ContextTooLong("9 tokens, 8 fit")
    reply = http.post("/api/embed", json={"model": model, "input": "x", "truncate": False})
    assert _error(reply) == (400, "the input length exceeds the context length")
    gateway.refusal, gateway.vectors = None, (b"\x00\x00\xc0\x7f",)
    assert _error(http.post("/api/embed", json={"model": model, "input": "x"})) == (
        400,
        "embedding contains NaN or Inf values",
    )
    assert http.post("/api/embeddings", json={"model": model, "prompt": "x"}).status_code == 500


def test_trap_23_lists_and_cards(http: httpx.Client, gateway: Any) -> None:
    tags = http.get("/api/tags").json()["models"]
    assert [entry["name"] for entry in tags] == ["org/all-minilm:22m", "llama3.2:latest", "qwen3:latest", "held:latest"]
    assert all(len(entry["digest"]) == 64 and int(entry["digest"], 16) for entry in tags)
    assert http.get("/api/ps").text == '{"models":[]}'
    http.post("/api/generate", json={"model": "llama3.2"})
    assert [entry["name"] for entry in http.get("/api/ps").json()["models"]] == ["llama3.2:latest"]
    card = http.post("/api/show", json={"model": "llama3.2"}).json()
    assert card["model_info"]["llama.context_length"] == 4096
    assert card["parameters"].startswith('stop                           "<|eot_id|>"\n')
    gateway.infos = [msgspec.structs.replace(gateway.infos[0], metadata={}, parameters={})]
    card = http.post("/api/show", json={"model": "llama3.2"}).json()
    assert card["model_info"]
    assert "parameters" not in card
    copilot = {"user-agent": "GitHubCopilotChat/0.30"}
    card = http.post("/api/show", json={"model": "Llama3.2"}, headers=copilot).json()
    assert card["model_info"]["general.basename"] == "Llama3.2"


def test_trap_29_foreign_authorization_headers_are_no_obstacle(http: httpx.Client) -> None:
    for value in ("Bearer key", "c3NoLWVk:c2ln", "Basic dTpw", ""):
        reply = http.post("/api/chat?ts=1767323045", json=CHAT, headers={"authorization": value})
        assert reply.status_code == 200


def test_a_model_that_will_not_load_is_a_500(http: httpx.Client, gateway: Any) -> None:
    gateway.refusal = LoadFailed("out of memory")
    for body in ({"model": "llama3.2"}, GENERATE):
        assert _error(http.post("/api/generate", json=body)) == (500, "failed to load model: out of memory")


def test_a_model_that_goes_away_meanwhile_is_a_404(http: httpx.Client, gateway: Any) -> None:
    gateway.refusal = ModelNotFound("model 'llama3.2' not found")
    assert _error(http.post("/api/chat", json=CHAT)) == (404, "model 'llama3.2' not found")
