"""The command ``hyperllama-gateway bench``: load, processor time, and a report of both."""

from __future__ import annotations

from collections.abc import Iterable

import click

from hyperllama import hookimpl
from hyperllama.spi import Command


class BenchCommand:
    """The sub-command ``bench``."""

    @property
    def command(self) -> click.Command:
        from hyperllama_bench.command import bench

        return bench


@hookimpl
def hyperllama_commands() -> Iterable[Command]:
    return (BenchCommand(),)


__all__ = ("BenchCommand", "hyperllama_commands")
