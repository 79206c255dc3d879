"""The ``models`` sub-commands: what the store holds and how that changes, with or without a server running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from hyperllama.errors import GatewayError

T = TypeVar("T")

if TYPE_CHECKING:
    from hyperllama.app.application import Application
    from hyperllama.identity import Caller
    from hyperllama.modelstore.shared_work import Step


@click.group()
def models() -> None:
    """What can be asked for. A server that runs sees what is changed here at once."""


@models.command("list")
@click.pass_obj
def models_list(config_path: Path | None) -> None:
    """Every model, with its engine and size."""
    for entry in _app(config_path).catalog.entries():
        info = entry.info
        size = f"{info.size_bytes / 2**20:,.1f} MiB" if info.size_bytes else "not here yet"
        click.echo(f"{info.name:<32} {info.engine:<6} {size:>14}  {', '.join(info.aliases)}")


@models.command("warm")
@click.argument("names", nargs=-1)
@click.pass_obj
def models_warm(config_path: Path | None, names: tuple[str, ...]) -> None:
    """Load each model once, so that its compiled form is in the cache."""
    from hyperllama.catalog.warm import warm
    from hyperllama.observability import logging as telemetry

    app = _app(config_path)
    telemetry.configure(app.config.logs)
    for name, seconds in warm(app.catalog, names):
        click.echo(f"{name}: ready in {seconds:.1f} s")


@models.command("pull")
@click.argument("name")
@click.pass_obj
def models_pull(config_path: Path | None, name: str) -> None:
    """Fetch NAME: org/repo, hf.co/org/repo:QUANT, or a name of [store.names]."""
    _steps(config_path, lambda app, caller: app.managed.pull(name, caller))


@models.command("show")
@click.argument("name")
@click.pass_obj
def models_show(config_path: Path | None, name: str) -> None:
    """What is known of NAME."""
    info = _guarded(lambda: _app(config_path).catalog.find(name).info)
    rows = {
        "name": info.name,
        "engine": info.engine,
        "family": info.family,
        "parameters": f"{info.parameter_count:,}" if info.parameter_count else "",
        "quantization": info.quantization,
        "context": f"{info.context_length:,} tokens" if info.context_length else "",
        "capabilities": ", ".join(sorted(info.capabilities)),
        "size": f"{info.size_bytes / 2**20:,.1f} MiB" if info.size_bytes else "",
        "digest": info.digest,
        "parent": info.parent,
        "system": info.system or "",
        "license": info.license.partition("\n")[0],
        **{f"parameter {key}": str(value) for key, value in info.parameters.items()},
    }
    for key, value in rows.items():
        if value:
            click.echo(f"{key:<24} {value}")


@models.command("copy")
@click.argument("source")
@click.argument("destination")
@click.pass_obj
def models_copy(config_path: Path | None, source: str, destination: str) -> None:
    """Give SOURCE a second name."""
    app = _app(config_path)

    async def work() -> None:
        try:
            await app.managed.copy(source, destination, _caller())
        finally:
            await app.database.close()

    _guarded(lambda: asyncio.run(work()))
    click.echo(f"{source} is {destination} too")


@models.command("delete")
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def models_delete(config_path: Path | None, names: tuple[str, ...]) -> None:
    """Remove models, and the files that no other model uses."""
    app = _app(config_path)

    async def work() -> None:
        try:
            for name in names:
                await app.managed.delete(name, _caller())
                click.echo(f"{name} is gone")
        finally:
            await app.database.close()

    _guarded(lambda: asyncio.run(work()))


@models.command("check")
@click.pass_obj
def models_check(config_path: Path | None) -> None:
    """Read every file of the store and say what is damaged or missing; exit code 1 then."""
    from hyperllama import config
    from hyperllama.modelstore.confined import ConfinedDirectory
    from hyperllama.modelstore.integrity import check

    wrong = check(ConfinedDirectory((config.load(config_path).store_path / "models").absolute()))
    for line in wrong:
        click.echo(line)
    if wrong:
        click.get_current_context().exit(1)
    click.echo("the store is whole")


def _app(config_path: Path | None) -> Application:
    from hyperllama import config
    from hyperllama.app.application import create_app

    app = create_app(config.load(config_path))
    app.audit.mute()
    return app


def _caller() -> Caller:
    from hyperllama.cli.keys import user
    from hyperllama.identity import LOCAL, Caller

    return Caller(protocol="cli", principal=msgspec.structs.replace(LOCAL, name=user()), request_id="cli")


def _steps(config_path: Path | None, start: Callable[[Application, Caller], AsyncGenerator[Step, None]]) -> None:
    """Run the work, each file with a bar of its own."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    app = _app(config_path)

    async def work() -> None:
        bars: dict[str, TaskID] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console()) as progress:
            try:
                async with aclosing(start(app, _caller())) as steps:
                    async for step in steps:
                        if not step.total:
                            progress.console.print(step.status)
                            continue
                        if step.status not in bars:
                            bars[step.status] = progress.add_task(step.status, total=step.total)
                        progress.update(bars[step.status], completed=step.completed)
            finally:
                await app.store.close()
                await app.database.close()

    _guarded(lambda: asyncio.run(work()))


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except GatewayError as error:
        raise click.ClickException(error.message) from error


__all__ = ("models",)
