"""The entry point of ``hyperllama-gateway``. Light, so that little time passes before it handles SIGHUP."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command and exit. A configuration that cannot be served: one line on standard error, exit code 2."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # else nohup's: it is to be ignored, whatever the command
        signal.signal(signal.SIGHUP, ignore_hangup)  # it means "reload", and must not kill a server that starts
    import click

    from hyperllama.cli.commands import cli
    from hyperllama.errors import ConfigError
    from hyperllama.system.terminal import one_line

    try:
        code = cli.main(standalone_mode=False)
    except ConfigError as error:
        click.echo(f"hyperllama-gateway: {one_line(error)}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def ignore_hangup(*_: object) -> None:
    """Handle a signal by doing nothing. Unlike SIG_IGN, processes that are started do not inherit it."""


def die_of_hangup() -> None:
    """Let SIGHUP end this process again: it is a command at a terminal, not a server."""
    if signal.getsignal(signal.SIGHUP) is ignore_hangup:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


__all__ = ("die_of_hangup", "ignore_hangup", "main")
