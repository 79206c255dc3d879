"""The load on any server: closed loop (a number of streams) or open (requests a second), on one or two in turns."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean, median

import msgspec

from hyperllama.testing import processes
from hyperllama_bench.endpoint import Answer, Endpoint, read, tried
from hyperllama_bench.load import Shot, Target, percentile, send
from hyperllama_bench.report import Plot, Report, Row, Say, text

WORDS = """
the a old small red harbour town river stone garden winter morning boat bread letter door street lamp music friend
teacher child question answer story map train bridge field cloud paper window table silver quiet early walks opens
carries finds reads writes keeps asks builds sells moves under behind across before after between with and then
because while never often always seven twelve north south market island mountain kitchen
"""
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
RATIOS = (
    "requests_per_second",
    "tokens_per_second",
    *(f"{what}_{share}_ms" for what in ("ttft", "gap") for share in SHARES),
    "cpu_us_per_token",
)
#: What a terminal has room for, as it is headed there. Times are milliseconds.
SHOWN = {
    "server": "server",
    "step": "step",
    "requests_per_second": "requests/s",
    "tokens_per_second": "tokens/s",
    **{f"ttft_{share}_ms": f"first {share}" for share in SHARES},
    **{f"gap_{share}_ms": f"gap {share}" for share in SHARES},
    "cpu_us_per_token": "CPU us/token",
    "errors": "errors",
}


class Drive(msgspec.Struct, frozen=True, kw_only=True):
    """A load: every rate, or else every number of streams, with every length of prompt and of answer."""

    streams: tuple[int, ...] = (1, 8, 64)
    rates: tuple[float, ...] = ()  # requests a second, as they come by chance; empty: a closed loop
    prompts: tuple[int, ...] = (32,)  # words
    tokens: tuple[int, ...] = (100,)
    requests: int | None = None  # of each measurement; None: enough to see something
    rounds: int = 3
    seed: int | None = None  # of prompts and arrivals; None: another each time, so that no cache knows the prompts

    def steps(self) -> list[Step]:
        return [
            Step(
                load, bool(self.rates), prompt, tokens, self.requests or max(16, int(load * (10 if self.rates else 4)))
            )
            for load, prompt, tokens in itertools.product(self.rates or self.streams, self.prompts, self.tokens)
        ]


class Step(msgspec.Struct, frozen=True):
    load: float  # streams, or requests a second when ``open``
    open: bool
    prompt: int
    tokens: int
    requests: int

    @property
    def name(self) -> str:
        return f"{self.load:g}{'/s' if self.open else ' streams'}, {self.prompt}+{self.tokens}"


def measure(drive: Drive, endpoints: Sequence[Endpoint], say: Say) -> Report:
    """Measure every step on one server, or ``rounds`` times on each of two in turns. Block, with a bar on stderr.

    Raises ConfigError when a server does not answer one first request.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    steps = drive.steps()
    seed = drive.seed if drive.seed is not None else secrets.randbelow(2**32)
    chance = random.Random(seed)  # noqa: S311 - words and pauses, no secrets
    named = _named([asyncio.run(tried(endpoint)) for endpoint in endpoints])
    report = _report(drive, named, seed)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    rounds = drive.rounds if len(named) > 1 else 1
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=2) as progress:
        bar = progress.add_task("", total=rounds * len(named) * sum(step.requests for step in steps))
        for number, step, (name, endpoint) in itertools.product(range(rounds), steps, named.items()):
            progress.update(bar, description=f"{name}: {step.name}")
            row, error = asyncio.run(_one(endpoint, step, chance, lambda: progress.advance(bar)))
            report.rows.append({"round": number + 1, "server": name, **row})
            if error:
                say(f"{name}: {step.name}: {row['errors']} of {step.requests} failed, the first: {error}")
    if len(named) > 1:
        for step in steps:
            report.summary.extend(_compared(report.rows, list(named), step.name))
    shown = report.summary or report.rows
    say(text([{head: row[column] for column, head in SHOWN.items() if column in row} for row in shown]))
    return report


def _named(endpoints: Sequence[Endpoint]) -> dict[str, Endpoint]:
    if len(endpoints) == 1:
        return {endpoints[0].place: endpoints[0]}
    return {f"{letter} {endpoint.place}": endpoint for letter, endpoint in zip("AB", endpoints, strict=True)}


def _report(drive: Drive, named: dict[str, Endpoint], seed: int) -> Report:
    models = {f"model at {name}": f"{endpoint.model} ({endpoint.dialect})" for name, endpoint in named.items()}
    two = len(named) > 1
    return Report(
        name="drive-against" if two else "drive",
        title=f"{' against '.join(named)}, {'open' if drive.rates else 'closed'} loop",
        settings={**models, "seed": seed, "rounds": drive.rounds if two else 1},
        plots=(
            Plot("Tokens a second", "tokens_per_second", "step", "server"),
            Plot("Requests a second", "requests_per_second", "step", "server"),
            Plot("First token, p50 ms", "ttft_p50_ms", "step", "server"),
            Plot("First token, p99 ms", "ttft_p99_ms", "step", "server"),
            Plot("Between tokens, p50 ms", "gap_p50_ms", "step", "server"),
            Plot("Between tokens, p99 ms", "gap_p99_ms", "step", "server"),
            Plot("Processor time a token, us", "cpu_us_per_token", "step", "server"),
        ),
    )


async def _one(endpoint: Endpoint, step: Step, chance: random.Random, advance: Callable[[], None]) -> tuple[Row, str]:
    """Return the figures of a step, and the message of its first failure or an empty string."""
    words = WORDS.split()
    targets = [
        endpoint.target(" ".join(chance.choices(words, k=step.prompt)), step.tokens) for _ in range(step.requests)
    ]
    pauses = [chance.expovariate(step.load) for _ in targets] if step.open else []
    pids = _processes(endpoint)
    began, cpu = time.monotonic(), _seconds(pids)
    if step.open:
        shots = await _arriving(targets, itertools.accumulate(pauses, initial=began), advance)
    else:
        shots = await _taking_turns(targets, int(step.load), advance)
    took, cpu = time.monotonic() - began, _seconds(pids) - cpu
    answers = [read(shot) for shot in shots]
    errors = [answer.error for answer in answers if answer.error]
    row = _figures(step, [answer for answer in answers if not answer.error], took)
    if pids and row["tokens"]:
        row["cpu_us_per_token"] = cpu / float(row["tokens"]) * 1e6
    return {**row, "errors": len(errors)}, next(iter(errors), "")


async def _taking_turns(targets: Sequence[Target], clients: int, advance: Callable[[], None]) -> list[Shot]:
    """Run a closed loop: each client sends its next request as soon as it is answered."""
    shots: list[Shot] = []
    left = _counted(targets, advance)

    async def client() -> None:
        for target in left:  # each turn a connection, for as long as the server keeps it
            shots.extend(await _sent(target, left))

    async with asyncio.TaskGroup() as clients_:
        for _ in range(clients):
            clients_.create_task(client())
    return shots


async def _arriving(targets: Sequence[Target], dues: Iterator[float], advance: Callable[[], None]) -> list[Shot]:
    """Run an open loop: each request goes out when it is due, on a connection of its own.

    A request counts as begun when it was due, since a late start is the server's doing.
    """
    shots: list[Shot] = []

    async def client(target: Target, due: float) -> None:
        await asyncio.sleep(due - time.monotonic())
        shot = (await _sent(target))[0]
        shot.began = due
        shots.append(shot)
        advance()

    async with asyncio.TaskGroup() as clients:
        for target, due in zip(targets, dues, strict=False):
            clients.create_task(client(target, due))
    return shots


def _counted(targets: Sequence[Target], advance: Callable[[], None]) -> Iterator[Target]:
    for target in targets:
        yield target
        advance()


async def _sent(first: Target, then: Iterable[Target] = ()) -> list[Shot]:
    try:
        return await send(first, then=then)
    except OSError:
        return [Shot()]


def _figures(step: Step, answers: Sequence[Answer], took: float) -> Row:
    waits = [answer.arrivals[0] - answer.began for answer in answers]
    gaps = [later - at for answer in answers for at, later in itertools.pairwise(answer.arrivals)]
    made = sum(answer.tokens for answer in answers)
    return {
        "step": step.name,
        "rate" if step.open else "streams": step.load,
        "requests_per_second": len(answers) / took,
        "tokens_per_second": made / took,
        **{f"ttft_{name}_ms": percentile(waits, share) * 1e3 for name, share in SHARES.items()},
        **{f"gap_{name}_ms": percentile(gaps, share) * 1e3 for name, share in SHARES.items()},
        **{
            f"whole_{name}_ms": percentile([answer.ended - answer.began for answer in answers], share) * 1e3
            for name, share in SHARES.items()
        },
        "tokens": made,
        "tokens_each": made / max(len(answers), 1),
        "prompt_tokens_each": fmean(answer.prompt for answer in answers) if answers else 0,
    }


def _compared(rows: Sequence[Row], servers: Sequence[str], step: str) -> list[Row]:
    """Return the medians of each of two servers, and the ratio of the first's to the second's."""
    both: list[Row] = []
    for server in servers:
        mine = [row for row in rows if row["server"] == server and row["step"] == step]
        figures = {
            name: median(float(row[name]) for row in mine) for name in RATIOS if all(name in row for row in mine)
        }
        both.append({"server": server, "step": step, **figures, "errors": sum(int(row["errors"]) for row in mine)})
    ours, theirs = both
    times = {name: float(ours[name]) / float(theirs[name]) for name in RATIOS if ours.get(name) and theirs.get(name)}
    return [*both, {"server": "A / B", "step": step, **times}]


def _processes(endpoint: Endpoint) -> list[int]:
    """Return the server's processes and their descendants; empty if it is remote or they may not be inspected."""
    try:
        address = str(socket.getaddrinfo(endpoint.host, 0, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError:
        return []
    if not processes.address_is_local(address):
        return []
    found = processes.listening(endpoint.port)
    return sorted({*found, *(below for pid in found for below in processes.children(pid))})


def _seconds(pids: Sequence[int]) -> float:
    return sum(map(processes.cpu_seconds, pids))


__all__ = ("Drive", "Step", "measure")
