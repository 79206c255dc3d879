"""Conversations that began elsewhere go on here: blocks and tools of Anthropic's own are read or refused."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import httpx
import pytest

from hyperllama.errors import InvalidRequest, UnsupportedFeature
from hyperllama.generation import AnyTool, GenerationRequest, NamedTool
from hyperllama.messages import Chat, Image, Message
from hyperllama.testing.fakes import model_info
from hyperllama.web import BodyReader
from hyperllama_anthropic.decode import messages as decode
from hyperllama_anthropic.errors import BodyRefusals
from hyperllama_anthropic.wire import MessagesRequest
from tests.web.test_documents import pdf

convert = BodyReader(BodyRefusals()).convert

HI = {"role": "user", "content": "Hi"}
TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
PNG = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"\x89PNG").decode()}
BLIND = model_info("claude", capabilities=frozenset({"completion", "chat", "tools"}))


def ask(body: dict[str, Any], info: Any = None) -> GenerationRequest:
    whole = {"model": "claude", "max_tokens": 9, "messages": [HI], **body}
    return decode.message(convert(whole, MessagesRequest, strict=False), info or model_info("claude"))


def messages(*turns: Any, info: Any = None, **more: Any) -> tuple[Message, ...]:
    found = ask({"messages": list(turns), **more}, info).input
    assert isinstance(found, Chat)
    return found.messages


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def result(content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}


def spelled(found: tuple[Message, ...]) -> list[str]:
    return [
        f"{message.role[0]}:{message.text}" + "".join(f"({call.name} {call.arguments})" for call in message.tool_calls)
        for message in found
    ]


CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}


# --- F13 --------------------------------------------------------------------------------------------------------------


def test_f13_turns_of_one_role_are_one_turn() -> None:
    found = messages(
        HI, {"role": "user", "content": "again"}, assistant(text("a")), assistant(text("b")), user(text("c"))
    )
    assert spelled(found) == ["u:Hi\n\nagain", "a:a\n\nb", "u:c"]
    found = messages(HI, assistant(CALL), user(result("42")), user(text("and?")), user(text("so?")))
    assert spelled(found) == ["u:Hi", "a:(f {})", "t:42", "u:and?\n\nso?"]


# --- F5, F11: tools ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [129, 1500, 4096])
def test_f05_agents_offer_as_many_tools_as_their_servers_have(count: int) -> None:
    assert len(ask({"tools": [{**TOOL, "name": f"tool_{number}"} for number in range(count)]}).tools) == count


async def test_f05_more_than_the_body_may_hold_is_refused_with_the_bound(http: httpx.AsyncClient) -> None:
    body = {"model": "claude", "max_tokens": 9, "messages": [HI], "tools": [TOOL] * 4097}
    reply = await http.post("/v1/messages", json=body)
    assert (reply.status_code, "4096" in reply.json()["error"]["message"]) == (400, True)


CLIENT_RUN = {
    "bash_20241022": ("bash", "command"),
    "bash_20250124": ("bash", "command"),
    "bash_20991231": ("bash", "command"),
    "text_editor_20241022": ("str_replace_editor", "path"),
    "text_editor_20250728": ("str_replace_based_edit_tool", "old_str"),
    "memory_20250818": ("memory", "new_path"),
    "computer_20250124": ("computer", "coordinate"),
    "computer_20251124": ("computer", "region"),
}


@pytest.mark.parametrize(("type_", "name", "argument"), [(type_, *rest) for type_, rest in CLIENT_RUN.items()])
def test_f11_tools_that_the_client_runs_have_their_known_schemas(type_: str, name: str, argument: str) -> None:
    tool = {"type": type_, "name": name, "display_width_px": 800, "display_height_px": 600, "max_characters": 9}
    request = ask({"tools": [tool], "tool_choice": {"type": "tool", "name": name}})
    (spec,) = request.tools
    assert (spec.name, request.tool_choice) == (name, NamedTool(name))
    assert argument in spec.parameters["properties"]
    assert ("800" in spec.description) == type_.startswith("computer")


SERVER_RUN: list[dict[str, Any]] = [
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    {"type": "web_search_20260209", "name": "web_search"},
    {"type": "web_fetch_20250910", "name": "web_fetch"},
    {"type": "code_execution_20250825", "name": "code_execution"},
    {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
    {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
    {"type": "mcp_toolset", "mcp_server_name": "x"},
    {"type": "some_new_tool_20270101", "name": "new"},
]


@pytest.mark.parametrize("tool", SERVER_RUN, ids=lambda tool: tool["type"])
def test_f11_a_tool_that_only_anthropic_runs_is_never_answered_by_invention(tool: dict[str, Any]) -> None:
    for refused in (
        {"tools": [tool]},
        {"tools": [tool], "tool_choice": {"type": "any"}},
        {"tools": [TOOL, tool], "tool_choice": {"type": "tool", "name": tool.get("name", "x")}},
    ):
        with pytest.raises(InvalidRequest) as caught:
            ask(refused)
        if "name" in tool:
            assert tool["type"] in caught.value.message
            assert "Anthropic's servers" in caught.value.message
    assert [spec.name for spec in ask({"tools": [TOOL, tool]}).tools] == ["f"]
    assert ask({"tools": [TOOL, tool], "tool_choice": {"type": "any"}}).tool_choice == AnyTool()
    assert ask({"tools": [tool], "tool_choice": {"type": "none"}}).tools == ()


async def test_f11_a_tool_that_is_left_out_is_named_in_a_header(http: httpx.AsyncClient) -> None:
    body = {"model": "claude", "max_tokens": 9, "messages": [HI], "tools": [TOOL, *SERVER_RUN[:2], SERVER_RUN[0]]}
    reply = await http.post("/v1/messages", json=body)
    assert reply.headers["x-hyperllama-tools-left-out"] == "web_search_20250305, web_search_20260209"
    reply = await http.post("/v1/messages", json={**body, "tools": [TOOL]})
    assert "x-hyperllama-tools-left-out" not in reply.headers
    many = [{"type": f"web_search_{n}", "name": f"w{n}"} for n in range(500)]
    reply = await http.post("/v1/messages", json={**body, "tools": [TOOL, *many]})
    assert reply.headers["x-hyperllama-tools-left-out"] == ", ".join(f"web_search_{n}" for n in range(16))


def test_f11_a_function_without_a_name_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidRequest, match=r"^tools\.0\.name: Field required"):
        ask({"tools": [{"input_schema": {}}]})


# --- F6, F10: blocks that are text ------------------------------------------------------------------------------------

SOURCES: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "media_type": "text/plain", "data": "The sky is green."},
    "content": {"type": "content", "content": [text("The sky"), text("is green.")]},
    "string": {"type": "content", "content": "The sky is green."},
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("inside", [False, True])
def test_f10_a_document_of_text_is_text(source: dict[str, Any], inside: bool) -> None:
    document = {"type": "document", "source": source, "title": "t", "context": "c", "citations": {"enabled": True}}
    turn = user(result([document, text("q")])) if inside else user(document, text("q"))
    found = messages(HI, assistant(CALL), turn)[-1]
    assert found.role == ("tool" if inside else "user")
    assert found.text.replace("\n", " ") == 'Document "t": c The sky is green.  q'


@pytest.mark.parametrize("inside", [False, True])
def test_f10_a_search_result_is_text(inside: bool) -> None:
    block: dict[str, Any] = {
        "type": "search_result",
        "source": "https://x",
        "title": "t",
        "content": [text("The sky is green.")],
    }
    block["citations"] = {"enabled": True}
    turn = user(result([block])) if inside else user(block, text("q"))
    found = messages(HI, assistant(CALL), turn)[-1]
    assert found.text == 'Search result "t" (https://x):\nThe sky is green.' + ("" if inside else "\n\nq")


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("source", [{"type": "url", "url": "https://x/a.pdf"}, {"type": "file", "file_id": "file_1"}])
def test_f10_a_document_elsewhere_is_refused_by_a_sentence(source: dict[str, Any], inside: bool) -> None:
    document = {"type": "document", "source": source}
    with pytest.raises(UnsupportedFeature, match="fetches no documents") as caught:
        messages(user(result([document])) if inside else user(document))
    assert caught.value.param == f"messages.0.content.0{'.content.0' if inside else ''}.source.type"


async def test_f10_a_document_in_base64_is_read_before_the_model_sees_it(http: httpx.AsyncClient, script: Any) -> None:
    pytest.importorskip("pypdf")
    whole = base64.b64encode(pdf("The sky is green")).decode()
    paper: dict[str, Any] = {
        "type": "document",
        "title": "p",
        "source": {"type": "base64", "media_type": "application/pdf"},
    }
    paper["source"]["data"] = whole
    note: dict[str, Any] = {
        "type": "document",
        "source": {"type": "base64", "media_type": "text/plain", "data": "cGxhaW4="},
    }
    body: dict[str, Any] = {
        "model": "claude",
        "max_tokens": 9,
        "messages": [HI, assistant(CALL), user(result([paper]), note)],
    }
    reply = await http.post("/v1/messages", json=body)
    assert reply.status_code == 200, reply.text
    *_, tool, last = script.asked.input.messages
    assert tool.text.startswith('Document "p":\n')
    assert "The sky is green" in tool.text
    assert last.text == "plain"
    note["source"]["data"] = "?"
    reply = await http.post("/v1/messages", json=body)
    assert "messages.2.content.1.source.data: not valid base64" in reply.json()["error"]["message"]


def test_f06_a_reference_to_a_tool_is_its_name() -> None:
    references = [{"type": "tool_reference", "tool_name": name} for name in ("mcp__many__a", "mcp__many__b")]
    tools = [{**TOOL, "name": "mcp__many__a", "defer_loading": True}]
    found = messages(HI, assistant(CALL), user(result(references)), tools=tools)
    assert spelled(found)[-1] == "t:Tool: mcp__many__a\n\nTool: mcp__many__b"


# --- F12: what other servers' tools left ------------------------------------------------------------------------------


def use(type_: str, name: str, **given: Any) -> dict[str, Any]:
    return {"type": type_, "id": "srvtoolu_1", "name": name, "input": given}


def left(type_: str, content: Any) -> dict[str, Any]:
    return {"type": type_, "tool_use_id": "srvtoolu_1", "content": content}


LEFT: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "web_search": (
        use("server_tool_use", "web_search", query="x"),
        left(
            "web_search_tool_result",
            [{"type": "web_search_result", "title": "W", "url": "https://w", "encrypted_content": "zzz"}],
        ),
        "W\nhttps://w",
    ),
    "a failed search": (
        use("server_tool_use", "web_search", query="x"),
        left("web_search_tool_result", {"type": "web_search_tool_result_error", "error_code": "unavailable"}),
        "unavailable",
    ),
    "web_fetch": (
        use("server_tool_use", "web_fetch", url="https://w"),
        left(
            "web_fetch_tool_result",
            {
                "type": "web_fetch_result",
                "url": "https://w",
                "content": {"type": "document", "source": {"type": "text", "data": "words"}},
            },
        ),
        "https://w\nwords",
    ),
    "code": (
        use("server_tool_use", "bash_code_execution", command="ls"),
        left(
            "bash_code_execution_tool_result",
            {"type": "bash_code_execution_result", "stdout": "a.txt", "stderr": "", "return_code": 0, "content": []},
        ),
        "a.txt",
    ),
    "tool search": (
        use("server_tool_use", "tool_search_tool_regex", query="x"),
        left(
            "tool_search_tool_result",
            {
                "type": "tool_search_tool_search_result",
                "tool_references": [{"type": "tool_reference", "tool_name": "f"}],
            },
        ),
        "f",
    ),
    "mcp": (
        {**use("mcp_tool_use", "echo", a=1), "server_name": "s"},
        {**left("mcp_tool_result", [text("echoed")]), "is_error": False},
        "echoed",
    ),
}


@pytest.mark.parametrize(("call", "found", "expected"), LEFT.values(), ids=LEFT)
def test_f12_a_tool_that_ran_elsewhere_is_a_call_and_its_result(
    call: dict[str, Any], found: dict[str, Any], expected: str
) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "foreign"}
    turn = assistant(thought, text("Let me see."), call, found, text("Done."), CALL)
    read = messages(HI, turn, user(result("42"), text("and?")))
    assert [message.role for message in read] == ["user", "assistant", "tool", "assistant", "tool", "user"]
    assert (read[1].text, read[1].reasoning, read[1].tool_calls[0].name) == ("Let me see.", "hm", call["name"])
    assert (read[2].text, read[2].tool_call_id, read[2].name) == (expected, "srvtoolu_1", call["name"])
    assert (read[3].text, read[3].tool_calls[0].name) == ("Done.", "f")


@pytest.mark.parametrize(("call", "found", "expected"), LEFT.values(), ids=LEFT)
def test_f12_halves_of_it_do_no_harm(call: dict[str, Any], found: dict[str, Any], expected: str) -> None:
    read = spelled(messages(HI, assistant(call, text("a")), HI, assistant(found, text("b")), HI))
    assert read == ["u:Hi", "a:a", "u:Hi", f"a:{expected}\n\nb", "u:Hi"]


def test_f12_a_summary_stands_for_what_it_sums_up() -> None:
    summed = assistant({"type": "compaction", "content": "We spoke of ports."}, text("Go on."))
    assert spelled(messages(HI, assistant(CALL), user(result("42")), summed, HI, system="S")) == [
        "s:S",
        "u:We spoke of ports.",
        "a:Go on.",
        "u:Hi",
    ]
    failed = assistant({"type": "compaction", "content": None}, text("Go on."))
    assert spelled(messages(HI, failed, HI)) == ["u:Hi", "a:Go on.", "u:Hi"]


def test_f12_other_blocks_are_skipped_or_become_a_line() -> None:
    hidden = {"type": "redacted_thinking", "data": "zzz"}
    upload = {"type": "container_upload", "file_id": "file_1"}
    read = spelled(messages(HI, assistant(hidden, text("a")), user(upload, text("q"))))
    assert read == ["u:Hi", "a:a", "u:[A file of another server was attached here.]\n\nq"]


def test_f12_every_order_of_such_blocks_is_read() -> None:
    kinds = [block for call, found, _ in LEFT.values() for block in (call, found)]
    kinds += [{"type": "redacted_thinking", "data": "z"}, {"type": "compaction", "content": "c"}, text("t"), CALL]
    for first, second in itertools.product(kinds, kinds):
        assert messages(HI, assistant(first, second), HI)[-1].text.endswith("Hi")


def test_a_replayed_call_keeps_whatever_input_it_had() -> None:
    for given, expected in (("{cut", '{"arguments":"{cut"}'), ([1], '{"arguments":[1]}'), (None, "{}"), ("", "{}")):
        read = messages(HI, assistant({**CALL, "input": given}), user(result("bad")))
        assert read[1].tool_calls[0].arguments == expected


# --- F18, F21 ---------------------------------------------------------------------------------------------------------

BILLING = "x-anthropic-billing-header: cc_version=2.1.197.{}; cc_entrypoint=cli; cch=00000;"


def test_f18_lines_for_anthropics_accounts_do_not_part_sessions() -> None:
    def prompt(salt: str, *, blocks: bool) -> tuple[Message, ...]:
        line = BILLING.format(salt)
        return messages(HI, system=[text(line), text("Be kind.")] if blocks else f"{line}\nBe kind.")

    for blocks in (True, False):
        assert prompt("0df", blocks=blocks) == prompt("a11", blocks=blocks)
        assert spelled(prompt("0df", blocks=blocks)) == ["s:Be kind.", "u:Hi"]
    assert spelled(messages(HI, system=[text(BILLING)])) == ["u:Hi"]
    quoted = f"Explain this line:\n{BILLING}"
    assert spelled(messages(HI, system=quoted))[0] == f"s:{quoted}"


def test_f21_an_image_that_a_tool_returned_does_not_end_a_session_without_eyes() -> None:
    picture = {"type": "image", "source": PNG}
    turns = (HI, assistant(CALL), user(result([text("shot: "), picture])))
    assert messages(*turns, info=BLIND)[-1].text == "shot: [An image was here. This model cannot see images.]"
    assert Image(b"\x89PNG") in messages(*turns)[-1].parts
    with pytest.raises(UnsupportedFeature, match="does not support images"):
        messages(user(picture), info=BLIND)
