"""What an address is, in every spelling, and in every room the same."""

from __future__ import annotations

import ipaddress
from types import SimpleNamespace
from typing import Any

import pytest

from hyperllama.auth.grants import Networks
from hyperllama.config import Allowance, Config, Grant, Limits, Server
from hyperllama.config.exposure import describe_exposure
from hyperllama.errors import ConfigError, Forbidden
from hyperllama.identity import Principal
from hyperllama.limits.allowances import policy
from hyperllama.server.guard import network_of
from hyperllama.system import network
from hyperllama.web.admin.requests import only_from
from hyperllama.web.origins import decide

#: spelling: (loopback, private, public, counted as)
ADDRESSES = {
    "127.0.0.1": (True, False, False, "127.0.0.1"),
    "127.255.0.9": (True, False, False, "127.255.0.9"),
    "::1": (True, False, False, "::1"),
    "::1%lo": (True, False, False, "::1"),
    "::ffff:127.0.0.1": (True, False, False, "127.0.0.1"),
    "::FFFF:7f00:1": (True, False, False, "127.0.0.1"),
    "::ffff:127.0.0.1%eth0": (True, False, False, "127.0.0.1"),
    "10.1.2.3": (False, True, False, "10.1.2.3"),
    "::ffff:10.1.2.3": (False, True, False, "10.1.2.3"),
    "172.31.255.255": (False, True, False, "172.31.255.255"),
    "172.32.0.1": (False, False, True, "172.32.0.1"),
    "192.168.1.1": (False, True, False, "192.168.1.1"),
    "fd00::1": (False, True, False, "fd00::/64"),
    "fd00::1%eth0": (False, True, False, "fd00::/64"),
    "fe80::1%eth0": (False, False, False, "fe80::/64"),
    "fe80::1": (False, False, False, "fe80::/64"),
    "8.8.8.8": (False, False, True, "8.8.8.8"),
    "::ffff:8.8.8.8": (False, False, True, "8.8.8.8"),
    "2606:4700:1:2:3::4": (False, False, True, "2606:4700:1:2::/64"),
    "2606:4700:1:2:ffff:ffff:ffff:ffff": (False, False, True, "2606:4700:1:2::/64"),
    "2001:db8::1": (False, False, False, "2001:db8::/64"),
    "64:ff9b::808:808": (False, False, False, "64:ff9b::/64"),
    "169.254.169.254": (False, False, False, "169.254.169.254"),
    "0.0.0.0": (False, False, False, "0.0.0.0"),
    "::": (False, False, False, "::/64"),
    "unix": (False, False, False, "unix"),
    "": (False, False, False, ""),
    "127.0.0.1.example": (False, False, False, "127.0.0.1.example"),
    "0177.0.0.1": (False, False, False, "0177.0.0.1"),
    "127.1": (False, False, False, "127.1"),
}


@pytest.mark.parametrize(("text", "expected"), ADDRESSES.items())
def test_an_address_is_read_in_one_way(text: str, expected: tuple[bool, bool, bool, str]) -> None:
    address = network.parse_address(text)
    private = address is not None and network.is_private(address)
    assert (network.is_loopback(text), private, network.is_public(text), network.counted_as(text)) == expected


@pytest.mark.parametrize("text", ["localhost", "LOCALHOST", "localhost."])
def test_localhost_is_loopback(text: str) -> None:
    assert network.is_loopback(text)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10.0.0.0/8", "10.1.1.1", "11.0.0.1"),
        ("10.0.0.0/8", "::ffff:10.1.1.1", "fd00::1"),
        ("::ffff:10.0.0.0/104", "10.1.1.1", "11.0.0.1"),
        ("fd00::/16", "fd00::1%eth0", "10.0.0.1"),
        ("::1/128", "::1", "127.0.0.1"),
        ("::/0", "fd00::1", "127.0.0.1"),
    ],
)
def test_a_network_holds_an_address_in_any_spelling(text: str, inside: str, outside: str) -> None:
    one = network.parse_network(text)
    within, without = network.parse_address(inside), network.parse_address(outside)
    assert within is not None
    assert without is not None
    assert network.in_any([one], within)
    assert not network.in_any([one], without)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "cdn.example", "", "fe80::1%eth0/64"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        network.parse_network(text)


LOOPBACK = [text for text, (loopback, *_) in ADDRESSES.items() if loopback]
ELSEWHERE = [text for text, (loopback, *_) in ADDRESSES.items() if not loopback and network.parse_address(text)]


def _posture(host: str) -> bool:
    try:
        return describe_exposure(Config(server=Server(host=host)), keys=False).startswith("this machine")
    except ConfigError:
        return False


def _admin(host: str) -> bool:
    connection: Any = SimpleNamespace(client=SimpleNamespace(host=host))
    try:
        only_from(("127.0.0.0/8", "::1/128"))(connection, None)  # type: ignore[arg-type]
    except Forbidden:
        return False
    return True


def _granted(host: str) -> bool:
    return Networks({"127.0.0.0/8": Grant(), "::1": Grant()})._match(host) is not None


def _page(host: str) -> bool:
    bracketed = f"[{host}]" if ":" in host else host
    headers = {"host": f"{bracketed}:11434"}
    verdict = decide("GET", headers, bound_to_loopback=True, is_local=lambda _: False)
    return verdict.action == "pass"


@pytest.mark.parametrize("host", LOOPBACK)
def test_every_room_knows_loopback(host: str) -> None:
    assert _posture(host)
    assert network_of(host) == ""
    assert _admin(host)
    assert _granted(host)
    assert _page(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_no_room_takes_another_address_for_loopback(host: str) -> None:
    assert not _posture(host)
    assert network_of(host) == network.counted_as(host) != ""
    assert not _admin(host)
    assert not _granted(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_the_guard_and_the_limits_count_by_the_same_network(host: str) -> None:
    limits = Limits(network=Allowance(requests="1/minute"))
    (window,) = policy(Principal(id="x", name="x", network=host), "m", limits).windows
    assert window.key.startswith(f"network:{network_of(host)}:")
    if ":" in host and network.parse_address(host) == ipaddress.ip_address(host.partition("%")[0]):
        assert network_of(host).endswith("/64")
