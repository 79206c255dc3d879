"""Run one gateway in this process: listen, serve, apply changes of its configuration, drain, end."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import structlog
import uvloop

from hyperllama.app.application import Application
from hyperllama.app.reload import Reloader, Stamp
from hyperllama.config.exposure import describe_exposure
from hyperllama.server.body_rules import declared_encodings, declared_limits
from hyperllama.server.bounds import Bounds
from hyperllama.server.guard import Guard, within_descriptors
from hyperllama.server.loop_lag import LoopLag
from hyperllama.server.server import serve
from hyperllama.server.shutdown import Shutdown
from hyperllama.web.ops import ServerState

log = structlog.get_logger("hyperllama")


def run(app: Application, path: Path | None, *, seen: Stamp | None = None) -> int:
    """Serve until stopped and return the exit code of the process. Block. Raise ConfigError when it cannot listen.

    ``path`` is the configuration file, watched for changes since it had the stamp ``seen``; None: there is none.
    """
    security = describe_exposure(app.config, keys=app.requires_keys)
    uvloop.run(_serve(app, Reloader(app, path, seen=seen) if path is not None else None, security))
    # Python takes its own handlers away while it ends; a late SIGHUP would make the exit code -1.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return 0


async def _serve(app: Application, reloader: Reloader | None, security: str) -> None:
    config = app.config
    watch = asyncio.create_task(reloader.watch()) if reloader is not None else None
    if watch is not None:
        watch.add_done_callback(_watch_ended)

    lag = LoopLag(on_stall=lambda seconds: log.warning("the event loop was busy", seconds=round(seconds, 3)))

    body_limit = declared_limits(app.web.litestar, config.server.max_body_bytes)
    encodings = declared_encodings(app.web.litestar)
    bounds = Bounds.of(config.server, body_limit=body_limit, encodings=encodings, spell=app.web.format_refusal)
    guard = Guard(within_descriptors(bounds))
    if app.generation.metrics is not None:
        app.generation.metrics.add(ServerState(guard, lag))

    def listening(host: str, port: int) -> None:
        log.info("listening", host=host, port=port, security=security)
        lag.start()
        for name, why in app.models.skipped.items():
            log.warning("model skipped", model=name, reason=why)
        if config.server.insecure_no_auth:
            log.warning("no keys are required", security=security)

    drain = Shutdown(on_begin=app.begin_shutdown)
    await serve(
        app,
        config,
        on_listening=listening,
        drain=drain,
        on_reload=reloader.request if reloader is not None else _nothing_to_reload,
        abort=app.pipeline.abort,
        guard=guard,
    )
    lag.stop()
    if watch is not None:
        watch.cancel()
    log.info("stopped")


def _nothing_to_reload() -> None:
    log.warning("SIGHUP is ignored: there is no configuration file to reload")


def _watch_ended(watch: asyncio.Task[None]) -> None:
    if not watch.cancelled():
        log.error("the configuration file is no longer watched; restart the gateway", exc_info=watch.exception())


__all__ = ("run",)
