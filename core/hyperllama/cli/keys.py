"""``hyperllama-gateway keys``: make, show and end keys, in the database a running gateway watches."""

from __future__ import annotations

import asyncio
import functools
import getpass
import hashlib
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click
import msgspec

from hyperllama import config
from hyperllama.auth.key_service import Change, Draft, KeyService
from hyperllama.config import Allowance, Config
from hyperllama.database.api_key import PREFIX
from hyperllama.database.audit import Actor
from hyperllama.errors import GatewayError
from hyperllama.identity import PERMISSIONS

if TYPE_CHECKING:
    from hyperllama.database.api_key import Issued, Key
    from hyperllama.database.database import Database

P = ParamSpec("P")

RATES = ("requests", "input_tokens", "output_tokens", "tokens")


def _waited_for(command: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Run a coroutine as a command; what the gateway refuses becomes one line on standard error."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            asyncio.run(command(*args, **kwargs))
        except GatewayError as error:
            raise click.ClickException(error.message) from error

    return run


@click.group()
def keys() -> None:
    """Manage API keys."""


@keys.command("create")
@click.argument("name")
@click.option("--owner", default="", help="A person, team or customer: groups keys for limits and usage.")
@click.option("--permission", "permissions", multiple=True, type=click.Choice(PERMISSIONS), help="Repeatable.")
@click.option("--model", "models", multiple=True, help="Pattern of model names it may use; repeatable. Default: all.")
@click.option("--limit", "limits", multiple=True, metavar="WHAT=RATE", help='As "requests=600/minute"; repeatable.')
@click.option("--tier", default="", help="One of [limits.tiers].")
@click.option("--weight", default=1.0, show_default=True, help="Share of a busy model, against other keys.")
@click.option("--priority", default=0, show_default=True, type=click.IntRange(-10, 10), help="Higher goes first.")
@click.option("--expires", default="", help='After a duration ("720h", "30d") or on a date ("2027-01-31").')
@click.pass_obj
@_waited_for
async def create(
    config_path: Path | None,
    name: str,
    owner: str,
    permissions: tuple[str, ...],
    models: tuple[str, ...],
    limits: tuple[str, ...],
    tier: str,
    weight: float,
    priority: int,
    expires: str,
) -> None:
    """Create a key and print its secret, once."""
    fields: dict[str, Any] = {"permissions": permissions} if permissions else {}
    draft = Draft(
        name=name,
        owner=owner,
        models=models or None,
        limits=_table(limits, tier),
        weight=weight,
        priority=priority,
        expires=expires or None,
        **fields,
    )
    async with _key_service(config.load(config_path)) as service:
        _show_once(await service.create(draft, _actor()))


@keys.command("list")
@click.option("--all", "everything", is_flag=True, help="Revoked and expired ones too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
@_waited_for
async def list_keys(config_path: Path | None, everything: bool, as_json: bool) -> None:
    """List keys, without their secrets."""
    settings = config.load(config_path)
    async with _key_service(settings) as service:
        found = await service.all(ended=everything)
    for key in found:
        click.echo(msgspec.json.encode(key).decode() if as_json else _line(key))
    if not as_json:
        for name, static in settings.keys.static.items():
            click.echo(f"{name:<24} {'(config)':<26} {','.join(static.permissions)}")


@keys.command("rotate")
@click.argument("name")
@click.option("--grace", default=None, help='How long the old secret still works: "24h", "0s". Default: [keys] grace.')
@click.pass_obj
@_waited_for
async def rotate(config_path: Path | None, name: str, grace: str | None) -> None:
    """Give a key a new secret, printed once."""
    async with _key_service(config.load(config_path)) as service:
        _show_once(await service.rotate(name, grace, _actor()))


@keys.command("update")
@click.argument("name")
@click.option("--owner", default=None, help="Another owner.")
@click.option("--permission", "permissions", multiple=True, type=click.Choice(PERMISSIONS), help="All of them anew.")
@click.option("--model", "models", multiple=True, help='All patterns anew; "*": every model.')
@click.option("--limit", "limits", multiple=True, metavar="WHAT=RATE", help="All limits anew.")
@click.option("--tier", default="", help="One of [limits.tiers]; without --limit, no other limits of its own.")
@click.option("--no-limits", is_flag=True, help="No limits of its own any more.")
@click.option("--weight", default=None, type=float, help="Another share of a busy model.")
@click.option("--priority", default=None, type=click.IntRange(-10, 10), help="Another priority; higher goes first.")
@click.option("--expires", default=None, help='After a duration, on a date, or "never".')
@click.pass_obj
@_waited_for
async def update(
    config_path: Path | None,
    name: str,
    owner: str | None,
    permissions: tuple[str, ...],
    models: tuple[str, ...],
    limits: tuple[str, ...],
    tier: str,
    no_limits: bool,
    weight: float | None,
    priority: int | None,
    expires: str | None,
) -> None:
    """Change what a key may do; running gateways see it within a second, its secret stays."""
    given: dict[str, Any] = {"owner": owner, "weight": weight, "priority": priority}
    given |= {"permissions": permissions or None}
    fields = {field: value for field, value in given.items() if value is not None}
    if models:
        fields["models"] = None if models == ("*",) else models
    if limits or tier or no_limits:
        fields["limits"] = _table(limits, tier)
    if expires is not None:
        fields["expires"] = None if expires == "never" else expires
    async with _key_service(config.load(config_path)) as service:
        click.echo(_line(await service.update(name, Change(**fields), _actor())))


@keys.command("revoke")
@click.argument("name")
@click.pass_obj
@_waited_for
async def revoke(config_path: Path | None, name: str) -> None:
    """Revoke a key; running gateways refuse it within a second."""
    async with _key_service(config.load(config_path)) as service:
        key = await service.revoke(name, _actor())
    click.echo(f"{key.name} ({key.id}) is revoked")


@click.command("usage")
@click.argument("name", required=False)
@click.option("--since", default="", metavar="YYYY-MM-DD", help="First day, UTC. Default: the first of this month.")
@click.option("--until", default="", metavar="YYYY-MM-DD", help="Last day, UTC. Default: today.")
@click.option(
    "--by", multiple=True, type=click.Choice(["day", "month", "key", "model"]), help="Repeatable. Default: key, model."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
@_waited_for
async def usage(
    config_path: Path | None, name: str | None, since: str, until: str, by: tuple[str, ...], as_json: bool
) -> None:
    """Show requests and tokens used, of one key or of all."""
    from hyperllama.database.usage import Ledger

    settings = config.load(config_path)
    month = datetime.now(UTC).strftime("%Y-%m-01")
    async with _database(settings) as database:
        columns = tuple(dict.fromkeys((*by, "key"))) if name else by or ("key", "model")
        lines = await Ledger(database).report(since=since or month, until=until or "9", by=columns)
    if name:
        lines = [line for line in lines if name in (line.key, line.name)]
    if not as_json:
        click.echo(f"{'key':<28} {'model':<28} {'day':<10} {'requests':>10} {'prompt':>12} {'completion':>12}")
    for line in lines:
        if as_json:
            click.echo(msgspec.json.encode(line).decode())
            continue
        who = (line.name or line.key) if line.key else ""
        counts = f"{line.requests:>10,} {line.prompt_tokens:>12,} {line.completion_tokens:>12,}"
        click.echo(f"{who:<28} {line.model:<28} {line.day:<10} {counts}")


keys.add_command(usage)


@click.command("audit")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="How many acts, the newest."
)
@click.option("--since", default="", metavar="YYYY-MM-DD", help="First day, UTC.")
@click.option("--actor", default="", help="Only who begins so.")
@click.option("--act", default="", help='Only acts that begin so: "keys", "models.pull".')
@click.option("--subject", default="", help="Only on what begins so.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
@_waited_for
async def audit(
    config_path: Path | None, limit: int, since: str, actor: str, act: str, subject: str, as_json: bool
) -> None:
    """Show the audit log of keys, models and the configuration, newest first."""
    from hyperllama.database.audit import AuditLog

    settings = config.load(config_path)
    try:
        first = datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp() if since else None
    except ValueError as error:
        raise click.BadParameter(f"Must be a date, YYYY-MM-DD, not {since!r}.", param_hint="--since") from error
    async with _database(settings) as database:
        log = AuditLog(database, settings.admin)
        acts = await log.page(limit=limit, since=first, actor=actor, act=act, subject=subject)
    for each in acts:
        at = datetime.fromtimestamp(each.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        line = f"{at}  {each.act:<14} {each.subject:<40} {each.outcome:<10} {each.actor}  {each.request_id}"
        click.echo(msgspec.json.encode(each).decode() if as_json else line.rstrip())


@keys.command("hash")
@click.argument("name", default="example")
def hash_key(name: str) -> None:
    """Create a key for the configuration file: print the key, and the [keys.static] table with its hash.

    With a key on standard input, hash that one instead.
    """
    given = "" if sys.stdin.isatty() else sys.stdin.read().strip()
    if given and len(given) < 20:
        raise click.ClickException("A key that short can be guessed; leave standard input empty to have one made.")
    secret = given or PREFIX + secrets.token_urlsafe(32)
    if not given:
        click.echo(f"key, shown once:  {secret}\n")
    click.echo(f'[keys.static.{msgspec.json.encode(name).decode()}]\nhash = "sha256:{_sha256(secret)}"')


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


@asynccontextmanager
async def _database(settings: Config) -> AsyncGenerator[Database, None]:
    from hyperllama.database.database import Database

    database = Database(settings.store_path, settings.store.database)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def _key_service(settings: Config) -> AsyncGenerator[KeyService, None]:
    from hyperllama.database.audit import AuditLog
    from hyperllama.database.key_store import KeyStore
    from hyperllama.database.pepper import pepper

    async with _database(settings) as database:
        store = KeyStore(database, pepper(settings.store_path, settings.keys.pepper))
        log = AuditLog(database, settings.admin)
        log.mute()
        yield KeyService(store, log, settings)


def _show_once(issued: Issued) -> None:
    """Print the secret alone on standard output, so that a script can take it."""
    click.echo(f"{issued.key.name} ({issued.key.id}); this is the only time its key is shown:", err=True)
    click.echo(issued.secret)


def _line(key: Key) -> str:
    state = "revoked" if key.revoked is not None else "expired" if not key.live(time.time()) else ""
    ends = datetime.fromtimestamp(key.expires, UTC).strftime("until %Y-%m-%d") if key.expires else ""
    models = ",".join(key.models) if key.models is not None else "*"
    words = (f"{key.name:<24}", key.id, ",".join(key.permissions), models, key.owner, state or ends)
    return "  ".join(word for word in words if word)


def _table(given: tuple[str, ...], tier: str) -> dict[str, Any]:
    """Return ``WHAT=RATE`` words as a table of limits, which the key service checks."""
    table: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or name not in Allowance.__struct_fields__:
            known = ", ".join(Allowance.__struct_fields__)
            raise click.BadParameter(f"{text!r}: Write WHAT=RATE; WHAT must be one of {known}.", param_hint="--limit")
        if name in RATES:
            table.setdefault(name, []).append(value)
            continue
        try:
            table[name] = int(value)
        except ValueError as error:
            raise click.BadParameter(f"{text}: {error}", param_hint="--limit") from error
    return table | ({"tier": tier} if tier else {})


def _actor() -> Actor:
    return Actor(user())


def user() -> str:
    """Return the name of the operating system's user, for the audit log."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


__all__ = ("audit", "keys", "usage", "user")
