"""``hyperllama-gateway config``: the configuration described for editors."""

from __future__ import annotations

import json

import click


@click.group("config")
def config_group() -> None:
    """Describe the configuration file."""


@config_group.command()
def schema() -> None:
    """Print the JSON schema of config.toml, for editors that complete and check TOML."""
    from hyperllama.config.json_schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2, sort_keys=True))


__all__ = ("config_group",)
