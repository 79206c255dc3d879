"""The id, the core's own headers and the log line of every HTTP exchange, matched by a route or not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from hyperllama.observability.request_record import RequestRecord, current_request
from hyperllama.server.request_id import new_request_id
from hyperllama.spi import AuxiliaryWork

log = structlog.get_logger("hyperllama.access")

#: The record of an exchange, its status (499: the client left first), its first and last nanosecond.
OnAnswered: TypeAlias = Callable[[RequestRecord, int, int, int], None]

_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestLog:
    """A wrapper of the application. A client's own ``x-request-id`` is kept when it is plain; otherwise one is made."""

    def __init__(self, app: ASGIApp, *, answered: OnAnswered | None = None) -> None:
        """Wrap ``app``; ``answered`` is called for each exchange at its end."""
        self._app = app
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter_ns()
        request_id = _request_id(scope)
        record = RequestRecord(request_id, [])
        extra: dict[str, str] = {"x-request-id": request_id}
        scope["state"] = {"request_id": request_id, "headers": extra}
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *((n.encode(), v.encode()) for n, v in extra.items())]
            await send(message)

        token = current_request.set(record)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            current_request.reset(token)
            ended = time.perf_counter_ns()
            if self._answered is not None:
                self._answered(record, status or 499, began, ended)
            _write_line(scope, status, record, ended - began)


def _request_id(scope: HTTPScope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _CLIENT_ID.fullmatch(text := value.decode("latin-1")):
            return text
    return new_request_id()


def _write_line(scope: HTTPScope, status: int, record: RequestRecord, took_ns: int) -> None:
    user = scope.get("user")
    fields: dict[str, Any] = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status or 499,
        "ms": round(took_ns / 1e6, 2),
        "request_id": record.request_id,
        "key": getattr(user, "name", ""),
    }
    if record.calls:
        answers = [each for each in record.calls if not isinstance(each.request, AuxiliaryWork)]
        # A refused attempt at a prompt that was then shortened says nothing of the answer.
        call = next((each for each in answers if each.outcome != "refused"), (answers or record.calls)[0])
        fields["model"] = call.info.name
        fields["outcome"] = call.outcome
        if call.usage is not None:
            fields["prompt_tokens"] = sum(each.usage.prompt_tokens for each in record.calls if each.usage)
            fields["completion_tokens"] = sum(each.usage.completion_tokens for each in record.calls if each.usage)
        if truncated := sum(each.truncated for each in record.calls):
            fields["left_out"] = truncated
        if call.first:
            fields["ttft_ms"] = round((call.first - call.started) / 1e6, 2)
    log.info("request", **fields)


__all__ = ("OnAnswered", "RequestLog")
