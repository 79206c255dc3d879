"""The ``models`` commands: list, pull, copy and delete what the store holds, with or without a server running."""

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
    from hyperllama.app.models import Models
    from hyperllama.config import Config
    from hyperllama.database.database import Database
    from hyperllama.identity import Caller
    from hyperllama.spi import Progress as Report


@click.group()
def models() -> None:
    """Manage the models in the store. A running server sees each change at once."""


@models.command("list")
@click.pass_obj
def models_list(config_path: Path | None) -> None:
    """List every model with its engine and size."""
    for entry in _build(config_path).models.catalog.entries():
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

    built = _build(config_path)
    telemetry.configure(built.config.logs)
    for name, seconds in warm(built.models.catalog, names):
        click.echo(f"{name}: ready in {seconds:.1f} s")


@models.command("pull")
@click.argument("name")
@click.pass_obj
def models_pull(config_path: Path | None, name: str) -> None:
    """Download the model NAME: org/repo, hf.co/org/repo:QUANT, or a name of [store.names]."""
    _steps(config_path, lambda models, caller: models.managed.pull(name, caller))


@models.command("show")
@click.argument("name")
@click.pass_obj
def models_show(config_path: Path | None, name: str) -> None:
    """Show details of the model NAME."""
    info = _guarded(lambda: _build(config_path).models.catalog.find(name).info)
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
    built = _build(config_path)

    async def work() -> None:
        try:
            await built.models.managed.copy(source, destination, _caller())
        finally:
            await built.database.close()

    _guarded(lambda: asyncio.run(work()))
    click.echo(f"copied {source} to {destination}")


@models.command("delete")
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def models_delete(config_path: Path | None, names: tuple[str, ...]) -> None:
    """Delete models, and the files that no other model uses."""
    built = _build(config_path)

    async def work() -> None:
        try:
            for name in names:
                await built.models.managed.delete(name, _caller())
                click.echo(f"deleted {name}")
        finally:
            await built.database.close()

    _guarded(lambda: asyncio.run(work()))


@models.command("check")
@click.pass_obj
def models_check(config_path: Path | None) -> None:
    """Read every file of the store and list what is damaged or missing; exit with 1 then."""
    from hyperllama import config
    from hyperllama.modelstore.confined import ConfinedDirectory
    from hyperllama.modelstore.integrity import check

    wrong = check(ConfinedDirectory((config.load(config_path).store_path / "models").absolute()))
    for line in wrong:
        click.echo(line)
    if wrong:
        click.get_current_context().exit(1)
    click.echo("The store is complete.")


class _Built(msgspec.Struct, frozen=True):
    """The parts of the gateway that these commands work on."""

    config: Config
    database: Database
    models: Models


def _build(config_path: Path | None) -> _Built:
    """Return the models of a configuration, without pipeline and web. The audit log prints nothing."""
    from hyperllama import config
    from hyperllama.app.models import build_models
    from hyperllama.app.plugins import Plugins
    from hyperllama.database.audit import AuditLog
    from hyperllama.database.database import Database

    settings = config.load(config_path)
    database = Database(settings.store_path, settings.store.database)
    audit = AuditLog(database, settings.admin)
    audit.mute()
    return _Built(settings, database, build_models(settings, Plugins(settings), database, audit))


def _caller() -> Caller:
    from hyperllama.cli.keys import user
    from hyperllama.identity import LOCAL, Caller

    return Caller(protocol="cli", principal=msgspec.structs.replace(LOCAL, name=user()), request_id="cli")


def _steps(config_path: Path | None, start: Callable[[Models, Caller], AsyncGenerator[Report, None]]) -> None:
    """Run the work with a progress bar for each file."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    built = _build(config_path)

    async def work() -> None:
        bars: dict[str, TaskID] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console()) as progress:
            try:
                async with aclosing(start(built.models, _caller())) as steps:
                    async for step in steps:
                        if not step.total:
                            progress.console.print(_sentence(step))
                            continue
                        sentence = _sentence(step)
                        if sentence not in bars:
                            bars[sentence] = progress.add_task(sentence, total=step.total)
                        progress.update(bars[sentence], completed=step.completed)
            finally:
                await built.models.store.close()
                await built.database.close()

    _guarded(lambda: asyncio.run(work()))


def _sentence(report: Report) -> str:
    """Return a line for a person about one report of the store."""
    words = report.phase.replace("_", " ").capitalize()
    return f"{words} {report.digest.removeprefix('sha256:')[:12]}".rstrip()


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except GatewayError as error:
        raise click.ClickException(error.message) from error


__all__ = ("models",)
