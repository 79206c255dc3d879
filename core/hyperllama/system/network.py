"""Addresses, and the one way to read them.

A zone (``fe80::1%eth0``) names an interface of this machine, not the other end: it is cut off.
``::ffff:192.0.2.1`` is an IPv4 address as an IPv6 socket writes it: it is that IPv4 address.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
#: IPv6 addresses that stand for IPv4 ones, wherever those lead.
_TUNNELS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")))


def parse_address(text: str) -> Address | None:
    """Return the address in ``text``; None when it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_network(text: str) -> Network:
    """Return the network in CIDR notation; a mapped IPv4 one (``::ffff:10.0.0.0/104``) is that IPv4 network.

    Raises ValueError.
    """
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def contains(network: Network, address: Address) -> bool:
    """Return whether ``address`` is of ``network``; never so across the two versions of IP."""
    return address.version == network.version and address in network


def in_any(networks: Sequence[Network], address: Address) -> bool:
    """Return whether ``address`` is of one of ``networks``."""
    return any(contains(network, address) for network in networks)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach ``host``, an address or the name ``localhost``."""
    if host.lower().rstrip(".") == "localhost":
        return True
    address = parse_address(host)
    return address is not None and address.is_loopback


def is_private(address: Address) -> bool:
    """Return whether ``address`` is of a private network (RFC 1918, RFC 4193)."""
    return in_any(_PRIVATE, address)


def is_public(host: str) -> bool:
    """Return whether ``host`` is an address of the internet, and not another form of one that is not."""
    address = parse_address(host)
    if address is None or in_any(_TUNNELS, address):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def counted_as(host: str) -> str:
    """Return what an address is counted under: itself, or the /64 of an IPv6 one, since one host has all of that.

    A text that is no address is counted under itself.
    """
    address = parse_address(host)
    if address is None:
        return host
    if isinstance(address, ipaddress.IPv6Address) and not address.is_loopback:
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)


def address_is_local(address: str) -> bool:
    """Return whether ``address`` belongs to an interface of this machine: a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


__all__ = (
    "Address",
    "Network",
    "address_is_local",
    "contains",
    "counted_as",
    "in_any",
    "is_loopback",
    "is_private",
    "is_public",
    "parse_address",
    "parse_network",
)
