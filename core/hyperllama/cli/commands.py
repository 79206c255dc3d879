"""The ``hyperllama-gateway`` command: ``serve`` when no sub-command is named."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyperllama import __version__
from hyperllama.cli.config import config_group
from hyperllama.cli.keys import audit, keys, usage
from hyperllama.cli.main import die_of_hangup
from hyperllama.cli.models import models
from hyperllama.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from hyperllama.app.application import Application
    from hyperllama.catalog.entry import Entry

MIB = 1 << 20
CONFIG_HELP = "The configuration file. Without one: built-in defaults and the built-in model."


class _Commands(click.Group):
    """Our commands, then plugins': those are loaded only when a name is not ours, or all are listed."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return super().get_command(context, name) or self._of_plugins(context).get(name)

    def list_commands(self, context: click.Context) -> list[str]:
        try:
            theirs = self._of_plugins(context)
        except ConfigError:  # help must be had with a broken configuration, too
            theirs = {}
        return sorted({*super().list_commands(context), *theirs})

    def _of_plugins(self, context: click.Context) -> dict[str, click.Command]:
        from hyperllama import config
        from hyperllama.app.plugins import Plugins

        offered = [item.command for item in Plugins(config.load(context.params.get("config_path"))).commands()]
        return {command.name: command for command in offered if command.name is not None}


@click.group(cls=_Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "config_path", type=click.Path(path_type=Path), envvar="HYPERLLAMA_CONFIG", help=CONFIG_HELP)
@click.option("--insecure-no-auth", is_flag=True, help="Serve other machines without any key. Anyone may do anything.")
@click.version_option(__version__, prog_name="hyperllama-gateway")
@click.pass_context
def cli(context: click.Context, config_path: Path | None, insecure_no_auth: bool) -> None:
    """One port that speaks Ollama, OpenAI and Anthropic over models that Modular MAX runs."""
    context.obj = config_path
    if context.invoked_subcommand not in (None, "serve"):
        die_of_hangup()
    if insecure_no_auth:
        os.environ["HYPERLLAMA_SERVER_INSECURE_NO_AUTH"] = "true"
    if context.invoked_subcommand is None:
        context.invoke(serve)


@cli.command()
@click.pass_obj
def serve(config_path: Path | None) -> None:
    """Serve until stopped (Ctrl-C, SIGTERM)."""
    from hyperllama.app.reload import stamp
    from hyperllama.app.run import run
    from hyperllama.system.executors import SWITCH_INTERVAL

    seen = stamp(config_path) if config_path is not None else None
    app = _application(config_path, logs=True)
    gc.freeze()  # what start-up made stays: collections need not look at it again
    sys.setswitchinterval(SWITCH_INTERVAL)  # a thread that reads a large body gives way to the event loop
    sys.exit(run(app, config_path, seen=seen))


@cli.command()
@click.pass_obj
def check(config_path: Path | None) -> None:
    """Check the configuration and show what would be served."""
    from hyperllama.config.exposure import describe_exposure

    app = _application(config_path)
    settings = app.config
    click.echo(f"configuration  {config_path or 'built-in defaults'}")
    click.echo(f"listens on     {settings.server.host}:{settings.server.port}")
    click.echo(f"security       {describe_exposure(settings, keys=app.requires_keys)}")
    click.echo(f"store          {settings.store_path}")
    click.echo(f"protocols      {', '.join(sorted(app.plugins.protocols()))}")
    click.echo(f"engines        {', '.join(sorted(app.plugins.engines()))}")
    for entry in app.catalog.entries():
        info = entry.info
        what = ", ".join(sorted(info.capabilities)) or "unknown until fetched"
        click.echo(f"model          {info.name} on {info.engine}: {info.context_length} tokens, {what}")
        if info.memory_bytes:
            click.echo(f"memory         {info.name}: {_memory(entry, app.catalog.memory)}")
    for name, why in app.models.skipped.items():
        click.echo(f"skipped        {name}: {why}")


def _application(config_path: Path | None, *, logs: bool = False) -> Application:
    """Build the application. Raise ConfigError with one sentence, whatever the configuration brings about."""
    from hyperllama import config
    from hyperllama.app.application import create_app
    from hyperllama.observability import logging as telemetry

    try:
        settings = config.load(config_path)
        if logs:
            telemetry.configure(settings.logs)
        return create_app(settings)
    except (ConfigError, GatewayError):
        raise
    except Exception as error:  # a plugin's, or one of ours that was not foreseen
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{config_path or 'built-in defaults'}: the gateway cannot be built: {reason}") from error


def _memory(entry: Entry, budget: int) -> str:
    """Return the sum that the load of a model does."""
    info, configured = entry.info, entry.spec.max_batch_size
    words = f"about {info.memory_bytes / MIB:,.0f} of {budget / MIB:,.0f} MiB"
    if info.memory_bytes > budget:
        return f"{words}: too much, it will not load; take a smaller max_length or model"
    if entry.loads.max_batch_size < configured:
        words += f", {info.max_batch_size} answers at once, since {configured} do not fit"
    return words


cli.add_command(models)


@cli.group()
def plugins() -> None:
    """Inspect plugins."""


@plugins.command("list")
@click.pass_obj
def plugins_list(config_path: Path | None) -> None:
    """List the installed plugins."""
    from hyperllama import config
    from hyperllama.app.plugins import inspect

    for fact in inspect(config.load(config_path)):
        state = "disabled" if not fact.enabled else "broken" if fact.problem else "loaded"
        hooks = ", ".join(hook.removeprefix("hyperllama_") for hook in fact.hooks)
        click.echo(f"{fact.name:<16} {state:<9} {fact.distribution} {fact.version}  {hooks}")


@plugins.command("doctor")
@click.pass_obj
def plugins_doctor(config_path: Path | None) -> None:
    """Check every plugin and show what is wrong; exit with 1 then."""
    from hyperllama import config
    from hyperllama.app.plugins import inspect

    facts = inspect(config.load(config_path))
    broken = [fact for fact in facts if fact.problem]
    for fact in broken:
        click.echo(f"{fact.name} ({fact.distribution} {fact.version}, {fact.module}): {fact.problem}")
    if broken:
        sys.exit(1)
    click.echo(f"{len(facts)} plugins, no problems")


for _command in (config_group, keys, usage, audit):
    cli.add_command(_command)


__all__ = ("cli",)
