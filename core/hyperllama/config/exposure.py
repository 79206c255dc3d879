"""Exposure of the gateway: who can reach it, with or without a key; refusal of an open one by accident."""

from __future__ import annotations

from hyperllama.config import Config
from hyperllama.errors import ConfigError
from hyperllama.system.network import is_loopback


def describe_exposure(config: Config, *, keys: bool) -> str:
    """Describe who can reach the gateway, for the start-up line. ``keys``: some provider requires credentials.

    Raises ConfigError for an address that others reach without any key, unless ``insecure_no_auth`` allows it.
    """
    local = is_loopback(config.server.host)
    if keys:
        return f"{'this machine' if local else 'other machines too'}, with a key"
    if local:
        return "this machine only, without keys"
    if config.server.insecure_no_auth:
        return "OTHER MACHINES TOO, WITHOUT KEYS: anyone who reaches this port may use and manage every model"
    raise ConfigError(
        f"server.host: {config.server.host} can be reached from other machines and no keys are configured; "
        "create one with 'hyperllama-gateway keys create', listen on 127.0.0.1, or type --insecure-no-auth."
    )


__all__ = ("describe_exposure",)
