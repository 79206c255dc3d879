"""An answer's head and the first of its body leave in one write; a head without a body does not wait for one."""

from __future__ import annotations

import asyncio

import pytest

from hyperllama.web.corked import Corked


class Wire:
    """A transport that notes each write."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after the end"
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def corked(wire: Wire) -> Corked:
    return Corked(wire)  # type: ignore[arg-type]


async def test_head_and_body_leave_in_one_write_and_what_follows_at_once(wire: Wire, corked: Corked) -> None:
    corked.write(b"head ")
    corked.write(b"body")
    corked.write(b"more")
    await asyncio.sleep(0)
    assert wire.written == [b"head body", b"more"]


async def test_a_head_whose_body_is_not_there_yet_leaves_within_the_turn(wire: Wire, corked: Corked) -> None:
    corked.write(b"head")
    await asyncio.sleep(0)
    corked.write(b"body")
    assert wire.written == [b"head", b"body"]


async def test_closing_lets_the_head_go_first(wire: Wire, corked: Corked) -> None:
    corked.write(b"head")
    corked.close()
    await asyncio.sleep(0)
    assert (wire.written, wire.closed) == ([b"head"], True)


async def test_a_connection_that_is_gone_is_not_written_to(wire: Wire, corked: Corked) -> None:
    corked.write(b"head")
    wire.closed = True
    await asyncio.sleep(0)
    assert (wire.written, corked.is_closing()) == ([], True)


async def test_an_interim_answer_is_not_held_back(wire: Wire, corked: Corked) -> None:
    corked.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    corked.write(b"head ")
    corked.write(b"body")
    assert wire.written == [b"HTTP/1.1 100 Continue\r\n\r\n", b"head body"]
