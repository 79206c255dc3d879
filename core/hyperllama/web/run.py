"""One process's life: listen, say so, serve, drain, end."""

from __future__ import annotations

import structlog
import uvloop

from hyperllama.config import Config
from hyperllama.posture import posture
from hyperllama.web.app import Application
from hyperllama.web.bodies import declared_encodings, declared_limits
from hyperllama.web.drain import Drain
from hyperllama.web.lag import LoopLag
from hyperllama.web.server import serve

log = structlog.get_logger("hyperllama")


def run(app: Application, config: Config) -> int:
    """Serve until stopped; the process's exit code. Blocks. Raises ConfigError when it cannot listen."""
    security = posture(config, keys=app.asks_for_keys)
    uvloop.run(_serve(app, config, security))
    return 0


async def _serve(app: Application, config: Config, security: str) -> None:
    def listening(host: str, port: int) -> None:
        log.info("listening", host=host, port=port, security=security)
        if config.server.insecure_no_auth:
            log.warning("no keys are asked for", security=security)

    drain = Drain(on_begin=app.stop_taking_work)
    lag = LoopLag(on_stall=lambda seconds: log.warning("the event loop was busy", seconds=round(seconds, 3)))
    lag.start()
    await serve(
        app,
        config,
        on_listening=listening,
        drain=drain,
        abort=app.pipeline.abort,
        body_limit=declared_limits(app.litestar, config.server.max_body_bytes),
        encodings=declared_encodings(app.litestar),
    )
    lag.stop()
    log.info("stopped")


__all__ = ("run",)
