"""What server/protocol.py and server/server.py use of uvicorn's internals is there, with the meaning they rely on."""

from __future__ import annotations

import ast
import inspect

import pytest
import uvicorn
from uvicorn.config import Config
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from hyperllama.server import protocol

STATE = {"app", "client", "cycle", "expect_100_continue", "flow", "headers", "loop", "parser"}
STATE |= {"scope", "server_state", "transport", "url"}
METHODS = {"connection_made", "connection_lost", "data_received", "eof_received"}
METHODS |= {"on_headers_complete", "on_message_complete", "on_response_complete"}
CYCLE = {"chunked_encoding", "disconnected", "keep_alive", "message_event", "response_complete", "response_started"}
CYCLE |= {"expected_content_length", "waiting_for_100_continue"}
FLOW = {"read_paused", "write_paused", "resume_reading", "resume_writing"}
SERVER = {"capture_signals", "main_loop", "on_tick", "shutdown"}


def assigned(type_: type) -> set[str]:
    """Attributes of ``self`` that the methods of a class set, and the names that it defines."""
    tree = ast.parse(inspect.getsource(type_))
    targets = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    return {node.attr for node in targets if isinstance(node.value, ast.Name) and node.value.id == "self"} | set(
        dir(type_)
    )


@pytest.mark.parametrize(
    ("type_", "names"),
    [
        (HttpToolsProtocol, STATE | METHODS),
        (RequestResponseCycle, CYCLE),
        (FlowControl, FLOW),
        (ServerState, {"default_headers", "total_requests", "connections", "tasks"}),
        (Server, SERVER | {"servers", "lifespan", "started", "server_state"}),
    ],
)
def test_what_we_use_is_there(type_: type, names: set[str]) -> None:
    assert names <= assigned(type_), f"uvicorn {uvicorn.__version__} lacks {names - assigned(type_)}"


def test_a_status_line_is_bytes_with_its_end() -> None:
    assert STATUS_LINE[503] == b"HTTP/1.1 503 Service Unavailable\r\n"


def test_the_constructor_takes_what_we_hand_on() -> None:
    parameters = list(inspect.signature(HttpToolsProtocol.__init__).parameters)
    assert parameters[:5] == ["self", "config", "server_state", "app_state", "_loop"]
    assert "http" in inspect.signature(Config.__init__).parameters
    assert httptools_impl.HttpToolsProtocol is HttpToolsProtocol


def test_the_contract_in_the_module_names_all_of_it() -> None:
    said = protocol.__doc__ or ""
    for name in STATE | METHODS | CYCLE | FLOW | SERVER:
        assert f"``{name}``" in said, name
