"""config.toml, as types, and the one way it is read."""

from __future__ import annotations

from hyperllama.config.checks import check_allowance
from hyperllama.config.durations import Lifetime, Seconds, Timeout, parse_duration
from hyperllama.config.load import load
from hyperllama.config.schema import (
    Admin,
    Allowance,
    Batches,
    BodyLimits,
    Config,
    Grant,
    Jwt,
    Keys,
    Limits,
    Logs,
    Metrics,
    PluginChoice,
    Queue,
    Section,
    Server,
    StaticKey,
    Store,
)

__all__ = (
    "Admin",
    "Allowance",
    "Batches",
    "BodyLimits",
    "Config",
    "Grant",
    "Jwt",
    "Keys",
    "Lifetime",
    "Limits",
    "Logs",
    "Metrics",
    "PluginChoice",
    "Queue",
    "Seconds",
    "Section",
    "Server",
    "StaticKey",
    "Store",
    "Timeout",
    "check_allowance",
    "load",
    "parse_duration",
)
