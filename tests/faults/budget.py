"""Work budget: route x shape x growth of CPU seconds, and how long the event loop was held, for generated bodies.

::

    python tests/faults/budget.py [--root TREE] [--base 500] [--only SUBSTRING] [--shallow]

Bodies are made from the Structs that the routes declare: every list long, every string long, every free value deep and
wide, at 1x, 4x and 16x of ``--base``. The whole application answers them in this process, on the sim engine. A row is
flagged where 4x the body costs over 4 ** 1.3 x the CPU seconds (``growth``), or where one turn of the loop took over
100 ms of its thread's CPU time (``lag``); another process that is busy shows in neither. ``held`` is how long the loop
did not turn at all while this process was at work, as in a C call of another thread that keeps the interpreter's lock.
``--root`` runs the same against another checkout: a positive control.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import math
import sys
import tempfile
import time
import types
import typing
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

GROWTH = 1.3
LAG = 0.1
FLOOR = 0.03  # CPU seconds; less is noise
SIZES = (1, 4, 16)
_KINDS = {
    "role": ("user", "assistant", "tool", "system"),
    "type": ("text", "function", "function_call", "function_call_output", "tool_use", "tool_result", "message"),
}
_CONFIG = """
[server]
openapi = false
[models.sim]
engine = "sim"
[models.sim.options]
answer_tokens = 1
context_length = 1000000
embedding = 4
[plugins]
enabled = ["sim", "openai", "ollama", "anthropic"]
"""
_SKIP = ("/api/create", "/api/pull", "/api/push", "/api/copy", "/api/delete", "/files", "/v1/batches")
_SKIP_EXACTLY = ("/batches",)


class Shape(NamedTuple):
    """One family of bodies, by size."""

    name: str
    body: Callable[[int], dict[str, Any]]


class Row(NamedTuple):
    path: str
    shape: str
    size: int  # bytes at the largest
    seconds: tuple[float, ...]  # CPU, by size
    growth: float  # exponent over the last step
    lag: float
    held: float
    status: int

    @property
    def flags(self) -> str:
        return " ".join(name for name, bad in (("GROWTH", self.growth > GROWTH), ("LAG", self.lag > LAG)) if bad)


def shapes(type_: type[msgspec.Struct]) -> Iterator[Shape]:
    """Yield the families of bodies that ``type_`` allows."""
    yield from _of_struct(type_, (), _minimal(type_), 0)


def _of_struct(type_: type[msgspec.Struct], path: tuple[str, ...], base: dict[str, Any], depth: int) -> Iterator[Shape]:
    for field in msgspec.structs.fields(type_):
        name = field.encode_name
        here = (*path, name)
        for kind in _options(field.type):
            yield from _of_kind(kind, here, base, depth)


def _of_kind(kind: Any, path: tuple[str, ...], base: dict[str, Any], depth: int) -> Iterator[Shape]:
    label = ".".join(path)
    if kind is Any or typing.get_origin(kind) is dict or kind is dict:
        yield Shape(f"{label} wide", lambda n: _put(base, path, {f"k{i}": i for i in range(n)}))
        if kind is Any or (typing.get_args(kind) or (0, Any))[1] is Any:
            yield Shape(f"{label} deep", lambda n: _put(base, path, {"k": [_nested(50)] * max(1, n // 100)}))
            yield Shape(f"{label} containers", lambda n: _put(base, path, {"k": [{}] * n}))
    elif kind is str:
        yield Shape(f"{label} long", lambda n: _put(base, path, 'a"\\\n' * (n * 8)))
    elif _is_list(kind):
        (item, *_) = typing.get_args(kind) or (Any,)
        for option in _options(item):
            for element in _elements(option):
                tag = "".join(f" {v}" for k, v in element.items() if k in _KINDS) if isinstance(element, dict) else ""
                yield Shape(
                    f"{label} many{tag or ' ' + type(element).__name__}",
                    lambda n, element=element: _put(base, path, [element] * n),  # type: ignore[misc]
                )
            if isinstance(option, type) and issubclass(option, msgspec.Struct) and depth < 3:
                for element in _elements(option):
                    for shape in _of_struct(option, (), element, depth + 1):
                        yield Shape(
                            f"{label}[{element.get('role') or element.get('type') or ''}].{shape.name}",
                            lambda n, shape=shape: _put(base, path, [shape.body(n)]),  # type: ignore[misc]
                        )
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct) and depth < 3:
        for shape in _of_struct(kind, (), _minimal(kind), depth + 1):
            yield Shape(
                f"{label}.{shape.name}",
                lambda n, shape=shape: _put(base, path, shape.body(n)),  # type: ignore[misc]
            )


def _elements(option: Any) -> list[Any]:
    """Return one element for each kind that ``option`` may be of, with every short field filled in."""
    if not (isinstance(option, type) and issubclass(option, msgspec.Struct)):
        return [_value(option)]
    names = {field.encode_name: field for field in msgspec.structs.fields(option)}
    base = _minimal(option)
    for extra in ("tool_call_id", "call_id", "id", "tool_use_id", "name", "text", "output", "content", "arguments"):
        if extra in names and str in _options(names[extra].type):
            base[extra] = "{}" if extra == "arguments" else "z"
    if "function" in names:
        base["function"] = {"name": "f", "arguments": {} if "ollama" in option.__module__ else "{}"}
    made = [base]
    for field, kinds in _KINDS.items():
        if field in names:
            made = [{**each, field: kind} for each in made for kind in kinds]
    return made


def _nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def _put(base: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """Return ``base`` with ``value`` at ``path``; ``path`` is one name here, inner ones are shapes of their own."""
    return {**base, path[-1]: value}


def _minimal(type_: type[msgspec.Struct]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(type_):
        name = field.encode_name
        if field.required or name in ("model", "messages", "prompt", "input", "name"):
            found[name] = _named(name, field.type)
    if "stream" in type_.__struct_encode_fields__:
        found["stream"] = False
    if "prompt" in found and "messages" in found:
        del found["prompt"]
    return found


def _named(name: str, type_: Any) -> Any:
    if name == "model":
        return "sim"
    if name in _KINDS:
        return _KINDS[name][0]
    if name == "messages":
        return [{"role": "user", "content": "x"}]
    return _value(_options(type_)[0])


def _value(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _minimal(kind)
    if _is_list(kind):
        (item, *_) = typing.get_args(kind) or (str,)
        return [_value(_options(item)[0])]
    return {str: "x", int: 1, float: 1.0, bool: True, bytes: "eA=="}.get(kind, "x" if kind is not Any else 1)


def _is_list(kind: Any) -> bool:
    return typing.get_origin(kind) in (list, tuple) or kind in (list, tuple)


def _options(type_: Any) -> list[Any]:
    """Return the alternatives of a type, without None and annotations."""
    if typing.get_origin(type_) is typing.Annotated:
        return _options(typing.get_args(type_)[0])
    if typing.get_origin(type_) in (typing.Union, types.UnionType):
        return [option for arg in typing.get_args(type_) for option in _options(arg)]
    return [] if type_ in (type(None), msgspec.UnsetType) else [type_]


class Gateway:
    """The application in this process, and the clock beside it."""

    def __init__(self, folder: Path) -> None:
        from hyperllama.config import load

        try:
            from hyperllama.app.application import create_app
        except ImportError:
            from hyperllama.web.app import create_app  # type: ignore[import-not-found,no-redef]
        path = folder / "config.toml"
        path.write_text(_CONFIG + f'[store]\npath = "{folder}/store"\n[logs]\nlevel = "error"\n')
        self.app = create_app(load(path, {}))
        self.litestar = self.app.web.litestar if hasattr(self.app, "web") else self.app.litestar  # type: ignore[attr-defined]
        self.lag = self.held = 0.0

    def routes(self) -> Iterator[tuple[str, type[msgspec.Struct]]]:
        """Yield path and body type of every route that takes a body."""
        seen = set()
        for route in self.litestar.routes:
            for handler in getattr(route, "route_handlers", ()):
                type_ = handler.opt.get("accepts")
                if (
                    type_ is None
                    or any(part in route.path for part in _SKIP)
                    or route.path in _SKIP_EXACTLY
                    or "admin" in route.path
                ):
                    continue
                if id(type_) not in seen or "/v1" in route.path:
                    seen.add(id(type_))
                    if "{" not in route.path:
                        yield route.path, type_

    async def post(self, path: str, raw: bytes) -> tuple[int, float]:
        """Return the status and the CPU seconds of this process."""
        status = 0
        sent = False

        async def receive() -> Any:
            nonlocal sent
            if sent:
                await asyncio.get_running_loop().create_future()
            sent = True
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "POST",
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json"),
                        (b"content-length", str(len(raw)).encode())],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1), "state": {},
        }  # fmt: skip
        started = time.process_time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(120):
                await self.app(scope, receive, send)  # type: ignore[arg-type]
        return status, time.process_time() - started

    async def watch(self) -> None:
        """Keep ``lag`` and ``held`` at their most."""
        while True:
            before, own, all_ = time.perf_counter(), time.thread_time(), time.process_time()
            await asyncio.sleep(0.002)
            self.lag = max(self.lag, time.thread_time() - own)
            self.held = max(self.held, min(time.perf_counter() - before - 0.002, time.process_time() - all_))


async def measure(gateway: Gateway, path: str, shape: Shape, base: int) -> Row:
    """Send ``shape`` at each size and return what it cost."""
    seconds, size, status, lag, held = [], 0, 0, 0.0, 0.0
    for times in SIZES:
        raw = json.dumps(shape.body(base * times)).encode()
        size = len(raw)
        await asyncio.sleep(0.01)
        gateway.lag = gateway.held = 0.0
        status, spent = await gateway.post(path, raw)
        await asyncio.sleep(0.005)
        lag, held = max(lag, gateway.lag), max(held, gateway.held)
        seconds.append(spent)
    growth = math.log(seconds[-1] / seconds[-2], 4) if seconds[-1] > FLOOR and seconds[-2] > 0 else 0.0
    return Row(path, shape.name, size, tuple(seconds), growth, lag, held, status)


async def run(
    folder: Path, *, base: int, only: str = "", shallow: bool = False, report: Callable[[Row], None] = lambda _: None
) -> list[Row]:
    """Return a row for every route and shape; whoever calls it quiets the log, which would be timed with them."""
    gateway = Gateway(folder)
    rows = []
    async with _lifespan(gateway.app):
        gc.collect()
        gc.freeze()  # as ``serve`` does
        watching = asyncio.create_task(gateway.watch())
        for path, type_ in list(gateway.routes()):
            await gateway.post(path, json.dumps(_minimal(type_)).encode())  # the model loads
            for shape in shapes(type_):
                if only in f"{path} {shape.name}" and not (shallow and ("." in shape.name or "[" in shape.name)):
                    row = await measure(gateway, path, shape, base)
                    report(row)
                    rows.append(row)
        watching.cancel()
        gc.unfreeze()
    return rows


@contextlib.asynccontextmanager
async def _lifespan(app: Any) -> typing.AsyncIterator[None]:
    """Run ``app``'s start and stop."""
    incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outgoing: asyncio.Queue[Any] = asyncio.Queue()
    serving: Awaitable[Any] = app(
        {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, incoming.get, outgoing.put
    )
    task = asyncio.ensure_future(serving)
    await incoming.put({"type": "lifespan.startup"})
    await asyncio.wait_for(outgoing.get(), 60)
    yield
    await incoming.put({"type": "lifespan.shutdown"})
    await asyncio.wait({task}, timeout=30)


def line(row: Row) -> str:
    """Return a row of the table."""
    spent = " ".join(f"{each:8.3f}" for each in row.seconds)
    head = f"{row.path:32} {row.shape:58} {row.size:>9} {row.status}"
    return f"{head} {spent} {row.growth:6.2f} {row.lag * 1000:7.0f} {row.held * 1000:7.0f} {row.flags}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, help="another checkout to measure")
    parser.add_argument("--base", type=int, default=500, help="elements of the smallest body")
    parser.add_argument("--only", default="", help="rows whose route and shape hold this text")
    parser.add_argument("--shallow", action="store_true", help="the fields of the bodies, none within them")
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if chosen.root is not None:
        sys.path[:0] = [str(chosen.root / room) for room in ("core", "protocols", "plugins")]
    head = f"{'route':32} {'shape':58} {'bytes':>9} {'':3} {'1x':>8} {'4x':>8} {'16x':>8}"
    print(f"{head} {'growth':>6} {'lag ms':>7} {'held ms':>7}")
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(
            run(
                Path(folder),
                base=chosen.base,
                only=chosen.only,
                shallow=chosen.shallow,
                report=lambda row: print(line(row), flush=True),
            )
        )
    bad = [row for row in rows if row.flags]
    print(
        f"\n{len(rows)} rows, {len(bad)} flagged, worst lag {max((row.lag for row in rows), default=0) * 1000:.0f} ms"
    )
    for row in sorted(bad, key=lambda row: -row.lag):
        print(line(row))


if __name__ == "__main__":
    main()
