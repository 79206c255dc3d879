"""The admin API: who may ask, what it does, how soon it counts, and that all of it is on record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hyperllama.app.application import Application, create_app
from hyperllama.config import Admin, Allowance, Config, Limits, Server, Store
from hyperllama.models import ModelSpec

HI = {"model": "sim", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
SPECS = {name: ModelSpec(name=name, engine="sim") for name in ("sim", "other")}


@asynccontextmanager
async def gateway(store: Path, **tables: Any) -> AsyncGenerator[Application]:
    tables = {"server": Server(openapi=True), **tables}
    app = create_app(Config(models=SPECS, store=Store(path=str(store)), **tables))
    async with app._lifespan(app.web.litestar):
        yield app


def client_of(
    app: Application, key: str | None = None, *, peer: str = "127.0.0.1", **headers: str
) -> httpx.AsyncClient:
    headers |= {"authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app=app, client=(peer, 1))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/admin/v1", headers=headers)


async def chat(client: httpx.AsyncClient, model: str = "sim") -> httpx.Response:
    return await client.post("http://127.0.0.1/v1/chat/completions", json={**HI, "model": model})


async def made(client: httpx.AsyncClient, name: str, **fields: Any) -> str:
    reply = await client.post("/keys", json={"name": name, **fields})
    assert reply.status_code == 201, reply.text
    return reply.json()["secret"]


async def eventually(ask: Callable[[], Any], status: int) -> None:
    async with asyncio.timeout(5):
        while (await ask()).status_code != status:  # noqa: ASYNC110 - another gateway's doing sets no event here
            await asyncio.sleep(0.02)


async def test_a_keys_life_counts_at_once_here_and_within_a_second_in_another_gateway(tmp_path: Path) -> None:
    async with gateway(tmp_path) as here, gateway(tmp_path) as there, client_of(here) as first:
        root = await made(first, "root", permissions=["admin", "infer"])
        async with client_of(here, root) as admin:
            secret = await made(admin, "ci", owner="acme", models=["sim"])
            async with client_of(here, secret) as user, client_of(there, secret) as away:
                assert (await chat(user)).status_code == 200
                assert (await chat(user, "other")).status_code == 404
                await eventually(lambda: chat(away), 200)

                changed = await admin.patch("/keys/ci", json={"models": ["other"], "weight": 2})
                assert changed.json()["models"] == ["other"]
                assert changed.json()["owner"] == "acme"  # what was not named stays
                assert (await chat(user, "other")).status_code == 200
                await eventually(lambda: chat(away), 404)
                assert (await chat(away, "other")).status_code == 200

                limited = await admin.patch("/keys/ci", json={"models": None, "limits": {"requests": "1/hour"}})
                assert limited.json()["limits"] == {"requests": "1/hour"}
                assert [(await chat(user)).status_code for _ in range(2)] == [200, 429]

                rotated = (await admin.post("/keys/ci/rotate", json={"grace": "1h"})).json()
                assert rotated["secret"] != secret
                assert rotated["key"]["id"] == changed.json()["id"]
                await admin.patch("/keys/ci", json={"limits": {}})
                async with client_of(here, rotated["secret"]) as renewed:
                    assert (await chat(renewed)).status_code == 200
                assert (await chat(user)).status_code == 200  # in its grace

                ended = await admin.delete("/keys/ci")
                assert ended.json()["revoked"] is not None
                assert (await chat(user)).status_code == 401
                await eventually(lambda: chat(away), 401)
            assert [key["name"] for key in (await admin.get("/keys")).json()["keys"]] == ["root"]
            everything = (await admin.get("/keys", params={"all": "1"})).text
            assert '"ci"' in everything
            assert secret not in everything


@pytest.mark.parametrize("permission", ["infer", "models:read", "models:write"])
async def test_without_the_permission_every_route_is_refused_in_problem_details(tmp_path, permission: Any) -> None:
    async with gateway(tmp_path) as app, client_of(app) as first:
        await made(first, "root", permissions=["admin"])
        store = await app.web.authenticator.key_cache.store()
        from hyperllama.database.api_key import Key

        weak = (await store.create(Key(name="weak", permissions=(permission,)), actor="test")).secret
        async with client_of(app, weak) as client, client_of(app) as nobody:
            asked = 0
            for route in app.web.litestar.routes:
                if route.path.startswith("/admin/v1"):
                    for method in route.methods - {"OPTIONS"}:
                        path = route.path.replace("{name:str}", "root").removeprefix("/admin/v1")
                        reply = await client.request(method, path)
                        assert (reply.status_code, reply.json()["code"]) == (403, "permission_denied")
                        assert reply.headers["content-type"].startswith("application/problem+json")
                        assert reply.json()["request_id"] == reply.headers["x-request-id"]
                        assert (await nobody.request(method, path)).status_code == 401
                        asked += 1
            assert asked == 11


async def test_it_answers_nobody_from_elsewhere_unless_told_to(tmp_path: Path) -> None:
    open_ = Admin(networks=("10.0.0.0/8",))
    async with gateway(tmp_path) as app, client_of(app) as first:
        secret = await made(first, "root", permissions=["admin"])
        async with (
            client_of(app, secret, peer="10.1.2.3") as far,
            client_of(app, secret, peer="::ffff:127.0.0.1") as near,
        ):
            assert (await far.get("/keys")).status_code == 403
            assert (await near.get("/keys")).status_code == 200
    async with gateway(tmp_path, admin=open_) as app, client_of(app, secret, peer="10.1.2.3") as far:
        assert (await far.get("/keys")).status_code == 200
    async with gateway(tmp_path, admin=Admin(enabled=False)) as app, client_of(app, secret) as near:
        assert (await near.get("/keys")).status_code == 404


async def test_what_cannot_be_is_refused_with_the_field_at_fault(tmp_path: Path) -> None:
    tiers = Limits(tiers={"gold": Allowance(requests="9/minute")})
    async with gateway(tmp_path, limits=tiers) as app, client_of(app) as client:
        secret = await made(client, "root", permissions=["admin"], limits={"tier": "gold", "concurrent": 3})
        client.headers["authorization"] = f"Bearer {secret}"
        bad = [
            ({"name": ""}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"name": "root"}, "name"),
            ({"name": "x", "secret": "chosen"}, None),
            ({"name": "x", "id": "key_1"}, None),
            ({"name": "x", "permissions": ["root"]}, "permissions[0]"),
            ({"name": "x", "weight": 0}, "weight"),
            ({"name": "x", "priority": 11}, "priority"),
            ({"name": "x", "limits": {"requests": "often"}}, "limits.requests"),
            ({"name": "x", "limits": {"concurrent": 0}}, "limits.concurrent"),
            ({"name": "x", "limits": {"reqests": "1/day"}}, "limits"),
            ({"name": "x", "limits": {"tier": "lead"}}, "limits.tier"),
            ({"name": "x", "expires": "soon"}, "expires"),
            ({"name": "x", "expires": "-5m"}, "expires"),
        ]
        for body, param in bad:
            reply = await client.post("/keys", json=body)
            assert (reply.status_code, reply.json().get("param")) == (400, param), (body, reply.text)
        assert (await client.get("/keys/nobody")).json()["code"] == "not_found"
        assert (await client.patch("/keys/root", json={})).status_code == 400
        for query in ("by=hour", "by=day,month", "since=yesterday"):
            assert (await client.get(f"/usage?{query}")).status_code == 400, query
        assert (await client.get("/audit?limit=0")).status_code == 400
        wrong = await client.put("/keys")
        assert wrong.status_code == 405
        assert set(wrong.headers["allow"].split(", ")) == {"GET", "OPTIONS", "POST"}
        assert (await client.get("/nothing")).json()["code"] == "route_not_found"


async def test_usage_is_there_by_key_day_and_month_as_soon_as_it_was_used(tmp_path: Path) -> None:
    async with gateway(tmp_path) as app, client_of(app) as first:
        secret = await made(first, "root", permissions=["admin", "infer"])
        async with client_of(app, secret) as client:
            for _ in range(3):
                used = (await chat(client)).json()["usage"]
            await chat(client, "other")
            lines = (await client.get("/usage")).json()["lines"]
            assert [(line["model"], line["requests"]) for line in lines] == [("other", 1), ("sim", 3)]
            (month,) = (await client.get("/keys/root/usage?by=month")).json()["lines"]
            assert month["requests"] == 4
            assert month["prompt_tokens"] == 4 * used["prompt_tokens"]
            days = (await client.get("/keys/root/usage?by=day")).json()["lines"]
            assert [line["day"][:7] for line in days] == [month["day"]]
            assert (await client.get("/keys/nobody/usage")).json()["lines"] == []
            models = {model["name"]: model for model in (await client.get("/models")).json()["models"]}
            assert (models["sim"]["phase"], models["sim"]["active"]) == ("ready", 0)
            queue = (await client.get("/queue")).json()
            assert {each["model"] for each in queue["queues"]} == {"sim", "other"}
            assert queue["live"] == 0


async def test_every_act_is_on_record_with_who_when_and_how_it_ended(tmp_path: Path) -> None:
    from structlog.testing import capture_logs

    async with gateway(tmp_path) as app, client_of(app) as first:
        with capture_logs() as said:
            secret = await made(first, "root", permissions=["admin", "models:write", "models:read", "infer"])
            async with client_of(app, secret, **{"x-request-id": "mine-1"}) as client:
                await client.post("/keys", json={"name": "root"})
                second = await made(client, "second")
                await client.patch("/keys/second", json={"weight": 3})
                await client.post("/keys/second/rotate")
                await client.delete("/keys/second")
                await client.delete("/keys/gone")
                base = "http://127.0.0.1/api"
                assert (await client.post(f"{base}/copy", json={"source": "sim", "destination": "mine"})).is_success
                assert (await client.post(f"{base}/create", json={"model": "new", "from": "sim"})).is_success
                assert (await client.request("DELETE", f"{base}/delete", json={"model": "mine"})).is_success
                assert (await client.request("DELETE", f"{base}/delete", json={"model": "none"})).status_code == 404
                await client.post(f"{base}/generate", json={"model": "sim", "keep_alive": 0})
                pages = [(await client.get("/audit?limit=5")).json()]
                while (before := pages[-1]["next"]) is not None:
                    pages.append((await client.get(f"/audit?limit=5&before={before}")).json())
                only = (await client.get("/audit?act=models.")).json()["acts"]
                today = (await client.get("/audit?since=2999-01-01")).json()["acts"]
    acts = [act for page in pages for act in page["acts"]][::-1]
    assert [(act["act"], act["subject"].partition(" ")[0].removesuffix(":latest"), act["outcome"]) for act in acts] == [
        ("keys.create", "root", "done"),
        ("keys.create", "root", "invalid_request"),
        ("keys.create", "second", "done"),
        ("keys.update", "second", "done"),
        ("keys.rotate", "second", "done"),
        ("keys.revoke", "second", "done"),
        ("keys.revoke", "gone", "not_found"),
        ("models.copy", "mine", "done"),
        ("models.create", "new", "done"),
        ("models.delete", "mine", "done"),
        ("models.delete", "none", "model_not_found"),
        ("models.unload", "sim", "done"),
    ]
    assert {act["actor"].partition(" ")[0] for act in acts[1:]} == {"root"}
    assert {act["request_id"] for act in acts[1:]} == {"mine-1"}
    assert acts[3]["detail"]["changed"] == ["weight"]
    assert len(only) == 5
    assert today == []
    text = str(acts) + str(said)
    assert secret not in text
    assert second not in text
    logged = [entry["event"] for entry in said if entry.get("actor")]
    assert logged == [act["act"] for act in acts]


async def test_the_log_of_acts_is_bounded_in_age_and_number(database_of) -> None:
    from hyperllama.database.audit import Act, AuditLog

    now = [1_000_000.0]
    log = AuditLog(database_of, Admin(audit_keep=3600.0, audit_max=3), wall=lambda: now[0])
    for number in range(6):
        await log.record(Act(act="keys.create", actor="me", subject=str(number)))
        now[0] += 1000
    await log.sweep()
    assert [act.subject for act in await log.page()] == ["5", "4", "3"]
    now[0] += 3600 - 1000
    await log.sweep()
    assert [act.subject for act in await log.page()] == ["5"]


@pytest.fixture
async def database_of(tmp_path: Path):
    from hyperllama.database.database import Database

    database = Database(tmp_path)
    yield database
    await database.close()


async def test_it_stands_in_the_openapi_document(tmp_path: Path) -> None:
    async with gateway(tmp_path) as app, client_of(app) as client:
        document = (await client.get("http://127.0.0.1/openapi.json")).json()
    create = document["paths"]["/admin/v1/keys"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Draft"}
    assert document["components"]["schemas"]["Draft"]["required"] == ["name"]
    assert document["paths"]["/admin/v1/keys/{name}"]["patch"]["responses"]["200"]["content"]
    assert document["paths"]["/v1/batches"]["post"]
