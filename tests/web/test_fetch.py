"""What a request names by URL is fetched only from where the operator said, and never from inside.

Bar S09 is in tests/faults: no spelling of a URL, sent or redirected to, reaches this machine.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hyperllama.system.network import is_public
from hyperllama.web import fetch as remote
from hyperllama.web.fetch import Fetcher, NotFetched

HOST = "images.example.com"
PUBLIC = "93.184.215.14"
IMAGE = b"\x89PNG" + bytes(range(256)) * 40


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for HOST, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DNSName(f"other.{HOST}")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(pem))
    return path


class World:
    """An https server that answers paths with bytes, and a resolver and a way to dial that lead to it."""

    def __init__(self, certificate: Path) -> None:
        self.answers: dict[str, bytes] = {}
        self.addresses: list[Sequence[str]] = [[PUBLIC]]  # the last one stays
        self.heads: list[bytes] = []
        self.dialled: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self._certificate = certificate
        self._port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[World]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate)
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=context)
        self._port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        answer = self.answers.get(head.split()[1].decode())
        if answer is None:
            await asyncio.Event().wait()
        writer.write(answer or b"")
        await writer.drain()
        writer.close()

    async def resolve(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]

    async def dial(self, address: str, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.dialled.append((address, host))
        context = ssl.create_default_context(cafile=str(self._certificate))
        return await asyncio.open_connection("127.0.0.1", self._port, ssl=context, server_hostname=host)

    def remote(self, *hosts: str) -> Fetcher:
        return Fetcher(hosts or (HOST,), resolve=self.resolve, dial=self.dial)

    async def fetch(self, path: str = "/a.png", max_bytes: int = 1_000_000) -> bytes:
        return await self.remote().fetch(f"https://{HOST}{path}", max_bytes=max_bytes)


@pytest.fixture
async def world(certificate: Path) -> AsyncIterator[World]:
    async with World(certificate).open() as found:
        yield found


def whole(body: bytes = IMAGE, *, head: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


def to(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n"


async def test_an_image_of_an_allowed_host_is_fetched_without_credentials_from_the_address_that_was_checked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    world.answers["/a.png?b=%20c"] = whole()
    assert await world.remote().fetch(f"https://{HOST.upper()}:443/a.png?b=%20c#part", max_bytes=100_000) == IMAGE
    assert world.dialled == [(PUBLIC, HOST)]
    assert world.asked == [HOST]
    head = world.heads[0].lower()
    assert b"host: images.example.com\r\n" in head
    assert not any(name in head for name in (b"authorization", b"cookie", b"referer"))


@pytest.mark.parametrize(
    "answer",
    [whole(), b"HTTP/1.1 200 OK\r\n\r\n" + IMAGE, b"HTTP/1.0 200 OK\r\n\r\n" + IMAGE],
    ids=["length", "1.1", "1.0"],
)
async def test_a_body_is_read_however_it_is_measured(world: World, answer: bytes) -> None:
    world.answers["/a.png"] = answer
    assert await world.fetch() == IMAGE


async def test_a_chunked_body_is_read(world: World) -> None:
    world.answers["/a.png"] = CHUNKED
    assert await world.fetch() == b"abcdefg"


async def test_three_redirects_are_followed_each_checked_anew_and_no_fourth(world: World) -> None:
    world.answers |= {"/0": to("/1"), "/1": to(f"https://{HOST}/2"), "/2": to("3"), "/3": whole()}
    assert await world.fetch("/0") == IMAGE
    assert world.asked == [HOST] * 4
    world.answers["/again"] = to("/0")
    with pytest.raises(NotFetched, match="redirects too often"):
        await world.fetch("/again")


@pytest.mark.parametrize(
    "location",
    [
        "http://images.example.com/",
        "https://127.0.0.1/",
        "https://evil.example.net/",
        "//169.254.169.254/",
        "file:///etc",
    ],
)
async def test_a_redirect_to_anywhere_else_is_refused(world: World, location: str) -> None:
    world.answers["/a.png"] = to(location)
    with pytest.raises(NotFetched):
        await world.fetch()
    assert len(world.dialled) == 1


async def test_a_resolver_that_changes_its_mind_is_asked_once_a_hop(world: World) -> None:
    world.addresses = [[PUBLIC], ["127.0.0.1"]]
    world.answers |= {"/a.png": whole(), "/b.png": to("/a.png")}
    assert await world.fetch() == IMAGE
    world.addresses = [[PUBLIC], ["127.0.0.1"]]
    with pytest.raises(NotFetched, match="nothing from that host"):
        await world.fetch("/b.png")
    assert [address for address, _ in world.dialled] == [PUBLIC, PUBLIC]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (whole(IMAGE * 2), "over 15000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + IMAGE * 2, "over 15000 bytes"),
        (whole()[:-1], "before it was whole"),
        (CHUNKED[:-5], "before it was whole"),
        (whole(head="Content-Encoding: gzip\r\n"), "compressed"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "redirects to nowhere"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n", "could not be fetched"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000, "can be read"),
        (b"SSH-2.0-OpenSSH\r\n", "could not be fetched"),
        (b"", "before it was whole"),
    ],
)  # fmt: skip
async def test_what_is_no_whole_image_of_its_size_is_refused(world: World, answer: bytes, why: str) -> None:
    world.answers["/a.png"] = answer
    with pytest.raises(NotFetched, match=why):
        await world.fetch(max_bytes=15_000)


async def test_a_server_that_says_nothing_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "TIMEOUT", 0.2)
    with pytest.raises(NotFetched, match="in time"):
        await world.fetch("/never")


async def test_a_certificate_of_somebody_elses_is_refused(world: World) -> None:
    with pytest.raises(NotFetched, match="could not be fetched"):
        await world.remote(".example.net").fetch("https://images.example.net/", max_bytes=10)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "0.0.0.0", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.0.1",
     "192.0.2.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fd00::1", "ff02::1",
     "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "2002:7f00:1::",
     "2001:0:1::1", "2001:db8::1", "fe80::1%lo", "", "no address"],
)  # fmt: skip
def test_an_address_that_is_not_of_the_internet_is_none(address: str) -> None:
    assert not is_public(address)


def test_addresses_of_the_internet_are() -> None:
    assert all(map(is_public, (PUBLIC, "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8")))
    assert ipaddress.ip_address(PUBLIC).is_global


async def test_nothing_is_fetched_unless_a_host_is_named() -> None:
    assert not Fetcher()
    with pytest.raises(NotFetched):
        await Fetcher().fetch(f"https://{HOST}/", max_bytes=10)
