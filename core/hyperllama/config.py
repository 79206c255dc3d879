"""config.toml, as types, and the one way it is read."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from hyperllama import durations, rates
from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec
from hyperllama.sections import Admin, Allowance, Batches, Grant, Jwt, Keys, Limits, Queue, Section, StaticKey

T = TypeVar("T", bound=msgspec.Struct)

PREFIX = "HYPERLLAMA_"


class Server(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 11434
    keep_alive: float | str = "5m"  # how long an idle model stays; "-1": for ever
    drain_timeout: float = 30.0  # seconds that running requests get when the gateway stops
    max_body_bytes: int = 16 * 1024 * 1024
    max_header_bytes: int = 32 * 1024
    max_headers: int = 100
    max_url_bytes: int = 8 * 1024
    header_timeout: float = 10.0  # seconds for the whole request head
    body_timeout: float = 60.0  # seconds for the whole request body
    stall_timeout: float = 60.0  # seconds a reader may take nothing before its stream is cut
    idle_timeout: float = 75.0  # seconds a connection may rest between two requests
    sse_keep_alive: float = 15.0  # seconds without an event after which an event stream gets a comment; 0: never
    min_body_rate: int = 1024  # bytes a second that a sender must keep up once five seconds have passed
    max_connections: int = 10_000
    max_connections_per_address: int = 256  # not for this machine's own addresses: a proxy speaks for many
    cors_origins: tuple[str, ...] = ()  # beside Ollama's built-in ones
    allowed_hosts: tuple[str, ...] = ()  # Host names beside loopback ones and addresses of this machine
    memory_budget: int | None = None  # bytes that loaded models may take together; None: 80 % of what is free at start
    max_loaded_models: int = 0  # 0: as many as the memory budget holds
    openapi: bool = False
    # Hosts whose images may be fetched, by https, when a request names one by URL: "cdn.example.com" itself,
    # ".example.com" all beneath; empty: images come inside requests or not at all.
    image_hosts: tuple[str, ...] = ()
    insecure_no_auth: bool = False  # serve other machines without keys


class Store(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: str = "~/.local/share/hyperllama"  # database, model files, compile caches
    database: str = (
        ""  # "postgresql://user@host/name": keys and usage shared by several gateways; empty: SQLite in path
    )
    max_key_bytes: int | None = None  # of model files that one key uploads; None: any number
    max_record_bytes: int = 256 * 1024 * 1024  # of stored responses and the like, all together; the oldest go first
    names: dict[str, str] = msgspec.field(default_factory=dict)  # short name: the "hf:org/repo" that pulling it fetches


class Logs(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: str = "info"  # debug, info, warning, error
    format: str = "auto"  # "console", "json"; "auto": console on a terminal


class Metrics(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: bool = True


class PluginChoice(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: tuple[str, ...] | None = None  # None: every plugin installed
    disabled: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    server: Server = Server()
    models: dict[str, ModelSpec] = {}
    keys: Keys = Keys()
    limits: Limits = Limits()
    queue: Queue = Queue()
    batches: Batches = Batches()
    admin: Admin = Admin()
    store: Store = Store()
    logs: Logs = Logs()
    metrics: Metrics = Metrics()
    plugins: PluginChoice = PluginChoice()
    plugin: dict[str, dict[str, Any]] = {}

    def section(self, name: str, type_: type[T]) -> T:
        """``[plugin.<name>]`` converted to ``type_``; its defaults when absent. Raises ConfigError."""
        return _convert(self.plugin.get(name, {}), type_, "configuration", at=("plugin", name))

    @property
    def store_path(self) -> Path:
        return Path(self.store.path).expanduser()


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the file (None: defaults alone), then overrides from ``environ``. Raises ConfigError with one clear line."""
    tables: dict[str, Any] = {}
    where = "defaults"
    if path is not None:
        where = str(path)
        try:
            tables = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"{where}: cannot read the configuration: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where}: not valid TOML: {error}") from error
    _override(tables, environ)
    models = tables.get("models")
    if isinstance(models, dict):  # one at a time: msgspec names no keys of a mapping
        for name, table in models.items():
            _convert(table, ModelSpec, where, at=("models", name))
    config: Config = _convert(tables, Config, where)
    named = {name: msgspec.structs.replace(spec, name=name) for name, spec in config.models.items()}
    config = msgspec.structs.replace(config, models=named)
    _check(config, where)
    return config


def _convert(value: object, type_: type[T], where: str, *, at: tuple[str, ...] = ()) -> T:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_explain(str(error), type_, at)}") from error


def _explain(text: str, type_: type[msgspec.Struct], at: tuple[str, ...]) -> str:
    """msgspec's sentence with the TOML path in place of its own, and the nearest known key."""
    path = re.search(r" - at `([^`]*)`", text)
    text = text[: path.start()] if path else text
    steps = [step.strip("[]") for step in re.findall(r"\.[\w-]+|\[[^\]]*\]", path.group(1) if path else "")]
    steps = [step.lstrip(".") for step in steps]
    known = _fields(type_, steps)
    steps = [*at, *steps]
    unknown = re.search(r"unknown field `([^`]*)`", text)
    if unknown is None:
        return f"{'.'.join(steps)}: {text}" if steps else text
    near = difflib.get_close_matches(unknown.group(1), known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(sorted(known))}"
    place = f"[{'.'.join(steps)}]: " if steps else ""
    return f"{place}unknown key {unknown.group(1)!r}; {hint}"


def _fields(type_: type[msgspec.Struct], steps: list[str]) -> list[str]:
    here: Any = type_
    for step in steps:
        if isinstance(here, type) and issubclass(here, msgspec.Struct):
            here = get_type_hints(here).get(step)
        else:  # dict[str, X]
            here = get_args(here)[-1] if get_args(here) else None
    if not (isinstance(here, type) and issubclass(here, msgspec.Struct)):
        args = [arg for arg in get_args(here) if arg is not type(None)]
        here = args[-1] if args else None
    return list(here.__struct_fields__) if isinstance(here, type) and issubclass(here, msgspec.Struct) else []


_OLLAMA_COUNTS = {
    "OLLAMA_MAX_LOADED_MODELS": ("server", "max_loaded_models"),
    "OLLAMA_MAX_QUEUE": ("queue", "max_waiting"),
}


def _override(tables: dict[str, Any], environ: Mapping[str, str]) -> None:
    """``HYPERLLAMA_<TABLE>_<KEY>`` replaces a scalar; ``OLLAMA_HOST`` and its like mean what Ollama says.

    Ours win over Ollama's, and both over the file.
    """
    server = tables.setdefault("server", {})
    if ollama := environ.get("OLLAMA_HOST", "").strip().strip("\"'"):
        server["host"], server["port"] = _ollama_host(ollama)
    if kept := environ.get("OLLAMA_KEEP_ALIVE", "").strip().strip("\"'"):
        server["keep_alive"] = float(kept) if re.fullmatch(r"-?\d+", kept) else kept
    for name, (table, key) in _OLLAMA_COUNTS.items():
        count = environ.get(name, "").strip().strip("\"'")
        if count.isascii() and count.isdigit():  # to Ollama anything else is as if it were not said
            tables.setdefault(table, {})[key] = int(count)
    if (origins := environ.get("OLLAMA_ORIGINS", "").strip().strip("\"'")) and isinstance(server, dict):
        server["cors_origins"] = [
            *server.get("cors_origins", []),
            *(o.strip() for o in origins.split(",") if o.strip()),
        ]
    hints = get_type_hints(Config)
    for table, type_ in hints.items():
        if not (isinstance(type_, type) and issubclass(type_, Section)):
            continue
        for key, hint in get_type_hints(type_).items():
            name = f"{PREFIX}{table}_{key}".upper()
            if name in environ:
                tables.setdefault(table, {})[key] = _scalar(environ[name], hint, name)


def _scalar(text: str, hint: Any, name: str) -> Any:
    try:
        return msgspec.convert(text, hint, strict=False)
    except msgspec.ValidationError:
        pass
    try:
        return msgspec.convert(tuple(part.strip() for part in text.split(",") if part.strip()), hint)
    except msgspec.ValidationError as error:
        raise ConfigError(f"environment: {name}={text!r}: {error}") from error


def _ollama_host(text: str) -> tuple[str, int]:
    """Host and port as Ollama reads OLLAMA_HOST: a bare host or a bad port mean 11434, ``:p`` is every interface."""
    scheme, _, rest = text.rpartition("://")
    rest = rest.split("/", 1)[0]
    default = {"http": 80, "https": 443}.get(scheme, 11434)
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", rest)
    if match is None:
        return rest.strip("[]"), default  # an IPv6 address without brackets
    host, port = match.group(1).strip("[]"), match.group(2)
    if port is not None and not (port.isdigit() and int(port) <= 65535):
        port = "11434"
    return host or ("0.0.0.0" if port else "127.0.0.1"), int(port) if port else default  # noqa: S104 - Ollama's meaning


def _check(config: Config, where: str) -> None:
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
        _check_allowance(_convert(own, Allowance, f"{where}: {place}.limits"), f"{where}: {place}.limits")
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
    if not 0 <= durations.keep_alive(keys.cache) <= 60:
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
        durations.keep_alive(value)
    except ValueError as error:
        raise ConfigError(f'{where}: {error}; write seconds (300) or a duration ("5m"), negative for ever') from error


__all__ = (
    "Admin",
    "Allowance",
    "Batches",
    "Config",
    "Grant",
    "Jwt",
    "Keys",
    "Limits",
    "Logs",
    "Metrics",
    "PluginChoice",
    "Queue",
    "Section",
    "Server",
    "StaticKey",
    "Store",
    "load",
)
