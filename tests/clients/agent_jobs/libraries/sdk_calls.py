"""Every method of the SDKs' resources, called in every way; a JSON object a call. No imports of this project."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai

URL, ENGINE = sys.argv[1:3]
CHAT, EMBED = ("agent", "embedder") if ENGINE == "sim" else ("hyperllama-tiny", "hyperllama-tiny-embed")
CHAT_MODEL = {"model": CHAT}
HELLO = [{"role": "user", "content": "Hello"}]
NUMBER = itertools.count()
#: Resources whose methods are called, below the client.
RESOURCES = {
    "openai": ("models", "chat", "completions", "responses", "embeddings", "files", "batches"),
    "anthropic": ("models", "completions", "messages", "files", "beta.models", "beta.messages", "beta.files"),
}
#: Helpers of the SDKs that call another method of the same resource, or that need no server.
HELPERS = {"connect", "parse", "retrieve_content", "stream", "thread", "tool_runner", "wait_for_processing"}

open_ai = openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0, timeout=60)
anthropics = anthropic.Anthropic(base_url=URL, api_key="none", max_retries=0, timeout=60)


def chat(**more: Any) -> str:
    made = open_ai.chat.completions.create(model=CHAT, messages=HELLO, store=True, max_tokens=4, **more)
    return made.id


def response(**more: Any) -> str:
    return open_ai.responses.create(model=CHAT, input="Hello", max_output_tokens=16, **more).id


def file(purpose: str = "batch") -> str:
    body = {"model": CHAT, "messages": HELLO, "max_tokens": 4}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return open_ai.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose=purpose).id


def batch() -> str:
    return open_ai.batches.create(input_file_id=file(), endpoint="/v1/chat/completions", completion_window="24h").id


def model() -> str:
    """Return the name of a new model of the store."""
    name = f"gone-{next(NUMBER)}"
    body = json.dumps({"source": "hyperllama-tiny", "destination": name}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{URL}/api/copy", body, method="POST"), timeout=60).close()  # noqa: S310
    return name


def message_batch(*, ended: bool = False) -> str:
    params = {"model": CHAT, "messages": HELLO, "max_tokens": 4}
    made = anthropics.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
    deadline = time.monotonic() + 60
    while ended and made.processing_status != "ended" and time.monotonic() < deadline:
        time.sleep(0.1)
        made = anthropics.messages.batches.retrieve(made.id)
    return made.id


def spoken() -> dict[str, Any]:
    return {"model": CHAT, "messages": HELLO, "max_tokens": 4}


def message_batches(path: str) -> dict[str, Callable[[], dict[str, Any]]]:
    return {
        f"{path}.create": lambda: {"requests": [{"custom_id": "a", "params": spoken()}]},
        f"{path}.retrieve": lambda: {"message_batch_id": message_batch()},
        f"{path}.list": dict,
        f"{path}.cancel": lambda: {"message_batch_id": message_batch()},
        f"{path}.delete": lambda: {"message_batch_id": message_batch(ended=True)},
        f"{path}.results": lambda: {"message_batch_id": message_batch(ended=True)},
    }


def anthropic_files(path: str) -> dict[str, Callable[[], dict[str, Any]]]:
    return {
        f"{path}.list": dict,
        f"{path}.upload": lambda: {"file": ("a.txt", b"text")},
        f"{path}.retrieve_metadata": lambda: {"file_id": "file_1"},
        f"{path}.download": lambda: {"file_id": "file_1"},
        f"{path}.delete": lambda: {"file_id": "file_1"},
    }


#: Arguments by method; made anew for each call, with ids of what is there.
OPENAI: dict[str, Callable[[], dict[str, Any]]] = {
    "models.list": dict,
    "models.retrieve": lambda: {"model": CHAT},
    "models.delete": lambda: {"model": model()},
    "chat.completions.create": lambda: {"model": CHAT, "messages": HELLO, "max_tokens": 4},
    "chat.completions.retrieve": lambda: {"completion_id": chat()},
    "chat.completions.update": lambda: {"completion_id": chat(), "metadata": {"a": "b"}},
    "chat.completions.list": lambda: {"limit": 2, "model": CHAT, "metadata": {"a": "b"}},
    "chat.completions.delete": lambda: {"completion_id": chat()},
    "chat.completions.messages.list": lambda: {"completion_id": chat()},
    "completions.create": lambda: {"model": CHAT, "prompt": "Hello", "max_tokens": 4},
    "responses.create": lambda: {"model": CHAT, "input": "Hello", "max_output_tokens": 16},
    "responses.retrieve": lambda: {"response_id": response()},
    "responses.delete": lambda: {"response_id": response()},
    "responses.cancel": lambda: {"response_id": response(background=True)},
    "responses.compact": lambda: {"model": CHAT, "input": "Hello"},
    "responses.input_items.list": lambda: {"response_id": response()},
    "responses.input_tokens.count": lambda: {"model": CHAT, "input": "Hello"},
    "embeddings.create": lambda: {"model": EMBED, "input": "Hello"},
    "files.create": lambda: {"file": ("a.txt", b"text"), "purpose": "user_data"},
    "files.retrieve": lambda: {"file_id": file()},
    "files.list": dict,
    "files.delete": lambda: {"file_id": file()},
    "files.content": lambda: {"file_id": file("user_data")},
    "batches.create": lambda: {
        "input_file_id": file(),
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    },
    "batches.retrieve": lambda: {"batch_id": batch()},
    "batches.list": dict,
    "batches.cancel": lambda: {"batch_id": batch()},
}
ANTHROPIC: dict[str, Callable[[], dict[str, Any]]] = {
    "models.list": dict,
    "models.retrieve": lambda: {"model_id": CHAT},
    "completions.create": lambda: {
        "model": CHAT,
        "prompt": "\n\nHuman: Hello\n\nAssistant:",
        "max_tokens_to_sample": 4,
    },
    "messages.create": spoken,
    "messages.count_tokens": lambda: {"model": CHAT, "messages": HELLO},
    **message_batches("messages.batches"),
    "beta.models.list": dict,
    "beta.models.retrieve": lambda: {"model_id": CHAT},
    "beta.messages.create": spoken,
    "beta.messages.count_tokens": lambda: {"model": CHAT, "messages": HELLO},
    **message_batches("beta.messages.batches"),
    **anthropic_files("files"),
    **anthropic_files("beta.files"),
}
#: How a method that streams when asked to is called a second time.
STREAMED = {
    "chat.completions.create": {"stream": True},
    "completions.create": {"stream": True},
    "responses.create": {"stream": True},
    "messages.create": {"stream": True},
    "beta.messages.create": {"stream": True},
}


def methods(resource: Any, path: str) -> Iterator[str]:
    """Yield the paths of the methods of a resource and of those below it."""
    for name in sorted(dir(type(resource))):
        if name.startswith(("_", "with_")) or name in HELPERS:
            continue
        found = inspect.getattr_static(type(resource), name)
        if isinstance(found, property) or hasattr(found, "func"):  # a cached property: a resource below
            below = getattr(resource, name)
            if hasattr(below, "with_raw_response"):
                yield from methods(below, f"{path}.{name}")
        elif callable(found):
            yield f"{path}.{name}"


def bound(client: Any, path: str, way: str) -> Any:
    *parts, name = path.split(".")
    for part in parts:
        client = getattr(client, part)
    return getattr(client if way == "plain" else getattr(client, f"with_{way}_response"), name)


def read(found: Any, way: str) -> None:
    """Read an answer to its end."""
    if way == "raw":
        found = found.parse()
    if hasattr(found, "iter_pages"):
        list(itertools.islice(found, 5))
    elif hasattr(found, "__iter__") and hasattr(found, "close") and not hasattr(found, "read"):
        for _ in found:
            pass


async def read_async(found: Any, way: str) -> None:
    if way == "raw":
        found = found.parse()
        found = await found if inspect.isawaitable(found) else found
    if hasattr(found, "__aiter__") and not hasattr(found, "read"):
        count = 0
        async for _ in found:
            count += 1
            if count == 5 and hasattr(found, "iter_pages"):
                break


def call(client: Any, path: str, way: str, arguments: dict[str, Any]) -> None:
    made = bound(client, path, way)(**arguments)
    if way == "streaming":
        with made as response:
            response.read()
            response.parse() if not arguments.get("stream") else None
    else:
        read(made, way)


async def call_async(client: Any, path: str, way: str, arguments: dict[str, Any]) -> None:
    made = bound(client, path, way)(**arguments)
    if way == "streaming":
        async with made as response:
            await response.read()
        return
    await read_async(await made if inspect.isawaitable(made) else made, way)


def outcome(work: Callable[[], Any]) -> tuple[str, str]:
    try:
        work()
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        body = error.body if isinstance(error.body, dict) else {}
        message = (body.get("error") if isinstance(body.get("error"), dict) else body).get("message")
        if error.status_code in (404, 405) or not message or error.status_code >= 500:
            return "absent", f"{error.status_code} {message or error}"
        return "refused", f"{error.status_code} {message}"
    except Exception as error:  # noqa: BLE001 -- whatever an SDK raises is the reason
        return "absent", f"{type(error).__name__}: {error}"
    return "answered", ""


def suite(name: str, client: Any, asynchronous: Any, table: dict[str, Callable[[], dict[str, Any]]]) -> None:
    found = []
    for resource in RESOURCES[name]:
        at = client
        for part in resource.split("."):
            at = getattr(at, part, None)
        if at is not None:
            found += list(methods(at, resource))
    with asyncio.Runner() as runner:
        for path in found:
            if path not in table:
                _print(name, path, "any", "absent", "the suite has no arguments for this method")
                continue
            for way, streamed in itertools.product(("plain", "raw", "streaming"), (False, True)):
                if streamed and path not in STREAMED:
                    continue
                more = STREAMED[path] if streamed else {}
                label = f"{way}, streamed" if streamed else way
                done = outcome(lambda p=path, w=way, m=more: call(client, p, w, {**table[p](), **m}))
                _print(name, path, f"sync {label}", *done)
                done = outcome(
                    lambda p=path, w=way, m=more: runner.run(call_async(asynchronous, p, w, {**table[p](), **m}))
                )
                _print(name, path, f"async {label}", *done)


def _print(sdk: str, path: str, way: str, result: str, reason: str) -> None:
    reason = " ".join(reason.split())[:300]
    print(json.dumps({"method": f"{sdk} {path}", "way": way, "outcome": result, "reason": reason}), flush=True)


suite("openai", open_ai, openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0, timeout=60), OPENAI)
suite(
    "anthropic",
    anthropics,
    anthropic.AsyncAnthropic(base_url=URL, api_key="none", max_retries=0, timeout=60),
    ANTHROPIC,
)
