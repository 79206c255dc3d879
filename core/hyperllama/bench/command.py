"""``hyperllama-gateway bench``."""

from __future__ import annotations

from pathlib import Path

import click

from hyperllama.errors import ConfigError


@click.command()
@click.option("--streams", default=64, show_default=True, help="Streams, or clients, at once.")
@click.option("--tokens", default=None, type=int, help="Tokens of each stream; 100 against MAX, otherwise 200.")
@click.option("--requests", default=2000, show_default=True, help="Short requests.")
@click.option("--pace", default=100.0, show_default=True, help="Tokens a second of each stream; 0: as fast as they go.")
@click.option(
    "--against", type=click.Choice(["max-serve"]), help="Measure MAX behind the gateway and by itself, in turns."
)
@click.option("--embeddings", is_flag=True, help="Measure gathered embeddings against each by itself, in turns.")
@click.option(
    "--model", type=click.Path(path_type=Path), help="The model's directory; without one, the built-in model's."
)
@click.option("--rounds", default=3, show_default=True, help="Alternations.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Leave the figures there, as JSON and as a page.")
@click.pass_obj
def bench(
    config_path: Path | None,
    streams: int,
    tokens: int | None,
    requests: int,
    pace: float,
    against: str | None,
    embeddings: bool,
    model: Path | None,
    rounds: int,
    device: str,
    out: Path | None,
) -> None:
    """Measure what the gateway costs, by itself or against MAX's own server at 1, 8 and 64 streams."""
    from hyperllama.bench import embeds, overhead, versus

    if embeddings:
        folder = model or _builtin(config_path, "hyperllama-tiny-embed")
        report = embeds.measure(embeds.Gathering(folder, streams, rounds, device), click.echo)
    elif against is not None:
        folder = model or _builtin(config_path, "hyperllama-tiny")
        counts = tuple(sorted({1, 8, streams} | ({64} if streams > 64 else set())))
        report = versus.measure(versus.Versus(folder, counts, tokens or 100, rounds, device), click.echo)
    else:
        report = overhead.measure(overhead.Load(streams, tokens or 200, requests, pace), click.echo)
    for path in report.write(out) if out is not None else ():
        click.echo(f"written: {path}")


def _builtin(config_path: Path | None, name: str) -> Path:
    from hyperllama import config
    from hyperllama.web.app import create_app

    entry = create_app(config.load(config_path)).catalog.find(name)
    if entry.path is None:
        raise ConfigError("the built-in model is not installed; name a directory with --model")
    return entry.path


__all__ = ("bench",)
