"""The table of errors: status, type, code and param of each, and the headers that tell when to ask again."""

from __future__ import annotations

import json

import pytest

from hyperllama import errors
from hyperllama.errors import GatewayError
from hyperllama_openai.protocol import OpenAI
from hyperllama_openai.settings import Settings

INVALID = "invalid_request_error"
TABLE: list[tuple[GatewayError, int, str, str | None, str | None]] = [
    (errors.InvalidRequest("x"), 400, INVALID, None, None),
    (errors.InvalidRequest("x", param="stop"), 400, INVALID, None, "stop"),
    (errors.InvalidRequest("x", param="input"), 400, INVALID, None, "messages"),
    (errors.InvalidRequest("x", param="output"), 400, INVALID, "invalid_json_schema", "response_format"),
    (errors.InvalidRequest("x", param="guided_regex"), 400, INVALID, "invalid_json_schema", "guided_regex"),
    (errors.UnsupportedFeature("x", param="output"), 400, INVALID, "unsupported_parameter", "response_format"),
    (errors.InvalidRequest("x", param="reasoning"), 400, INVALID, None, "reasoning"),
    (errors.UnsupportedFeature("x", param="tools"), 400, INVALID, "unsupported_parameter", "tools"),
    (errors.ContextTooLong("x"), 400, INVALID, "context_length_exceeded", "messages"),
    (errors.Unauthenticated("x"), 401, INVALID, "invalid_api_key", None),
    (errors.Forbidden("x"), 403, "permission_error", "insufficient_permissions", None),
    (errors.ModelNotFound("x"), 404, INVALID, "model_not_found", "model"),
    (errors.RouteNotFound("x"), 404, INVALID, None, None),
    (errors.MethodNotAllowed("x", allow=("POST",)), 405, INVALID, "method_not_supported", None),
    (errors.PayloadTooLarge("x"), 413, INVALID, "request_too_large", None),
    (errors.RateLimited("x"), 429, "rate_limit_error", "rate_limit_exceeded", None),
    (errors.EngineFailed("x"), 502, "server_error", "engine_failed", None),
    (errors.LoadFailed("x"), 500, "server_error", "model_load_failed", None),
    (errors.Overloaded("x"), 503, "server_error", "overloaded", None),
    (errors.ModelLoading("x"), 503, "server_error", "model_loading", None),
    (errors.Draining("x"), 503, "server_error", "draining", None),
    (errors.EngineTimeout("x"), 504, "timeout", "engine_timeout", None),
    (GatewayError("x"), 500, "server_error", "internal_error", None),
]


@pytest.mark.parametrize(("error", "status", "kind", "code", "param"), TABLE, ids=lambda value: type(value).__name__)
def test_the_table(error: GatewayError, status: int, kind: str, code: str | None, param: str | None) -> None:
    reply = OpenAI(Settings()).error_reply(error, "/v1/chat/completions")
    body = json.loads(reply.body)
    assert set(body) == {"error"}
    found = body["error"]
    assert set(found) == {"message", "type", "param", "code"}
    assert (reply.status, found["type"], found["code"], found["param"]) == (status, kind, code, param)
    assert found["message"]
    assert reply.media_type == "application/json"


@pytest.mark.parametrize(
    ("path", "length", "output"),
    [
        ("/v1/chat/completions", "messages", "response_format"),
        ("/chat/completions/", "messages", "response_format"),
        ("/v1/completions", "prompt", "response_format"),
        ("/v1/responses", "input", "text.format"),
        ("/v1/embeddings", "input", "response_format"),
        ("/v2/rerank", "documents", "response_format"),
        ("/score", "text_2", "response_format"),
    ],
)
def test_what_an_engine_refuses_is_named_as_the_route_names_it(path: str, length: str, output: str) -> None:
    for error, param in ((errors.ContextTooLong("x"), length), (errors.InvalidRequest("x", param="output"), output)):
        assert json.loads(OpenAI(Settings()).error_reply(error, path).body)["error"]["param"] == param


def test_when_to_ask_again_is_told_in_both_headers_that_the_sdks_read() -> None:
    reply = OpenAI(Settings()).error_reply(errors.RateLimited("Slow down.", retry_after=0.25), "/v1/embeddings")
    assert reply.headers == {"retry-after": "1", "retry-after-ms": "250"}


def test_a_quota_that_is_used_up_is_not_worth_asking_again() -> None:
    class Quota(errors.RateLimited):
        code = "insufficient_quota"

    reply = OpenAI(Settings()).error_reply(Quota("The monthly quota is used up."), "/v1/embeddings")
    assert reply.headers["x-should-retry"] == "false"
    assert json.loads(reply.body)["error"]["type"] == "insufficient_quota"


def test_a_hostile_path_stays_inside_the_json() -> None:
    reply = OpenAI(Settings()).error_reply(errors.RouteNotFound("x"), '/v1/"}\r\n' + "a" * 5000)
    assert json.loads(reply.body)["error"]["message"].startswith('Invalid URL (/v1/"}\r\n')
    assert len(reply.body) < 500
    assert b"\n" not in reply.body
