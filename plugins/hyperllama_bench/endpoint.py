"""A server of either dialect as a client sees it: its address, its requests and its answers."""

from __future__ import annotations

import http.client
import re
from bisect import bisect_left
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from hyperllama.errors import ConfigError
from hyperllama_bench.load import Shot, Target, send

Dialect: TypeAlias = Literal["openai", "ollama"]

#: Fields that not every server knows; one that refuses them is asked without.
OPTIONAL = ("ignore_eos", "stream_options")


class Endpoint(msgspec.Struct, frozen=True):
    """A server. ``prefix`` precedes ``/chat/completions`` or ``/api``; ``left_out``: the OPTIONAL fields refused."""

    host: str
    port: int
    prefix: str
    dialect: Dialect
    model: str
    key: str = ""  # sent as bearer; empty: none is
    left_out: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # models to take where ``model`` makes no text

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    def target(self, prompt: str, tokens: int) -> Target:
        """Return a streamed chat of at most ``tokens`` tokens; of exactly as many if the dialect allows it."""
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "stream": True,
        }
        if self.dialect == "ollama":
            path = "/api/chat"
            body["options"] = {"num_predict": tokens, "temperature": 0}
        else:
            path = "/chat/completions"
            optional = {"ignore_eos": True, "stream_options": {"include_usage": True}}
            body |= {"max_tokens": tokens, "temperature": 0}
            body |= {name: value for name, value in optional.items() if name not in self.left_out}
        headers = (f"Authorization: Bearer {self.key}",) if self.key else ()
        return Target(self.host, self.port, self.prefix + path, msgspec.json.encode(body), headers=headers, keep=True)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one request. Times are monotonic seconds; ``arrivals`` those of text, each once."""

    began: float
    ended: float
    arrivals: tuple[float, ...] = ()
    tokens: int = 0  # as the server counts them, or pieces of text where it does not say
    prompt: int = 0
    error: str = ""  # empty: answered whole


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None
    thinking: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[msgspec.Raw, ...] | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Message = _Message()
    finish_reason: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    completion_tokens: int = 0
    prompt_tokens: int = 0


class _Event(msgspec.Struct, frozen=True):
    """A streamed event, in the fields of both dialects."""

    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    message: _Message = _Message()
    done: bool = False
    eval_count: int = 0
    prompt_eval_count: int = 0
    error: msgspec.Raw = msgspec.Raw()


class _Named(msgspec.Struct, frozen=True):
    id: str = ""
    name: str = ""


class _Listed(msgspec.Struct, frozen=True):
    data: tuple[_Named, ...] = ()
    models: tuple[_Named, ...] = ()


_events = msgspec.json.Decoder(_Event)


def find(url: str, *, dialect: Dialect | None, model: str | None, key: str) -> Endpoint:
    """Return the endpoint at ``url``; None: guess the dialect, take the first model that chats. Block.

    Raises ConfigError if ``url`` is not usable or the server does not answer.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
    except ValueError as error:
        raise ConfigError(f"{url}: {error}") from error
    if parts.scheme != "http" or not host:
        raise ConfigError(f"{url}: Must be a server at http://host:port.")
    path = re.sub(r"/(chat/completions|api(/chat|/generate|/tags)?)?/?$", "", parts.path)
    if dialect is None:
        guess = Endpoint(host, port, path, "ollama", "", key)
        dialect = "openai" if "/v1" in path or _get(guess, "/api/version")[0] != 200 else "ollama"
    found = Endpoint(host, port, path or ("/v1" if dialect == "openai" else ""), dialect, model or "", key)
    if model:
        return found
    first, *others = _listed(found)
    return msgspec.structs.replace(found, model=first, others=tuple(others))


def _listed(endpoint: Endpoint) -> list[str]:
    path = "/models" if endpoint.dialect == "openai" else "/api/tags"
    status, body = _get(endpoint, path)
    if status != 200:
        raise ConfigError(f"{endpoint.place}: GET {endpoint.prefix}{path} was answered {status}: {reason(body)}")
    try:
        listed = msgspec.json.decode(body, type=_Listed)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{endpoint.place}: {endpoint.prefix}{path} lists no models: {error}") from error
    names = [named.id or named.name for named in (*listed.data, *listed.models)]
    if not names:
        raise ConfigError(f"{endpoint.place}: Lists no models; name one with --name.")
    return names


def _get(endpoint: Endpoint, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        connection.request("GET", endpoint.prefix + path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ConfigError(f"{endpoint.place}: cannot be asked: {error or type(error).__name__}") from error
    finally:
        connection.close()


async def tried(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint without the fields that it refuses, after one short request, which loads the model.

    Raises ConfigError when it does not answer.
    """
    while True:
        try:
            shots = await send(endpoint.target("Hello.", 1))
        except OSError as error:
            raise ConfigError(f"{endpoint.place}: cannot be asked: {error}") from error
        answer = read(shots[0])
        if not answer.error:
            return endpoint
        refused = [name for name in OPTIONAL if name in answer.error and name not in endpoint.left_out]
        if shots[0].status in (400, 422) and refused:
            endpoint = msgspec.structs.replace(endpoint, left_out=(*endpoint.left_out, *refused))
        elif shots[0].status in (400, 404, 422) and endpoint.others:
            endpoint = msgspec.structs.replace(endpoint, model=endpoint.others[0], others=endpoint.others[1:])
        else:
            raise ConfigError(f"{endpoint.place}: model {endpoint.model!r}: {answer.error}")


def read(shot: Shot) -> Answer:
    """Return the content of a kept answer of either dialect."""
    body, marks = _unchunked(shot)
    if shot.status != 200:
        error = f"answered {shot.status}: {reason(body)}" if shot.status else "no answer"
        return Answer(began=shot.began, ended=shot.ended, error=error)
    arrivals: list[float] = []
    pieces = tokens = prompt = 0
    error = "cut off" if not shot.ended else "ended before its last event"
    for line in re.finditer(rb"[^\r\n]+", body):
        data = line.group().removeprefix(b"data:").strip()
        if not data.startswith(b"{"):  # names of events, comments, [DONE]
            continue
        try:
            event = _events.decode(data)
        except msgspec.DecodeError as wrong:
            error = f"an event that cannot be read: {wrong}"
            break
        if bytes(event.error) not in (b"", b"null"):
            error = reason(data)
            break
        if event.done or any(choice.finish_reason for choice in event.choices):
            error = ""
        if _says(event.message) or any(_says(choice.delta) for choice in event.choices):
            pieces += 1
            at = bisect_left(marks, (line.end(), 0.0))
            if not arrivals or marks[at][1] > arrivals[-1]:
                arrivals.append(marks[at][1])
        usage = event.usage or _Usage(event.eval_count, event.prompt_eval_count)
        tokens, prompt = usage.completion_tokens or tokens, usage.prompt_tokens or prompt
    return Answer(
        began=shot.began,
        ended=shot.ended,
        arrivals=tuple(arrivals) or (shot.first,),  # an answer without text: its first byte
        tokens=tokens or pieces,
        prompt=prompt,
        error=error if shot.ended else error or "cut off",
    )


def _says(message: _Message) -> bool:
    return bool(
        message.content or message.thinking or message.reasoning or message.reasoning_content or message.tool_calls
    )


def _unchunked(shot: Shot) -> tuple[bytes, list[tuple[int, float]]]:
    """Return the body, and the times at which its bytes had arrived."""
    if not re.search(rb"\ntransfer-encoding: *chunked", shot.head):
        return shot.body, shot.arrivals
    body, marks, at = bytearray(), [], 0
    while sized := re.compile(rb"([0-9a-fA-F]{1,16}+)[^\r\n]{0,256}+\r\n").match(shot.body, at):
        if not (size := int(sized.group(1), 16)):
            break
        part = shot.body[sized.end() : sized.end() + size]
        body += part
        when = shot.arrivals[bisect_left(shot.arrivals, (sized.end() + len(part), 0.0))][1]
        marks.append((len(body), when))
        at = sized.end() + size + 2
    return bytes(body), marks


def reason(body: bytes) -> str:
    """Return the message of an error on one line."""
    said: object = None
    try:
        said = msgspec.json.decode(body)
        for name in ("error", "message", "detail"):
            said = said.get(name, said) if isinstance(said, dict) else said
    except msgspec.DecodeError:
        pass
    text = said if isinstance(said, str) else body.decode("utf-8", "replace")
    return "".join(char for char in " ".join(text.split()) if char.isprintable())[:200] or "nothing more"


__all__ = ("OPTIONAL", "Answer", "Dialect", "Endpoint", "find", "read", "reason", "tried")
