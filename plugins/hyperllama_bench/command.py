"""``hyperllama-gateway bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyperllama.errors import ConfigError

if TYPE_CHECKING:
    from hyperllama_bench.endpoint import Dialect, Endpoint


def _counts(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """``1,8,64``."""
    try:
        counts = tuple(map(int, value.split(","))) if value is not None else None
    except ValueError:
        counts = ()
    if counts is not None and min(counts, default=0) < 1:
        raise click.BadParameter(f"{value!r} is no list of counts, such as 1,8,64")
    return counts


@click.command()
@click.option("--streams", callback=_counts, help="Streams, or clients, at once: 64; with --url a list, 1,8,64.")
@click.option("--tokens", callback=_counts, help="Tokens of each stream: 100, or 200 of the gateway by itself.")
@click.option("--requests", type=click.IntRange(1), help="Short requests: 2000; with --url, of each measurement.")
@click.option("--pace", default=100.0, show_default=True, help="Tokens a second of each stream; 0: as fast as they go.")
@click.option("--guarded", is_flag=True, help="With a key required, and limits of every kind.")
@click.option("--url", help="Drive the OpenAI or Ollama server that is there.")
@click.option("--dialect", type=click.Choice(["openai", "ollama"]), multiple=True, help="What it speaks, if not clear.")
@click.option("--name", multiple=True, help="What the server calls the model: the first it lists that chats.")
@click.option("--key", multiple=True, help="The server's key.")
@click.option("--prompt-tokens", callback=_counts, default="32", show_default=True, help="Words of each prompt.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), multiple=True, help="Requests a second: an open loop.")
@click.option("--seed", type=int, help="Of prompts and arrivals; without one, another each time.")
@click.option("--against", help="Another URL, or max-serve: MAX behind the gateway and by itself. In turns.")
@click.option("--embeddings", is_flag=True, help="Measure gathered embeddings against each by itself, in turns.")
@click.option(
    "--model", type=click.Path(path_type=Path), help="The model's directory; without one, the built-in model's."
)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Alternations.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Leave the figures there, as JSON and as a page.")
@click.pass_obj
def bench(
    config_path: Path | None,
    streams: tuple[int, ...] | None,
    tokens: tuple[int, ...] | None,
    requests: int | None,
    pace: float,
    guarded: bool,
    url: str | None,
    dialect: tuple[Dialect, ...],
    name: tuple[str, ...],
    key: tuple[str, ...],
    prompt_tokens: tuple[int, ...],
    rate: tuple[float, ...],
    seed: int | None,
    against: str | None,
    embeddings: bool,
    model: Path | None,
    rounds: int,
    device: str,
    out: Path | None,
) -> None:
    """Measure what the gateway costs, by itself or against MAX's own server at 1, 8 and 64 streams, or any server.

    With --url and --against, --dialect, --name and --key may be given twice, once for each server; a key that is
    given once goes to the first alone. --rate may be given several times, as lists of the other counts.
    """
    from hyperllama_bench import drive, embeds, overhead, versus

    if url is not None:
        if against == "max-serve" or embeddings or guarded or model:
            raise click.UsageError("--url takes no --embeddings, --guarded, --model or --against max-serve")
        what = drive.Drive(
            streams=streams or (1, 8, 64),
            rates=rate,
            prompts=prompt_tokens,
            tokens=tokens or (100,),
            requests=requests,
            rounds=rounds,
            seed=seed,
        )
        urls = (url,) if against is None else (url, against)
        report = drive.measure(what, _endpoints(urls, dialect, name, key), click.echo)
    else:
        if len(streams or (64,)) > 1 or len(tokens or (0,)) > 1 or against not in (None, "max-serve"):
            raise click.UsageError("lists, and --against with a URL, are for --url")
        (most,), made = streams or (64,), tokens[0] if tokens else None
        if embeddings:
            folder = model or _builtin(config_path, "hyperllama-tiny-embed")
            report = embeds.measure(embeds.Gathering(folder, most, rounds, device), click.echo)
        elif against is not None:
            folder = model or _builtin(config_path, "hyperllama-tiny")
            counts = tuple(sorted({1, 8, most} | ({64} if most > 64 else set())))
            report = versus.measure(versus.Versus(folder, counts, made or 100, rounds, device), click.echo)
        else:
            load = overhead.Load(most, made or 200, requests or 2000, pace, guarded)
            report = overhead.measure(load, click.echo)
    for path in report.write(out) if out is not None else ():
        click.echo(f"written: {path}")


def _endpoints(
    urls: tuple[str, ...], dialects: tuple[Dialect, ...], names: tuple[str, ...], keys: tuple[str, ...]
) -> list[Endpoint]:
    """A dialect or a name that is given once is both servers'; a key never goes where it was not meant for."""
    from hyperllama_bench import endpoint

    return [
        endpoint.find(
            url,
            dialect=dialects[min(at, len(dialects) - 1)] if dialects else None,
            model=names[min(at, len(names) - 1)] if names else None,
            key=keys[at] if at < len(keys) else "",
        )
        for at, url in enumerate(urls)
    ]


def _builtin(config_path: Path | None, name: str) -> Path:
    from hyperllama import config
    from hyperllama.app.application import create_app

    entry = create_app(config.load(config_path)).catalog.find(name)
    if entry.path is None:
        raise ConfigError("the built-in model is not installed; name a directory with --model")
    return entry.path


__all__ = ("bench",)
