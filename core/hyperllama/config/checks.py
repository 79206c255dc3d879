"""What the types of the configuration cannot say: ranges, names that collide, tiers that are there."""

from __future__ import annotations

import ipaddress
import re

from hyperllama.config import rates
from hyperllama.config.convert import convert
from hyperllama.config.durations import parse_duration
from hyperllama.config.schema import Allowance, Config
from hyperllama.errors import ConfigError


def check(config: Config, where: str) -> None:
    server = config.server
    if not 0 <= server.port <= 65535:
        raise ConfigError(f"{where}: server.port: {server.port} is no TCP port; take 1 to 65535, or 0 for a free one")
    timeouts = ("header_timeout", "body_timeout", "stall_timeout", "idle_timeout")
    for key, limit in (("drain_timeout", 0.0), *((name, 0.1) for name in timeouts)):
        if getattr(server, key) < limit:
            raise ConfigError(f"{where}: server.{key}: must be at least {limit} seconds")
    if server.sse_keep_alive and not server.sse_keep_alive >= 0.1:
        raise ConfigError(f"{where}: server.sse_keep_alive: must be at least 0.1 seconds, or 0 for never")
    if config.logs.format not in ("auto", "console", "json"):
        raise ConfigError(f"{where}: logs.format: {config.logs.format!r} is none of auto, console, json")
    if config.logs.level not in ("debug", "info", "warning", "error"):
        raise ConfigError(f"{where}: logs.level: {config.logs.level!r} is none of debug, info, warning, error")
    _check_duration(server.keep_alive, f"{where}: server.keep_alive")
    _check_access(config, where)
    names: dict[str, str] = {}
    for name, spec in config.models.items():
        if spec.keep_alive is not None:
            _check_duration(spec.keep_alive, f"{where}: models.{name}.keep_alive")
        if spec.max_batch_size < 1:
            raise ConfigError(f"{where}: models.{name}.max_batch_size: must be at least 1")
        if spec.max_length is not None and spec.max_length < 16:
            raise ConfigError(f"{where}: models.{name}.max_length: must be at least 16 tokens")
        for alias in (name, *spec.aliases):
            if alias.casefold() in names:
                raise ConfigError(f"{where}: models.{name}: {alias!r} already names model {names[alias.casefold()]!r}")
            names[alias.casefold()] = name


def _check_access(config: Config, where: str) -> None:
    limits, queue, keys = config.limits, config.queue, config.keys
    tables = {"limits.key": limits.key, "limits.owner": limits.owner, "limits.network": limits.network}
    tables |= {f"limits.models.{name}": table for name, table in limits.models.items()}
    tables |= {f"limits.key_models.{name}": table for name, table in limits.key_models.items()}
    tables |= {f"limits.tiers.{name}": table for name, table in limits.tiers.items()}
    for place, table in tables.items():
        _check_allowance(table, f"{where}: {place}")
    for name, table in tables.items():
        if name != "limits.key" and not name.startswith("limits.tiers.") and table.quotas:
            raise ConfigError(f"{where}: {name}: daily and monthly quotas belong to keys: [limits.key] or a tier")
    if not limits.storage.startswith(("memory", "redis://", "rediss://", "redis+unix://", "async+redis")):
        raise ConfigError(
            f'{where}: limits.storage: {limits.storage.split(":")[0]!r} is neither "memory" nor a redis:// URL'
        )
    if limits.timeout <= 0 or limits.assumed_output_tokens < 1:
        raise ConfigError(f"{where}: limits: timeout must be above 0 and assumed_output_tokens at least 1")
    grants = {f"keys.static.{name}": key for name, key in keys.static.items()}
    for place, grant in {**grants, **{f"keys.networks.{name}": grant for name, grant in keys.networks.items()}}.items():
        if grant.weight <= 0 or not -10 <= grant.priority <= 10:
            raise ConfigError(f"{where}: {place}: weight must be above 0 and priority between -10 and 10")
        own = {key: value for key, value in grant.limits.items() if key != "tier"}
        _check_allowance(convert(own, Allowance, f"{where}: {place}.limits"), f"{where}: {place}.limits")
        if (tier := grant.limits.get("tier")) is not None and tier not in limits.tiers:
            raise ConfigError(f"{where}: {place}.limits.tier: there is no [limits.tiers.{tier}]")
    for name in keys.networks:
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            raise ConfigError(f"{where}: keys.networks.{name}: {error}") from error
    for name, key in keys.static.items():
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", key.hash):
            raise ConfigError(f'{where}: keys.static.{name}.hash: must be "sha256:" and 64 hex digits; see keys hash')
    _check_kept(config, where)
    for place, value in (("keys.cache", keys.cache), ("keys.grace", keys.grace), ("queue.max_wait", queue.max_wait)):
        _check_duration(value, f"{where}: {place}")
    if not 0 <= parse_duration(keys.cache) <= 60:
        raise ConfigError(f"{where}: keys.cache: at most 60s, so that a revoked key stops working")
    if queue.max_waiting < 0 or queue.max_waiting_tokens < 1 or queue.ahead < 0 or queue.embed_max_inputs < 1:
        raise ConfigError(f"{where}: queue: max_waiting and ahead are at least 0, the other counts at least 1")
    if not 0 <= queue.floor <= 0.5 or not all(0 <= d <= 1 for d in (queue.embed_max_delay, queue.generate_max_delay)):
        raise ConfigError(f"{where}: queue: floor is between 0 and 0.5, the two max_delay between 0 and 1 second")


def _check_kept(config: Config, where: str) -> None:
    batches, admin = config.batches, config.admin
    for key in ("max_file_bytes", "max_key_bytes", "max_lines", "max_open", "running"):
        if getattr(batches, key) < 1:
            raise ConfigError(f"{where}: batches.{key}: must be at least 1")
    if batches.concurrency < 0 or admin.audit_max < 1:
        raise ConfigError(f"{where}: batches.concurrency is at least 0, admin.audit_max at least 1")
    _check_duration(batches.keep, f"{where}: batches.keep")
    _check_duration(admin.audit_keep, f"{where}: admin.audit_keep")
    for network in admin.networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(f"{where}: admin.networks: {error}") from error


def _check_allowance(table: Allowance, where: str) -> None:
    for key in ("requests", "input_tokens", "output_tokens", "tokens"):
        try:
            rates.parse(getattr(table, key))
        except ValueError as error:
            raise ConfigError(f"{where}.{key}: {error}") from error
    for key in ("concurrent", "daily_requests", "daily_tokens", "monthly_requests", "monthly_tokens"):
        if (value := getattr(table, key)) is not None and value < 1:
            raise ConfigError(f"{where}.{key}: must be at least 1; leave it out for no limit")


def _check_duration(value: float | str, where: str) -> None:
    try:
        parse_duration(value)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


__all__ = ("check",)
