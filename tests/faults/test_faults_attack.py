"""Every attack of ``attack.py``, at a small size, against one gateway: answered, survived, and linear in its size."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from hyperllama.testing import child
from tests.faults import attack
from tests.faults.attack import Attack, attacks, multipart, queries, wire_fields

SMALL = 400
#: Kinds whose cost has been worse than linear before.
LINEAR = ("template-quotes", "escapes/api/chat", "calls-unanswered", "messages/api/chat", "embed", "tokenize", "floats")


@pytest.fixture(scope="module")
def server() -> Iterator[child.Server]:
    with attack.gateway("sim") as found:
        asyncio.run(attack.ready(found.port))
        yield found


def _sent(server: child.Server, one: Attack) -> attack.Reply:
    return asyncio.run(
        attack.ask(server.port, "attacker", one.path, one.body, method=one.method, headers=one.headers, budget=30)
    )


def _faults(server: child.Server, found: list[Attack]) -> list[str]:
    """Send them four at a time; return those with no answer or a 5xx of ours."""

    async def all_of_them() -> list[str]:
        places = asyncio.Semaphore(4)

        async def send(one: Attack) -> str:
            async with places:
                reply = await attack.ask(
                    server.port, "attacker", one.path, one.body, method=one.method, headers=one.headers, budget=30
                )
            return f"{one.name}: {reply.status} {reply.body[-200:]!r}" if attack.is_fault(reply) else ""

        return [fault for fault in await asyncio.gather(*map(send, found)) if fault]

    return asyncio.run(all_of_them())


def _alive(server: child.Server) -> bool:
    health = asyncio.run(attack.ask(server.port, "", "/health", b"", method="GET"))
    return health.status == 200


def test_every_attack_is_answered(server: child.Server) -> None:
    assert not _faults(server, attacks("m", n=SMALL, template=8_000))
    assert _alive(server)
    assert "Traceback" not in server.log.read_text(errors="replace")


@pytest.mark.nightly
@pytest.mark.parametrize("step", [7, 1])
def test_every_field_of_every_request_takes_any_shape(step: int, server: child.Server) -> None:
    """The fields come from the dialects' own types: a new one is attacked as soon as it is there."""
    found = [*list(wire_fields("m", 200))[::step], *multipart(200), *queries(200)]
    assert len(found) > 200
    assert not _faults(server, found)
    assert _alive(server)
    assert "Traceback" not in server.log.read_text(errors="replace")


@pytest.mark.nightly
@pytest.mark.parametrize("name", LINEAR)
def test_cost_is_linear(name: str, server: child.Server) -> None:
    spent = []
    for n in (1000, 4000):
        one = next(one for one in attacks("m", n=n, template=n * 50) if one.name == name)
        tries = []
        for _ in range(3):
            before = attack.cpu(server.pid)
            assert not attack.is_fault(_sent(server, one))
            tries.append(attack.cpu(server.pid) - before)
        spent.append(min(tries))
    assert spent[1] < 10 * spent[0] + 0.2, spent


@pytest.mark.nightly
def test_every_attack_of_full_size_is_answered(server: child.Server) -> None:
    for one in attacks("m"):
        assert not attack.is_fault(_sent(server, one)), one.name
    assert _alive(server)
