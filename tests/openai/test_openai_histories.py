"""Conversations that were begun elsewhere: what other tools left in them, thoughts, documents, images in results."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from openai.types.responses import Response

from hyperllama.generation import TokenChunk, Usage
from hyperllama.messages import Image
from hyperllama.spi import KeptFile, UnknownFile
from hyperllama.testing.fakes import FakeGateway, model_info
from hyperllama_openai import opaque
from tests.web.test_documents import pdf

USER = {"role": "user", "content": "x"}
END = TokenChunk(tokens=0, finish_reason="stop", usage=Usage(1, 1))

#: Items of tools that ran elsewhere, and words that the model must or must not see.
HOSTED: list[tuple[dict[str, Any], str]] = [
    ({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}, "q"),
    ({"type": "web_search_call", "id": "ws_1", "status": "completed"}, "Searched"),
    ({"type": "web_search_call", "id": "ws_1", "action": {"type": "open_page", "url": "https://u"}}, "https://u"),
    ({"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["q"], "results": None}, "q"),
    (
        {"type": "file_search_call", "id": "f", "queries": ["q"], "results": [{"filename": "n.txt", "text": "rain"}]},
        "rain",
    ),
    (
        {
            "type": "code_interpreter_call",
            "id": "ci_1",
            "code": "print(6*7)",
            "container_id": "c",
            "status": "completed",
            "outputs": [{"type": "logs", "logs": "42"}, {"type": "image", "url": "u"}],
        },
        "42",
    ),
    ({"type": "code_interpreter_call", "id": "ci_1", "code": None, "outputs": None}, "Ran code"),
    ({"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="}, "image"),
    ({"type": "mcp_call", "id": "m", "name": "f", "server_label": "s", "arguments": "{}", "output": "rain"}, "rain"),
    (
        {
            "type": "mcp_call",
            "id": "m",
            "name": "f",
            "server_label": "s",
            "arguments": "{}",
            "error": {"type": "x", "message": "boom"},
        },
        "boom",
    ),
    ({"type": "mcp_list_tools", "id": "m", "server_label": "s", "tools": [{"name": "f", "input_schema": {}}]}, ""),
    ({"type": "mcp_approval_request", "id": "m", "name": "f", "server_label": "s", "arguments": "{}"}, "f"),
    ({"type": "mcp_approval_response", "approval_request_id": "m", "approve": True}, ""),
    ({"type": "compaction", "id": "cmp_1", "encrypted_content": "abc"}, ""),
    ({"type": "compaction_trigger"}, ""),
    ({"type": "additional_tools", "role": "developer", "tools": []}, ""),
    ({"type": "tool_search_call", "execution": "server", "call_id": None, "arguments": {"paths": ["a"]}}, ""),
    ({"type": "tool_search_output", "execution": "server", "call_id": None, "tools": []}, ""),
    ({"type": "program", "id": "p", "call_id": "c", "code": "x", "fingerprint": "f"}, ""),
    ({"type": "program_output", "id": "p", "call_id": "c", "result": "x", "status": "completed"}, ""),
    ({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABforeign"}, ""),
]


async def test_f12_items_of_tools_that_ran_elsewhere_are_skipped_or_told(
    http: httpx.AsyncClient, fake: FakeGateway
) -> None:
    for item, words in HOSTED:
        said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It rains."}]}
        for items in ([USER, item, USER], [USER, item, said, USER], [USER, said, item, USER]):
            reply = await http.post("/v1/responses", json={"model": "tiny", "input": items})
            assert reply.status_code == 200, (item, reply.text)
            messages = fake.requests[-1].input.messages
            assert words in "".join(message.text for message in messages if message.role == "assistant")
            if items[1] is item and len(items) == 4:  # a note stands before what was said: one turn
                assert [message.role for message in messages] == ["user", "assistant", "user"]
                assert messages[1].text.endswith("It rains.")
    # They are stored as they came, and read back.
    made = (await http.post("/v1/responses", json={"model": "tiny", "input": [USER, HOSTED[0][0], USER]})).json()
    listed = (await http.get(f"/v1/responses/{made['id']}/input_items?order=asc")).json()["data"]
    assert listed[1] == HOSTED[0][0]


@pytest.mark.parametrize("summary", [None, "auto"])
async def test_f17_thoughts_come_back_sealed_and_are_read_again(
    http: httpx.AsyncClient, fake: FakeGateway, summary: str | None
) -> None:
    fake.answer = lambda _: [TokenChunk(reasoning="hm, "), TokenChunk(reasoning="é😀"), TokenChunk(text="a"), END]
    asked = {
        "model": "tiny",
        "input": "Hi",
        "store": False,
        "reasoning": {"summary": summary},
        "include": ["reasoning.encrypted_content"],
    }
    reply = await http.post("/v1/responses", json=asked)
    Response.model_validate_json(reply.content, strict=True)
    thought, message = reply.json()["output"]
    stream = await http.post("/v1/responses", json={**asked, "stream": True})
    events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
    assert events[-1]["response"]["output"][0]["encrypted_content"] == thought["encrypted_content"]
    # As the AI SDK hands it back: without the plain text.
    bare = {"type": "reasoning", "id": thought["id"], "summary": [], "encrypted_content": thought["encrypted_content"]}
    more = await http.post("/v1/responses", json={**asked, "input": [USER, bare, message, USER]})
    assert more.status_code == 200
    assert fake.requests[-1].input.messages[1].reasoning == "hm, é😀"
    without = await http.post("/v1/responses", json={**asked, "include": []})
    assert without.json()["output"][0]["encrypted_content"] is None


@pytest.mark.parametrize("text", ["", "hm", "é😀\ud800", "x" * 100_000])
def test_f17_only_our_own_seal_is_read(text: str) -> None:
    sealed = opaque.seal(text)
    assert opaque.unseal(sealed) == text
    for other in (
        None,
        "",
        "hlt1.",
        sealed[:-5],
        sealed[5:],
        sealed.replace("hlt1", "hlt2"),
        "hlt1.é",
        sealed + "AAAA",
    ):
        assert opaque.unseal(other) is None or text == ""


async def test_f21_an_image_in_a_tools_result_is_a_line_for_a_model_without_eyes(
    http: httpx.AsyncClient, fake: FakeGateway
) -> None:
    url = "data:image/png;base64,aGk="
    call = {"type": "function_call", "call_id": "c", "name": "view", "arguments": "{}"}
    output = {
        "type": "function_call_output",
        "call_id": "c",
        "output": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": url}],
    }
    asked = {"model": "tiny", "input": [USER, call, output]}
    assert (await http.post("/v1/responses", json=asked)).status_code == 200
    assert fake.requests[-1].input.messages[-1].text == "a[An image was here. This model cannot see images.]"
    chat = [
        USER,
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "view", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "image_url", "image_url": {"url": url}}]},
    ]
    assert (await http.post("/v1/chat/completions", json={"model": "tiny", "messages": chat})).status_code == 200
    assert "An image was here" in fake.requests[-1].input.messages[-1].text
    user = {"role": "user", "content": [{"type": "input_image", "image_url": url}]}
    refused = await http.post("/v1/responses", json={"model": "tiny", "input": [user]})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input")  # F16: not "messages"
    fake._models = (model_info("seer"),)
    assert (await http.post("/v1/responses", json={**asked, "model": "seer"})).status_code == 200
    assert fake.requests[-1].input.messages[-1].parts[1] == Image(b"hi")


async def test_f19_a_hundred_images_are_taken(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    fake._models = (model_info("seer"),)
    for number, status in ((100, 200), (101, 400)):
        parts = [{"type": "input_image", "image_url": "data:image/png;base64,aGk="}] * number
        body = {"model": "seer", "input": [{"role": "user", "content": parts}]}
        assert (await http.post("/v1/responses", json=body)).status_code == status


class Shelf:
    """The files of a gateway, in memory."""

    def __init__(self, **files: bytes) -> None:
        self._files = files

    async def get(self, id: str, principal: object) -> KeptFile:
        if id not in self._files:
            raise UnknownFile(id)
        data = self._files[id]
        return KeptFile(
            id=id, owner="", purpose="user_data", filename=f"{id}.txt", bytes=len(data), created=0, expires=None
        )

    async def read(self, file: KeptFile) -> AsyncGenerator[bytes, None]:
        yield self._files[file.id][:2]
        yield self._files[file.id][2:]


def data_url(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


GREEN = b"The sky is gr\xc3\xbcn."
FILES: list[tuple[dict[str, str], str]] = [
    ({"file_data": data_url(GREEN, "text/plain"), "filename": "a.txt"}, 'Document "a.txt":\nThe sky is grün.'),
    ({"file_data": data_url(GREEN, "text/markdown;charset=utf-8")}, "The sky is grün."),
    ({"file_data": data_url(b'{"a":1}', "application/json")}, '{"a":1}'),
    ({"file_data": "data:text/plain,The%20sky"}, "The sky"),
    ({"file_data": base64.b64encode(GREEN).decode()}, "The sky is grün."),
    ({"file_data": data_url(pdf("The sky"), "application/pdf"), "filename": "a.pdf"}, 'Document "a.pdf":\nThe sky'),
    ({"file_data": data_url(b"PK\x03\x04", "application/zip"), "filename": "a.zip"}, "could not be read"),
    ({"file_id": "notes"}, 'Document "notes.txt":\nThe sky is grün.'),
]


async def test_f10_documents_are_text_wherever_they_stand(
    http: httpx.AsyncClient, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeGateway, "files", Shelf(notes=GREEN, image=b"hi"))
    call = {"type": "function_call", "call_id": "c", "name": "read", "arguments": "{}"}
    for file, text in FILES:
        part = {"type": "input_file", **file}
        said = {"role": "user", "content": [part, {"type": "input_text", "text": "?"}]}
        output = {"type": "function_call_output", "call_id": "c", "output": [part]}
        custom = {"type": "custom_tool_call_output", "call_id": "c", "output": [part]}
        for items in ([said], [USER, call, output], [USER, {**call, "type": "custom_tool_call"}, custom]):
            reply = await http.post("/v1/responses", json={"model": "tiny", "input": items})
            assert reply.status_code == 200, (file, reply.text)
            assert text in fake.requests[-1].input.messages[-1].text
        parts = [{"type": "file", "file": file}, {"type": "text", "text": "?"}]
        for message in ({"role": "user", "content": parts}, {"role": "tool", "tool_call_id": "c", "content": parts}):
            reply = await http.post("/v1/chat/completions", json={"model": "tiny", "messages": [USER, message]})
            assert reply.status_code == 200, (file, reply.text)
            assert text in fake.requests[-1].input.messages[-1].text
    # What was read is stored as the text that it is: the file may be gone when the conversation goes on.
    made = (await http.post("/v1/responses", json={"model": "tiny", "input": [said]})).json()
    monkeypatch.setattr(FakeGateway, "files", Shelf())
    more = {"model": "tiny", "input": "and?", "previous_response_id": made["id"]}
    assert (await http.post("/v1/responses", json=more)).status_code == 200


async def test_f10_an_image_by_id_is_seen(
    http: httpx.AsyncClient, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeGateway, "files", Shelf(image=b"hi"))
    fake._models = (model_info("seer"),)
    user = {"role": "user", "content": [{"type": "input_image", "file_id": "image", "detail": "auto"}]}
    assert (await http.post("/v1/responses", json={"model": "seer", "input": [user]})).status_code == 200
    assert fake.requests[-1].input.messages[0].parts == (Image(b"hi"),)


async def test_f10_files_that_cannot_be_had_are_refused_by_name(
    http: httpx.AsyncClient, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeGateway, "files", Shelf())
    for file, status, param in (
        ({}, 400, "input[0].content[0].file_data"),
        ({"file_data": "data:text/plain;base64"}, 400, "input[0].content[0].file_data"),
        ({"file_data": "data:text/plain;base64,?"}, 400, "input[0].content[0].file_data"),
        ({"file_data": "?"}, 400, "input[0].content[0].file_data"),
        ({"file_url": "https://x.example/a.txt"}, 400, "input[0].content[0].file_url"),
        ({"file_id": "unknown"}, 404, "id"),
    ):
        user = {"role": "user", "content": [{"type": "input_file", **file}]}
        reply = await http.post("/v1/responses", json={"model": "tiny", "input": [user]})
        assert (reply.status_code, reply.json()["error"]["param"]) == (status, param), reply.text
    chat = [{"role": "user", "content": [{"type": "file"}]}]
    reply = await http.post("/v1/chat/completions", json={"model": "tiny", "messages": chat})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "messages[0].content[0].file")


async def test_f16_the_param_of_an_object_is_the_object(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/responses", json={"model": "tiny", "input": "x", "metadata": {"a": 1}})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "metadata")
    assert "[...]" not in reply.text


async def test_f20_a_remote_tokenizer_finds_what_it_needs(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    (info,) = fake._models
    known = {"eos_token_id": [65, 66], "bos_token_id": 67, "pad_token_id": None}
    fake._models = (
        model_info("tiny", vocab_size=1000, template="{{ x }}", metadata=known),
        model_info("e", capabilities=frozenset({"embedding"})),
    )
    for query in ("", "?model=tiny"):
        for path in ("/tokenizer_info", "/v1/tokenizer_info"):
            assert (await http.get(path + query)).json() == {
                "model": "tiny",
                "model_max_length": 4096,
                "vocab_size": 1000,
                "bos_token": "C",
                "eos_token": "A",
                "pad_token": None,
                "chat_template": "{{ x }}",
            }
    tokens = (await http.post("/tokenize", json={"prompt": "ab", "add_special_tokens": False})).json()["tokens"]
    assert tokens == [97, 98]
    assert (await http.post("/detokenize", json={"tokens": tokens})).json()["prompt"] == "ab"
    assert (await http.get("/tokenizer_info?model=gone")).status_code == 404
    fake._models = (info, model_info("other"))
    for reply in (await http.get("/tokenizer_info"), await http.post("/tokenize", json={"prompt": "ab"})):
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "model")
