"""The command ``hyperllama-gateway bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hyperllama.errors import ConfigError

if TYPE_CHECKING:
    from hyperllama_bench.endpoint import Dialect, Endpoint
    from hyperllama_bench.report import Report


def _counts(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Parse a list of counts, such as ``1,8,64``."""
    try:
        counts = tuple(map(int, value.split(","))) if value is not None else None
    except ValueError:
        counts = ()
    if counts is not None and min(counts, default=0) < 1:
        raise click.BadParameter(f"{value!r} must be a list of counts, such as 1,8,64.")
    return counts


@click.command()
@click.option("--streams", callback=_counts, help="Streams, or clients, at once: 64; with --url a list, 1,8,64.")
@click.option("--tokens", callback=_counts, help="Tokens of each stream: 100, or 200 of the gateway by itself.")
@click.option("--requests", type=click.IntRange(1), help="Short requests: 2000; with --url, of each measurement.")
@click.option("--pace", default=100.0, show_default=True, help="Tokens a second of each stream; 0: as fast as they go.")
@click.option("--guarded", is_flag=True, help="With a key required, and limits of every kind.")
@click.option("--url", help="Drive the OpenAI or Ollama server at this URL.")
@click.option(
    "--dialect",
    type=click.Choice(["openai", "ollama"]),
    multiple=True,
    help="The server's dialect.",
)
@click.option("--name", multiple=True, help="The model's name at the server; default: the first listed that chats.")
@click.option("--key", multiple=True, help="The API key of the server.")
@click.option("--prompt-tokens", callback=_counts, default="32", show_default=True, help="Words in each prompt.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), multiple=True, help="Requests a second: an open loop.")
@click.option("--seed", type=int, help="Seed of prompts and arrivals; without one, another each time.")
@click.option("--against", help="Another URL, or max-serve: MAX behind the gateway and by itself. In turns.")
@click.option("--embeddings", is_flag=True, help="Measure gathered embeddings against each by itself, in turns.")
@click.option(
    "--model", type=click.Path(path_type=Path), help="The model's directory; without one, the built-in model's."
)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Number of alternations.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the figures into this directory, as JSON and HTML.")
@click.pass_obj
def bench(config_path: Path | None, /, out: Path | None, **options: Any) -> None:
    """Measure what the gateway costs, by itself or against MAX's own server at 1, 8 and 64 streams, or any server.

    With --url and --against, --dialect, --name and --key may be given twice, once for each server; a key that is
    given once goes to the first alone. --rate may be given several times, as lists of the other counts.
    """
    wanted = Options(**options)
    if wanted.url is not None:
        report = _drive(wanted, wanted.url)
    elif (
        len(wanted.streams or (64,)) > 1 or len(wanted.tokens or (0,)) > 1 or wanted.against not in (None, "max-serve")
    ):
        raise click.UsageError("Lists, and --against with a URL, are for --url.")
    else:
        report = _measure(wanted, config_path)
    for path in report.write(out) if out is not None else ():
        click.echo(f"written: {path}")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command that say what is measured."""

    streams: tuple[int, ...] | None
    tokens: tuple[int, ...] | None
    requests: int | None
    pace: float
    guarded: bool
    url: str | None
    dialect: tuple[Dialect, ...]
    name: tuple[str, ...]
    key: tuple[str, ...]
    prompt_tokens: tuple[int, ...]
    rate: tuple[float, ...]
    seed: int | None
    against: str | None
    embeddings: bool
    model: Path | None
    rounds: int
    device: str

    @property
    def lists(self) -> bool:
        """Return whether more than one count is given."""
        return len(self.streams or (64,)) > 1 or len(self.tokens or (0,)) > 1


def _drive(options: Options, url: str) -> Report:
    """Measure the server at ``url``, or two in turns."""
    from hyperllama_bench import drive

    if options.against == "max-serve" or options.embeddings or options.guarded or options.model:
        raise click.UsageError("--url takes no --embeddings, --guarded, --model or --against max-serve.")
    load = drive.Drive(
        streams=options.streams or (1, 8, 64),
        rates=options.rate,
        prompts=options.prompt_tokens,
        tokens=options.tokens or (100,),
        requests=options.requests,
        rounds=options.rounds,
        seed=options.seed,
    )
    urls = (url,) if options.against is None else (url, options.against)
    return drive.measure(load, _endpoints(urls, options), click.echo)


def _measure(options: Options, config_path: Path | None) -> Report:
    """Measure the gateway: what it costs by itself, beside MAX's own server, or what gathering embeddings saves."""
    from hyperllama_bench import embeds, overhead, versus

    (most,), tokens = options.streams or (64,), options.tokens[0] if options.tokens else None
    if options.embeddings:
        folder = options.model or _builtin(config_path, "hyperllama-tiny-embed")
        return embeds.measure(embeds.Gathering(folder, most, options.rounds, options.device), click.echo)
    if options.against is not None:
        folder = options.model or _builtin(config_path, "hyperllama-tiny")
        counts = tuple(sorted({1, 8, most} | ({64} if most > 64 else set())))
        return versus.measure(versus.Versus(folder, counts, tokens or 100, options.rounds, options.device), click.echo)
    load = overhead.Load(most, tokens or 200, options.requests or 2000, options.pace, options.guarded)
    return overhead.measure(load, click.echo)


def _endpoints(urls: tuple[str, ...], options: Options) -> list[Endpoint]:
    """Return the servers. A single dialect or name applies to both, a single key to the first only."""
    from hyperllama_bench import endpoint

    dialects, names, keys = options.dialect, options.name, options.key
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
    from hyperllama.testing import models

    folder = models.folder(name, config_path)
    if folder is None:
        raise ConfigError("The built-in model is not installed; name a directory with --model.")
    return folder


__all__ = ("Options", "bench")
