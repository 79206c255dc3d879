from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from hyperllama.cli.keys import audit, keys, usage
from hyperllama.database.key_store import Key


@pytest.fixture
def run(tmp_path: Path):
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\npath = "{tmp_path / "store"}"\n[limits.tiers.gold]\nrequests = "9/minute"\n')

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(keys, arguments, obj=config, input=stdin)

    return invoke


def test_a_keys_life_from_making_to_revoking(run) -> None:
    made = run(
        "create",
        "ci",
        "--owner",
        "acme",
        "--limit",
        "requests=5/minute",
        "--limit",
        "requests=50/hour",
        "--tier",
        "gold",
    )
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert secret.startswith("hlg_")
    (listed,) = (msgspec.json.decode(line, type=Key) for line in run("list", "--json").stdout.splitlines())
    assert listed.name == "ci"
    assert listed.limits == {"requests": ["5/minute", "50/hour"], "tier": "gold"}
    rotated = run("rotate", "ci", "--grace", "1h").stdout.strip()
    assert rotated.startswith("hlg_")
    assert rotated != secret
    assert "is revoked" in run("revoke", "ci").stdout
    assert run("list").stdout == ""
    assert "revoked" in run("list", "--all").stdout
    for secret_ in (secret, rotated):
        assert secret_ not in run("list", "--all", "--json").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "a", "--limit", "request=5/minute"), "WHAT=RATE"),
        (("create", "a", "--limit", "requests=often"), "not a rate"),
        (("create", "a", "--limit", "concurrent=0"), "at least 1"),
        (("create", "a", "--tier", "silver"), "no [limits.tiers.silver]"),
        (("create", "a", "--expires", "soon"), "neither a duration nor a date"),
        (("create", "a", "--weight", "0"), "above 0"),
        (("create", ""), "1 to 128"),
        (("revoke", "nobody"), "no key 'nobody'"),
        (("rotate", "nobody"), "no key 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_one_line(run, arguments, said) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output


def test_a_hash_for_the_config_file_is_that_of_the_key_shown(run, tmp_path) -> None:
    import hashlib
    import tomllib

    made = run("hash", "bob")
    first, _, table = made.stdout.partition("\n\n")
    secret = first.split()[-1]
    hashed = tomllib.loads(table)["keys"]["static"]["bob"]["hash"]
    assert hashed == "sha256:" + hashlib.sha256(secret.encode()).hexdigest()
    given = run("hash", stdin="a secret that I made up myself\n")
    assert hashlib.sha256(b"a secret that I made up myself").hexdigest() in given.stdout
    assert run("hash", stdin="short").exit_code == 1


def test_a_key_is_changed_and_every_act_is_on_record(run, tmp_path) -> None:
    secret = run("create", "ci", "--owner", "acme", "--model", "sim*", "--limit", "requests=5/minute").stdout.strip()
    for arguments, said in (
        (("update", "ci"), "There is nothing to change."),
        (("update", "nobody", "--owner", "x"), "no key 'nobody'"),
        (("update", "ci", "--limit", "requests=often"), "not a rate"),
    ):
        refused = run(*arguments)
        assert refused.exit_code != 0
        assert said in refused.output
    assert run("update", "ci", "--model", "*", "--no-limits", "--priority", "3", "--expires", "1h").exit_code == 0
    (changed,) = (msgspec.json.decode(line, type=Key) for line in run("list", "--json").stdout.splitlines())
    assert (changed.owner, changed.models, changed.limits, changed.priority) == ("acme", None, {}, 3)
    assert run("update", "ci", "--expires", "never", "--permission", "admin").exit_code == 0
    (changed,) = (msgspec.json.decode(line, type=Key) for line in run("list", "--json").stdout.splitlines())
    assert (changed.expires, changed.permissions) == (None, ("admin",))

    def listed(*arguments: str) -> list[dict[str, object]]:
        shown = CliRunner().invoke(audit, [*arguments, "--json"], obj=tmp_path / "config.toml")
        assert shown.exit_code == 0, shown.output
        assert secret not in shown.output
        return [msgspec.json.decode(line) for line in shown.stdout.splitlines()]

    acts = [(act["act"], act["outcome"]) for act in listed()]
    assert acts == [
        ("keys.update", "done"),
        ("keys.update", "done"),
        ("keys.update", "invalid_request"),
        ("keys.update", "not_found"),
        ("keys.update", "invalid_request"),
        ("keys.create", "done"),
    ]
    assert all(str(act["actor"]).startswith("cli") for act in listed())
    assert [act["act"] for act in listed("--act", "keys.c", "--limit", "1")] == ["keys.create"]
    plain = CliRunner().invoke(audit, [], obj=tmp_path / "config.toml").stdout
    assert plain.splitlines()[-1].endswith(str(listed()[-1]["actor"]))
    assert CliRunner().invoke(audit, ["--since", "soon"], obj=tmp_path / "config.toml").exit_code != 0


def test_usage_is_shown_by_key_and_model(run, tmp_path) -> None:
    import asyncio

    from hyperllama.database.database import Database
    from hyperllama.database.usage import Ledger

    async def write() -> None:
        database = Database(tmp_path / "store")
        ledger = Ledger(database)
        day = ledger._day()
        ledger._pending = {
            (day, "key_1", "tiny"): [3, 0, 0, 1, 1000, 0, 20],
            (day, "key_2", "tiny"): [1, 0, 0, 0, 5, 0, 5],
        }
        ledger._names = {"key_1": "ci"}
        await ledger.write()
        await database.close()

    asyncio.run(write())
    shown = run("usage").stdout
    assert "ci" in shown
    assert "1,000" in shown
    assert "key_2" in shown
    only = run("usage", "ci", "--json").stdout.splitlines()
    assert len(only) == 1
    assert msgspec.json.decode(only[0])["completion_tokens"] == 20
    months = CliRunner().invoke(usage, ["--by", "month", "--json"], obj=tmp_path / "config.toml").stdout.splitlines()
    (month,) = map(msgspec.json.decode, months)
    assert (len(month["day"]), month["requests"], month["prompt_tokens"]) == (7, 4, 1005)
