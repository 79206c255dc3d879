"""What a client meets on the wire, whole answers and small routes."""

from __future__ import annotations

import asyncio
import base64
import struct

import httpx

from hyperllama.errors import Overloaded

CHAT = {"model": "org/tiny", "messages": [{"role": "user", "content": "Hi"}]}


async def test_models_list_every_served_name_with_a_time_that_does_not_change(http: httpx.AsyncClient) -> None:
    body = (await http.get("/v1/models")).json()
    assert [model["id"] for model in body["data"]] == ["org/tiny", "tiny"]
    assert body["object"] == "list"
    assert body["data"][1] == {
        "id": "tiny",
        "created": 1_700_000_000,
        "owned_by": "hyperllama",
        "root": "org/tiny",
        "parent": None,
        "max_model_len": 1024,
        "object": "model",
        "type": "model",
        "display_name": "tiny",
        "created_at": "2023-11-14T22:13:20Z",
    }
    assert (body["has_more"], body["first_id"], body["last_id"]) == (False, "org/tiny", "tiny")


async def test_a_model_id_with_a_slash_is_found_raw_and_escaped(http: httpx.AsyncClient) -> None:
    for path in ("/v1/models/org/tiny", "/v1/models/org%2Ftiny", "/models/org/tiny", "/v1/models/org/tiny/"):
        reply = await http.get(path)
        assert (reply.status_code, reply.json().get("id")) == (200, "org/tiny"), path


async def test_an_unknown_model_is_404_with_code_and_param(http: httpx.AsyncClient) -> None:
    for reply in (
        await http.get("/v1/models/org/huge"),
        await http.post("/v1/chat/completions", json={**CHAT, "model": "org/huge"}),
        await http.post("/v1/completions", json={"model": "org/huge", "prompt": "x"}),
        await http.post("/v1/embeddings", json={"model": "org/huge", "input": "x"}),
        await http.post("/tokenize", json={"model": "org/huge", "prompt": "x"}),
    ):
        assert reply.status_code == 404
        error = reply.json()["error"]
        assert (error["code"], error["param"], error["type"]) == ("model_not_found", "model", "invalid_request_error")
        assert set(error) == {"message", "type", "param", "code"}


async def test_a_whole_chat_has_every_required_key(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/chat/completions", json=CHAT)
    body = reply.json()
    assert body.pop("id").startswith("chatcmpl-")
    assert isinstance(body.pop("created"), int)
    assert body == {
        "object": "chat.completion",
        "model": "org/tiny",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 2,
            "completion_tokens": 3,
            "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "system_fingerprint": None,
    }
    assert int(reply.headers["openai-processing-ms"]) >= 0
    assert reply.headers["content-type"] == "application/json"


async def test_the_root_aliases_answer_like_the_v1_paths(http: httpx.AsyncClient) -> None:
    chat = await http.post("/chat/completions", json=CHAT)
    assert chat.json()["choices"][0]["message"]["content"] == "Hello there."
    text = await http.post("/completions", json={"model": "tiny", "prompt": "Hi"})
    assert text.json()["choices"][0]["text"] == "Hello there."
    assert (await http.post("/embeddings", json={"model": "tiny", "input": "Hi"})).status_code == 200


async def test_an_unknown_path_is_404_in_the_envelope(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/foo", json={})
    assert reply.status_code == 404
    assert reply.json() == {
        "error": {"message": "Invalid URL (/v1/foo)", "type": "invalid_request_error", "param": None, "code": None}
    }


async def test_a_wrong_method_is_405_and_says_which_are_right(http: httpx.AsyncClient) -> None:
    reply = await http.get("/v1/embeddings")
    assert reply.status_code == 405
    assert reply.json()["error"]["code"] == "method_not_supported"
    assert "POST" in reply.headers["allow"]


async def test_base64_embeddings_are_little_endian_float32(http: httpx.AsyncClient) -> None:
    body = {"model": "tiny", "input": ["ab", "c"], "encoding_format": "base64"}
    reply = (await http.post("/v1/embeddings", json=body)).json()
    assert [each["index"] for each in reply["data"]] == [0, 1]
    assert struct.unpack("<4f", base64.b64decode(reply["data"][0]["embedding"])) == (0.5, -1.25, 2.0, 2.0)
    assert reply["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


async def test_embeddings_are_numbers_unless_base64_is_asked_for(http: httpx.AsyncClient) -> None:
    reply = (await http.post("/v1/embeddings", json={"model": "tiny", "input": [72, 105], "dimensions": 2})).json()
    assert reply["data"] == [{"index": 0, "embedding": [0.5, -1.25], "object": "embedding"}]


async def test_tokenize_and_detokenize_are_inverse(http: httpx.AsyncClient) -> None:
    body = {"model": "tiny", "prompt": "Hi", "return_token_strs": True}
    assert (await http.post("/tokenize", json=body)).json() == {
        "count": 2,
        "max_model_len": 1024,
        "tokens": [72, 105],
        "token_strs": ["H", "i"],
    }
    reply = await http.post("/v1/detokenize", json={"model": "tiny", "tokens": [72, 105]})
    assert reply.json() == {"prompt": "Hi", "content": "Hi"}
    chat = await http.post("/tokenize", json={"model": "tiny", "messages": CHAT["messages"]})
    assert chat.json()["count"] == 2
    tool = {"type": "function", "function": {"name": "f"}}
    offered = await http.post("/tokenize", json={"model": "tiny", "messages": CHAT["messages"], "tools": [tool]})
    assert offered.json()["count"] > 2


async def test_prompts_times_n_are_numbered_prompt_by_prompt(http: httpx.AsyncClient, fake) -> None:
    body = {"model": "tiny", "prompt": ["a", "bb"], "n": 2, "seed": 7}
    reply = (await http.post("/v1/completions", json=body)).json()
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2, 3]
    assert reply["usage"]["prompt_tokens"] == 3
    assert reply["usage"]["completion_tokens"] == 12
    assert [(request.input.text, request.sampling.seed) for request in fake.requests] == [
        ("a", 7),
        ("a", 8),
        ("bb", 7),
        ("bb", 8),
    ]


async def test_more_choices_than_places_do_not_wait_for_each_other(http: httpx.AsyncClient, fake) -> None:
    fake.places = asyncio.Semaphore(1)
    whole = await http.post("/v1/chat/completions", json={**CHAT, "n": 4})
    assert len(whole.json()["choices"]) == 4
    stream = await http.post("/v1/chat/completions", json={**CHAT, "n": 4, "stream": True})
    assert stream.text.count('"finish_reason":"stop"') == 4
    assert stream.text.endswith("data: [DONE]\n\n")
    assert fake.open == 0


async def test_echo_puts_the_prompt_first_and_zero_tokens_only_count_it(http: httpx.AsyncClient) -> None:
    echoed = await http.post("/v1/completions", json={"model": "tiny", "prompt": [72, 105], "echo": True})
    assert echoed.json()["choices"][0]["text"] == "HiHello there."
    body = {"model": "tiny", "prompt": "Hi", "echo": True, "max_tokens": 0}
    none = (await http.post("/v1/completions", json=body)).json()
    assert none["choices"][0] == {"index": 0, "text": "Hi", "logprobs": None, "finish_reason": "length"}
    assert none["usage"]["total_tokens"] == 2
    stream = await http.post("/v1/completions", json={**body, "stream": True})
    assert '"text":"Hi"' in stream.text
    assert '"finish_reason":"length"' in stream.text
    assert stream.text.endswith("data: [DONE]\n\n")


async def test_a_client_that_leaves_gives_every_choice_back(http: httpx.AsyncClient, base_url: str, fake) -> None:
    fake.hold = asyncio.Event()
    for stream in (False, True):
        async with httpx.AsyncClient(base_url=base_url) as leaving:
            asking = asyncio.create_task(leaving.post("/v1/chat/completions", json={**CHAT, "n": 3, "stream": stream}))
            await fake.until_open(3)
            asking.cancel()
            await asyncio.wait([asking])
        await fake.until_open(0)
        assert len(fake.requests) == (6 if stream else 3)


async def test_one_refused_choice_gives_the_others_back(http: httpx.AsyncClient, fake) -> None:
    for stream in (False, True):
        fake.requests.clear()
        fake.admits, fake.refusal = 2, Overloaded("The queue is full.", retry_after=1)
        reply = await http.post("/v1/chat/completions", json={**CHAT, "n": 3, "stream": stream})
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "overloaded")
        await fake.until_open(0)
        assert len(fake.requests) == 3


async def test_the_text_of_an_overflow_is_what_clients_look_for(http: httpx.AsyncClient, fake, too_long) -> None:
    fake.refusal = too_long
    for path, body, param in (
        ("/v1/chat/completions", CHAT, "messages"),
        ("/v1/chat/completions", {**CHAT, "stream": True}, "messages"),
        ("/v1/completions", {"model": "tiny", "prompt": "x"}, "prompt"),
        ("/v1/embeddings", {"model": "tiny", "input": "x"}, "input"),
    ):
        reply = await http.post(path, json=body)
        error = reply.json()["error"]
        assert (reply.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", param)
        for phrase in ("this model's maximum context length is", "prompt is too long", "context_length_exceeded"):
            assert phrase in error["message"].lower()
