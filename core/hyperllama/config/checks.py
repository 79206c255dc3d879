"""Checks across fields: names that collide, tiers that exist, rates, networks, the storage of limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperllama.config import rates
from hyperllama.config.convert import convert
from hyperllama.config.schema import Allowance, Config, Grant
from hyperllama.errors import ConfigError
from hyperllama.system.network import parse_network

_STORAGES = ("memory", "redis://", "rediss://", "redis+unix://", "async+redis")
_RATES = ("requests", "input_tokens", "output_tokens", "tokens")


def check(config: Config, where: str) -> None:
    """Raise ConfigError, which names ``where`` and the key, for a configuration that cannot be meant."""
    names: dict[str, str] = {}
    for name, spec in config.models.items():
        for alias in (name, *spec.aliases):
            if alias.casefold() in names:
                raise ConfigError(f"{where}: models.{name}: {alias!r} already names model {names[alias.casefold()]!r}.")
            names[alias.casefold()] = name
    if 0 < config.server.sse_keep_alive < 0.1:
        raise ConfigError(f"{where}: server.sse_keep_alive: Must be at least 0.1 seconds, or 0 for never.")
    _check_limits(config, where)
    for place, grant in _grants(config).items():
        _check_grant(grant, config, place, where)
    for place, networks in (("keys.networks", config.keys.networks), ("admin.networks", config.admin.networks)):
        for network in networks:
            try:
                parse_network(network)
            except ValueError as error:
                raise ConfigError(f"{where}: {place}.{network}: {error}.") from error


def check_allowance(table: Mapping[str, Any], place: str, where: str = "") -> Allowance:
    """Return the allowance of the table at ``place``, without its ``tier``. Raises ConfigError, which names the key."""
    own = {key: value for key, value in table.items() if key != "tier"}
    allowance = convert(own, Allowance, where, at=(place,))
    _check_rates(allowance, f"{where}: {place}" if where else place)
    return allowance


def _check_limits(config: Config, where: str) -> None:
    limits = config.limits
    if not limits.storage.startswith(_STORAGES):
        kind = limits.storage.split(":")[0]  # what follows may hold a password
        raise ConfigError(f'{where}: limits.storage: Must be "memory" or a redis:// URL, not {kind!r}.')
    shared = {"limits.owner": limits.owner, "limits.network": limits.network}
    shared |= {f"limits.models.{name}": table for name, table in limits.models.items()}
    shared |= {f"limits.key_models.{name}": table for name, table in limits.key_models.items()}
    for place, table in shared.items():
        if table.quotas:
            raise ConfigError(f"{where}: {place}: Daily and monthly quotas belong to keys: [limits.key] or a tier.")
    tiers = {f"limits.tiers.{name}": table for name, table in limits.tiers.items()}
    for place, table in {"limits.key": limits.key, **shared, **tiers}.items():
        _check_rates(table, f"{where}: {place}")


def _check_rates(table: Allowance, where: str) -> None:
    for key in _RATES:
        try:
            rates.parse(getattr(table, key))
        except ValueError as error:
            raise ConfigError(f"{where}.{key}: {error}") from error


def _grants(config: Config) -> dict[str, Grant]:
    static: dict[str, Grant] = {f"keys.static.{name}": key for name, key in config.keys.static.items()}
    return static | {f"keys.networks.{name}": grant for name, grant in config.keys.networks.items()}


def _check_grant(grant: Grant, config: Config, place: str, where: str) -> None:
    check_allowance(grant.limits, f"{place}.limits", where)
    tier = grant.limits.get("tier")
    if tier is not None and tier not in config.limits.tiers:
        raise ConfigError(f"{where}: {place}.limits.tier: There is no [limits.tiers.{tier}].")


__all__ = ("check", "check_allowance")
