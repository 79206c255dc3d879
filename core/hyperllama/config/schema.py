"""config.toml, as types."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from hyperllama.config.convert import convert
from hyperllama.config.durations import Lifetime, Seconds, Timeout
from hyperllama.identity import Permission
from hyperllama.models import ModelSpec

T = TypeVar("T", bound=msgspec.Struct)
MAX_WEIGHT = 1e6
MAX_PRIORITY = 10

Count: TypeAlias = Annotated[int, Meta(ge=1)]
CountOrNone: TypeAlias = Annotated[int, Meta(ge=0)]  # 0 has a meaning of its own
Weight: TypeAlias = Annotated[float, Meta(gt=0, le=MAX_WEIGHT)]
Priority: TypeAlias = Annotated[int, Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY)]
Delay: TypeAlias = Annotated[
    float, Meta(ge=0, le=1, extra={"duration": True}, extra_json_schema={"format": "duration"})
]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file. Unknown keys are refused."""


class Grant(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rights of an authenticated caller. ``limits`` is an Allowance of its own, and may name a ``tier``."""

    owner: str = ""  # groups several keys for [limits.owner] and usage; empty: none
    permissions: tuple[Permission, ...] = ("infer", "models:read")
    models: tuple[str, ...] | None = None  # shell patterns of model names; None: every model
    limits: dict[str, Any] = {}
    weight: Weight = 1.0  # share of a busy model, against other keys
    priority: Priority = 0  # higher goes first


class StaticKey(Grant, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key by its hash: ``keys hash`` prints it, and the key itself is in no file."""

    hash: Annotated[
        str,
        Meta(pattern="^sha256:[0-9a-f]{64}$", description="'sha256:' and 64 hex digits, as 'keys hash' prints them"),
    ]
    expires: datetime | None = None  # None: never


class Jwt(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens of an identity provider (OIDC), verified with its public keys. Needs the extra ``jwt``."""

    issuer: str  # must equal the claim "iss"
    audience: str  # must be in the claim "aud"
    jwks: str = ""  # URL or file of the provider's keys; empty: <issuer>/.well-known/openid-configuration says
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    leeway: Seconds = 30.0  # by which clocks may differ
    refresh: Seconds = 3600.0  # how long fetched keys are good
    subject_claim: str = "sub"  # claim with the caller's id, which limits and usage are kept by
    name_claim: str = "email"  # shown in logs where the token has it
    owner_claim: str = ""  # a group or tenant; empty: the subject itself
    permissions_claim: str = "scope"  # a list, or words between spaces
    permissions: dict[str, tuple[Permission, ...]] = {}  # the claim's word -> permissions; empty: our own words
    models_claim: str = ""  # patterns of models allowed; empty: every model
    tier_claim: str = ""  # the claim that names one of [limits.tiers]; empty: none


class Keys(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """API keys and other credentials. Empty: this machine only, everything allowed, until the first key is created."""

    required: bool | None = None  # True: no caller without a key; None: as soon as there is any key
    static: dict[str, StaticKey] = {}  # by name
    networks: dict[str, Grant] = {}  # by CIDR, for clients that cannot send a key
    jwt: Jwt | None = None
    pepper: str = ""  # secret mixed into stored hashes; empty: a file of the store, made at first use
    # How long a key is believed without asking the database: a minute at most, so that a revoked key stops working.
    cache: Annotated[float, Meta(ge=0, le=60, extra={"duration": True}, extra_json_schema={"format": "duration"})] = (
        60.0
    )
    grace: Lifetime = 86_400.0  # how long a rotated key's old secret still works


class Allowance(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts allowed, in ``<amount>/<window>``: "600/minute", "100000/5 minutes"; several windows hold at once."""

    requests: str | tuple[str, ...] = ()
    input_tokens: str | tuple[str, ...] = ()
    output_tokens: str | tuple[str, ...] = ()
    tokens: str | tuple[str, ...] = ()  # both together
    concurrent: Count | None = None  # requests at the same time; None: any number
    daily_requests: Count | None = None  # quotas: calendar days and months in UTC, kept in the database; None: none
    daily_tokens: Count | None = None
    monthly_requests: Count | None = None
    monthly_tokens: Count | None = None

    @property
    def quotas(self) -> bool:
        """True when a daily or monthly quota is set."""
        return any((self.daily_requests, self.daily_tokens, self.monthly_requests, self.monthly_tokens))


class Limits(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits on what callers use. Empty: no limit."""

    storage: str = "memory"  # "redis://host:6379/0": shared by several gateways
    timeout: Annotated[float, Meta(gt=0, le=60, extra={"duration": True}, extra_json_schema={"format": "duration"})] = (
        0.25  # seconds the shared storage may take; beyond, each gateway limits by itself
    )
    assumed_output_tokens: Count = 256  # set aside for an answer whose length the client did not bound
    key: Allowance = Allowance()  # each key, or each unnamed caller
    owner: Allowance = Allowance()  # all keys of one owner together
    network: Allowance = Allowance()  # each address (IPv6: each /64)
    models: dict[str, Allowance] = {}  # by pattern of model names: everybody's use of one model together
    key_models: dict[str, Allowance] = {}  # by pattern: each key's use of one model
    tiers: dict[str, Allowance] = {}  # replace [limits.key] for keys whose own table says tier = "<name>"


class Queue(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Waiting for a busy model, and gathering embeddings into batches."""

    max_waiting: CountOrNone = 512  # requests per model that may wait for a place in the batch
    max_waiting_tokens: Count = 1_000_000  # and their prompt tokens together, estimated
    max_wait: Lifetime = 300.0  # a request that would wait longer is refused
    ahead: CountOrNone = 0  # requests handed to the engine beyond its batch, so that the next one is at hand
    floor: Annotated[float, Meta(ge=0, le=0.5)] = (
        0.05  # share of a busy model that each lower priority gets all the same
    )
    embed_batching: bool = True  # one engine call for the embeddings of several clients; else one client at a time
    embed_max_inputs: Count = 64  # texts in one such call at most
    embed_max_delay: Delay = 0.01  # seconds a text waits at most for others to join it, while a call is running
    generate_max_delay: Delay = 0.05  # the same for generations, on engines that take whole batches only


class Batches(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files that callers upload, and batches of requests that run while the models are idle."""

    enabled: bool = True
    max_file_bytes: Count = 100 * 1024 * 1024
    max_key_bytes: Count = 1024 * 1024 * 1024  # of all files of one key; beyond, uploads are refused
    max_key_files: Count = 10_000
    max_bytes: Count = 64 * 1024 * 1024 * 1024  # of all files of all keys
    max_lines: Count = 50_000
    max_line_bytes: Count = 16 * 1024 * 1024  # of one line of a batch
    max_open: Count = 100  # batches of one key that have not ended
    max_all_open: Count = 10_000  # and of all keys
    max_key_ended: Count = 10_000  # batches of one key that have ended; the oldest are forgotten
    running: Count = 4  # batches under way at once; the others wait their turn
    concurrency: CountOrNone = (
        0  # lines of one batch at once; 0: three quarters of what the model's engine takes together
    )
    keep: Lifetime = 2_592_000.0  # how long files and ended batches are kept


class Admin(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The admin API, ``/admin/v1``, and the log of what was done through it and on the command line."""

    enabled: bool = True
    networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")  # whom it answers, by CIDR, whatever key they have
    audit_keep: Lifetime = 31_536_000.0  # how long acts stay in the log
    audit_max: Count = 1_000_000  # and how many; the oldest go first, of the owner that has most


class Server(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 11434  # 0: a free one
    keep_alive: Lifetime = 300.0  # how long an idle model stays; negative: for ever
    drain_timeout: Seconds = 30.0  # seconds that running requests get when the gateway stops
    max_body_bytes: Count = 32 * 1024 * 1024
    max_header_bytes: Count = 32 * 1024
    max_headers: Count = 100
    max_url_bytes: Count = 8 * 1024
    header_timeout: Timeout = 10.0  # seconds for the whole request head
    body_timeout: Timeout = 60.0  # seconds for a request body, unless it comes at min_body_rate
    stall_timeout: Timeout = 60.0  # seconds a reader may take nothing before its stream is cut
    idle_timeout: Timeout = 75.0  # seconds a connection may rest between two requests
    sse_keep_alive: Seconds = 15.0  # seconds without an event after which an event stream gets a comment; 0: never
    min_body_rate: CountOrNone = 1024  # bytes a second that a sender must keep up once five seconds have passed
    max_connections: Count = 10_000
    max_connections_per_address: Count = 256  # not for this machine's own addresses: a proxy speaks for many
    cors_origins: tuple[str, ...] = ()  # beside those that a dialect allows
    allowed_hosts: tuple[str, ...] = ()  # Host names beside loopback ones and addresses of this machine
    memory_budget: Count | None = (
        None  # bytes that loaded models may take together; None: 80 % of what is free at start
    )
    max_loaded_models: CountOrNone = 0  # 0: as many as the memory budget holds
    openapi: bool = False
    # Hosts whose images and documents may be fetched by https if a request names one by URL: "cdn.example.com" itself,
    # ".example.com" all beneath; empty: both come inside requests or not at all.
    image_hosts: tuple[str, ...] = ()
    insecure_no_auth: bool = False  # serve other machines without keys


class BodyLimits(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[body]``: how much of each thing one request may hold, the same in every dialect.

    At these bounds a request is read in about a second of one thread; the event loop runs on meanwhile.
    """

    values: Count = 1_000_000  # of JSON, all together
    members: Count = 100_000  # of all JSON objects together
    containers: Count = 100_000  # JSON arrays and objects
    messages: Count = 8_192  # messages of a conversation, items of a response
    parts: Count = 16_384  # content parts of all messages
    images: Count = 128  # dialects may allow fewer
    inputs: Count = 65_536  # texts to embed or to rank, prompts to complete
    tools: Count = 4_096
    tool_calls: Count = 8_192  # in all messages
    stops: Count = 1_024  # stop sequences
    stop_bytes: Count = 16_384  # of all stop sequences
    biases: Count = 4_096  # tokens with a bias
    choices: Count = 4_096  # options of guided output
    name_bytes: Count = 1_048_576  # of all roles, names and ids
    opaque_bytes: Count = 2_097_152  # of what is kept without being read, as encrypted thoughts


class Store(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: str = "~/.local/share/hyperllama"  # database, model files, compile caches
    database: str = (
        ""  # "postgresql://user@host/name": keys and usage shared by several gateways; empty: SQLite in path
    )
    max_key_bytes: Count | None = None  # of model files that one key uploads; None: any number
    max_record_bytes: CountOrNone = (
        256 * 1024 * 1024
    )  # of stored responses and the like, all together; the oldest go first, of the owner that has most
    max_key_record_bytes: Count = 64 * 1024 * 1024  # and of those of one key, whose own oldest go
    max_key_records: Count = 10_000
    hub_timeout: Timeout = 4.0  # seconds that the Hugging Face Hub may be silent, or send less than 4 KiB a second
    names: dict[str, str] = msgspec.field(default_factory=dict)  # short name: the "hf:org/repo" that pulling it fetches


class Logs(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"  # auto: console on a terminal, else json


class Metrics(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: bool = True


class PluginChoice(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: tuple[str, ...] | None = None  # None: every plugin installed
    disabled: tuple[str, ...] = ()

    def chooses(self, name: str) -> bool:
        """Return whether the plugin of that name is to be loaded."""
        return name not in self.disabled and (self.enabled is None or name in self.enabled)


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    server: Server = Server()
    models: dict[str, ModelSpec] = {}
    keys: Keys = Keys()
    limits: Limits = Limits()
    queue: Queue = Queue()
    batches: Batches = Batches()
    admin: Admin = Admin()
    body: BodyLimits = BodyLimits()
    store: Store = Store()
    logs: Logs = Logs()
    metrics: Metrics = Metrics()
    plugins: PluginChoice = PluginChoice()
    plugin: dict[str, dict[str, Any]] = {}

    def section(self, name: str, type_: type[T]) -> T:
        """Return ``[plugin.<name>]`` converted to ``type_``; its defaults when absent. Raises ConfigError."""
        return convert(self.plugin.get(name, {}), type_, "configuration", at=("plugin", name))

    @property
    def store_path(self) -> Path:
        return Path(self.store.path).expanduser()


__all__ = (
    "Admin",
    "Allowance",
    "Batches",
    "BodyLimits",
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
)
