"""An identity provider that is silent, slow, mixed or odd: tokens it signed go on, nothing waits for it for ever."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

jwt = pytest.importorskip("jwt", reason="the extra jwt is not installed")
pytest.importorskip("cryptography", reason="the extra jwt is not installed")

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402 - after the skip

from hyperllama.auth import jwks  # noqa: E402
from hyperllama.auth.identity_provider import IdentityProvider  # noqa: E402
from hyperllama.config import Jwt  # noqa: E402
from hyperllama.errors import Unauthenticated, Unavailable  # noqa: E402

ISSUER = "https://issuer.example"
ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
PAIRS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def published(algorithm: str, **fields: object) -> dict[str, object]:
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(PAIRS[algorithm].public_key())
    return {**json.loads(public), **fields}


def token(algorithm: str, **header: object) -> str:
    payload = {"iss": ISSUER, "aud": "gateway", "sub": "ann", "scope": "infer", "exp": time.time() + 600}
    return jwt.encode(payload, PAIRS[algorithm], algorithm, headers=header)


def provider(place: str, **more: Any) -> IdentityProvider:
    return IdentityProvider(Jwt(issuer=ISSUER, audience="gateway", jwks=place, algorithms=ALGORITHMS), **more)


#: How a set may name its keys, and a token the one it was signed with.
SPELLINGS: dict[str, tuple[Callable[[str], dict[str, object]], Callable[[str], dict[str, object]]]] = {
    "no ids, no algorithms": (lambda _: {}, lambda _: {}),
    "no ids": (lambda name: {"alg": name}, lambda _: {}),
    "ids, token without": (lambda name: {"kid": name}, lambda _: {}),
    "ids": (lambda name: {"kid": name, "alg": name}, lambda name: {"kid": name}),
    "one id for all": (lambda _: {"kid": "same"}, lambda _: {"kid": "same"}),
    "set without ids, token with": (lambda _: {}, lambda name: {"kid": name}),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("turn", range(len(ALGORITHMS)))
async def test_every_key_of_a_mixed_set_verifies_its_own_tokens(
    spelling: str, turn: int, tmp_path: Any, sent: Any
) -> None:
    key, header = SPELLINGS[spelling]
    order = ALGORITHMS[turn:] + ALGORITHMS[:turn]
    file = tmp_path / "keys.json"
    strange = [{"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA", "use": "enc", "alg": "RSA-OAEP"}, {"kty": "XX"}, 7]
    file.write_text(json.dumps({"keys": [*strange, *(published(name, **key(name)) for name in order)]}))
    tokens = provider(str(file))
    try:
        for name in ALGORITHMS:
            principal = await tokens.authenticate(sent(token(name, **header(name))))
            assert principal is not None and principal.id == "jwt:ann", name
    finally:
        await tokens.close()


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_key_declared_for_encryption_or_another_algorithm_verifies_nothing(
    spelling: str, tmp_path: Any, sent: Any
) -> None:
    key, header = SPELLINGS[spelling]
    file = tmp_path / "keys.json"
    wrong = [published("RS256", **{**key("RS256"), **odd}) for odd in ({"use": "enc"}, {"alg": "PS256"})]
    file.write_text(json.dumps({"keys": [*wrong, published("ES256", **key("ES256"))]}))
    tokens = provider(str(file))
    try:
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(sent(token("RS256", **header("RS256"))))
    finally:
        await tokens.close()


class Fault:
    """A provider on loopback that answers well until it is broken, in one of several ways."""

    def __init__(self) -> None:
        self.how = "well"
        self.asked = 0
        self._end = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = f"http://127.0.0.1:{self._listener.getsockname()[1]}/keys"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._end.is_set():
            client, _ = self._listener.accept()
            self.asked += 1
            thread = threading.Thread(target=self._answer, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _answer(self, client: socket.socket) -> None:
        body = json.dumps({"keys": [published("ES256", kid="one")]}).encode()
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        with client:
            if self.how == "well":
                client.recv(65536)
                client.sendall(whole)
            elif self.how == "silent":
                self._end.wait()
            elif self.how == "dripping":
                for byte in whole:
                    if self._end.wait(0.05):
                        break
                    try:
                        client.send(bytes((byte,)))
                    except OSError:
                        break
            elif self.how == "endless":
                while not self._end.is_set():
                    try:
                        client.send(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 65536)
                    except OSError:
                        break

    def close(self) -> None:
        self._end.set()
        socket.create_connection(self._listener.getsockname()).close()
        for thread in self._threads:
            thread.join()
        self._listener.close()


@pytest.fixture
def fault() -> Iterator[Fault]:
    made = Fault()
    yield made
    made.close()


@pytest.mark.parametrize("how", ["silent", "dripping", "endless"])
async def test_tokens_of_known_keys_go_on_while_the_provider_is_broken(
    how: str, fault: Fault, sent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "TIMEOUT", 0.5)
    now = [0.0]
    tokens = provider(fault.place, clock=lambda: now[0])
    await tokens.open()
    fault.how = how
    asked = fault.asked
    now[0] += 100_000  # what was fetched and verified is old
    async with asyncio.timeout(60):
        for _ in range(20):
            now[0] += jwks.AGAIN + 100
            assert await tokens.authenticate(sent(token("ES256", kid="one"))) is not None
            await asyncio.sleep(0.05)
    assert fault.asked > asked, "old keys are fetched again meanwhile"
    await tokens.close()


@pytest.mark.parametrize("how", ["silent", "dripping", "endless"])
async def test_a_provider_that_never_answered_is_waited_for_once_and_not_for_long(
    how: str, fault: Fault, sent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "TIMEOUT", 0.5)
    fault.how = how
    tokens = provider(fault.place)

    async def ask() -> None:
        with pytest.raises(Unavailable):
            await tokens.authenticate(sent(token("ES256", kid="one")))

    async with asyncio.timeout(60):
        await asyncio.gather(*(ask() for _ in range(50)))
    assert fault.asked == 1
    await tokens.close()
