"""Rules for the web pages that may call and the host names they may use, on every path of every protocol."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from hyperllama.system.network import address_is_local, is_private, parse_address

Action: TypeAlias = Literal["pass", "refuse", "preflight"]
IsLocal: TypeAlias = Callable[[str], bool]

_BEYOND = frozenset(" ,/@?#")
_STAINLESS = (
    "Arch,Async,Custom-Poll-Interval,Helper-Method,Lang,Os,Package-Version,Poll-Helper,Retry-Count,Runtime,"
    "Runtime-Version,Timeout"
)
_ALLOWED_HEADERS = ",".join(
    (
        "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta",
        *(f"X-Stainless-{name}" for name in _STAINLESS.split(",")),
        # Sent from a browser by the SDKs of OpenAI and Anthropic.
        "X-Stainless-Read-Timeout,X-Stainless-Raw-Response,X-Stainless-Stream-Helper",
        "OpenAI-Organization,OpenAI-Project,X-Request-Id,X-Client-Request-Id,X-Api-Key,Api-Key",
        "Anthropic-Version,Anthropic-Beta,Anthropic-Dangerous-Direct-Browser-Access",
    )
)
_RATES = ",".join(
    f"x-ratelimit-{what}-{unit}" for what in ("limit", "remaining", "reset") for unit in ("requests", "tokens")
)
_EXPOSED = (
    b"access-control-expose-headers",
    f"x-request-id,retry-after,retry-after-ms,x-should-retry,{_RATES}".encode(),
)
_PREFLIGHT = (
    ("Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"),
    ("Access-Control-Allow-Headers", _ALLOWED_HEADERS),
    ("Access-Control-Max-Age", "43200"),
)


class Verdict(msgspec.Struct, frozen=True):
    """The decision on a request.

    ``pass``: handle it and add ``headers`` to the answer, errors included. ``refuse``: 403 with an empty body.
    ``preflight``: 204 with ``headers`` and an empty body, whatever the path.
    """

    action: Action
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def status(self) -> int | None:
        """The status of a refusal or a preflight; None: the answer's own."""
        return {"pass": None, "refuse": 403, "preflight": 204}[self.action]


class Origins:
    """A wrapper of the application that answers the requests that :func:`decide` refuses."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        bound_to_loopback: bool,
        allowed_origins: Iterable[str] = (),
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._bound_to_loopback = bound_to_loopback
        self._origins = tuple(allowed_origins)
        self._hosts = tuple(allowed_hosts)
        self._judged = lru_cache(maxsize=512)(self._judge)  # the same few pages and names call all day

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        host, origin = b"", b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = origin + b", " + value if origin else value
        status, added = self._judged(scope["method"] == "OPTIONS", host, origin)
        if scope["path"] == "*" and status != 403 and not added:  # of the whole server, which has no route for it
            status = 200
        if status is not None:
            head = [*added, (b"content-length", b"0")] if status != 204 else added
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if not added:
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _judge(self, options: bool, host: bytes, origin: bytes) -> tuple[int | None, list[tuple[bytes, bytes]]]:
        verdict = decide(
            "OPTIONS" if options else "GET",
            {"host": host.decode("latin-1"), "origin": origin.decode("latin-1")},
            bound_to_loopback=self._bound_to_loopback,
            allowed_origins=self._origins,
            allowed_hosts=self._hosts,
        )
        added = [(name.lower().encode(), value.encode("latin-1")) for name, value in verdict.headers]
        if added and verdict.action == "pass":
            added.append(_EXPOSED)
        return verdict.status, added


def decide(
    method: str,
    headers: Mapping[str, str],
    *,
    bound_to_loopback: bool,
    allowed_origins: Iterable[str] = (),
    allowed_hosts: Collection[str] = (),
    is_local: IsLocal | None = None,
) -> Verdict:
    """Judge one request, Origin before Host.

    ``headers`` have lower-case names. ``allowed_origins`` have one ``*`` each at most; a bare ``*`` allows every page.
    With ``bound_to_loopback`` or any ``allowed_hosts`` the Host header is checked, against loopback, private and local
    names and ``allowed_hosts``. ``is_local`` returns whether an address belongs to this machine; None: the operating
    system decides.
    """
    origin, host = headers.get("origin", ""), headers.get("host", "")
    extra: tuple[tuple[str, str], ...] = ()
    foreign = origin != "" and origin not in (f"http://{host}", f"https://{host}")
    if foreign:
        patterns = tuple(allowed_origins)
        if not any(_matches(pattern, origin) for pattern in patterns):
            return Verdict("refuse")
        extra = _cors("*" in patterns, origin, preflight=method == "OPTIONS")
        if method == "OPTIONS":
            return Verdict("preflight", extra)
    checked = bound_to_loopback or bool(allowed_hosts)
    if checked and not _known_host(host, allowed_hosts, is_local or address_is_local):
        return Verdict("refuse")
    if method == "OPTIONS" and checked and not foreign and parse_address(_bare(host)) is None:
        return Verdict("preflight")
    return Verdict("pass", extra)


def _cors(everyone: bool, origin: str, *, preflight: bool) -> tuple[tuple[str, str], ...]:
    allow = ("Access-Control-Allow-Origin", "*" if everyone else origin)
    if preflight:
        vary = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
        return (allow, *_PREFLIGHT, *(("Vary", name) for name in vary))
    return (allow,) if everyone else (allow, ("Vary", "Origin"))


def _matches(pattern: str, origin: str) -> bool:
    before, star, after = pattern.partition("*")
    if not star or pattern == "*":
        return star != "" or pattern == origin
    if len(origin) < len(before) + len(after) or not (origin.startswith(before) and origin.endswith(after)):
        return False
    # A star stands for a port or a name: not for a user, a path, or a second origin.
    return _BEYOND.isdisjoint(origin[len(before) : len(origin) - len(after)])


def _known_host(host: str, allowed: Iterable[str], is_local: IsLocal) -> bool:
    name = _bare(host).lower().rstrip(".")
    if name == "127.0.0.1":  # what nearly every request says
        return True
    if name in ("", "localhost", socket.gethostname().lower()) or name in {item.lower() for item in allowed}:
        return True
    if name.endswith((".localhost", ".local", ".internal")):
        return True
    address = parse_address(name)
    if address is None:
        return False
    return address.is_loopback or is_private(address) or address.is_unspecified or is_local(str(address))


def _bare(host: str) -> str:
    """Return the host without its port; an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


__all__ = ("Action", "IsLocal", "Origins", "Verdict", "decide")
