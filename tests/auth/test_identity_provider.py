"""IdentityProvider of an identity provider: a real server of keys on loopback, and every way a token can be wrong."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from hyperllama.config import Jwt
from hyperllama.errors import ConfigError, Unauthenticated, Unavailable

jwt = pytest.importorskip("jwt", reason="the extra jwt is not installed")
pytest.importorskip("cryptography", reason="the extra jwt is not installed")

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402 - after the skip

from hyperllama.auth.identity_provider import IdentityProvider  # noqa: E402


class Provider:
    """An issuer: its key pairs by id, and the server that publishes the public ones."""

    def __init__(self) -> None:
        self.pairs: dict[str, tuple[object, str]] = {}
        self.fetches = 0
        self.redirect = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if outer.redirect:
                    self.send_response(302)
                    self.send_header("Location", outer.redirect)
                    self.end_headers()
                    return
                if self.path.endswith("openid-configuration"):
                    body: dict[str, Any] = {"issuer": outer.issuer, "jwks_uri": f"{outer.issuer}/keys"}
                else:
                    outer.fetches += 1
                    body = {"keys": outer.published()}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def add(self, kid: str, algorithm: str) -> None:
        make: dict[str, Any] = {
            "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
        }
        self.pairs[kid] = make[algorithm](), algorithm

    def published(self) -> list[dict[str, Any]]:
        keys: list[dict[str, Any]] = []
        private: Any
        for kid, (private, algorithm) in self.pairs.items():
            public = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key())
            keys.append({**json.loads(public), "kid": kid, "alg": algorithm, "use": "sig"})
        return keys

    def token(self, kid: str = "one", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        private, algorithm = self.pairs[kid]
        payload = {"iss": self.issuer, "aud": "gateway", "sub": "ann", "exp": time.time() + 600, **claims}
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(payload, private, algorithm, headers={"kid": kid, **(header or {})})

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def confused(body: str, public: str) -> str:
    """The old trick: HS256 with the bytes of the public key, by hand, for PyJWT refuses to make one."""
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=").decode()
    signature = hmac.digest(public.encode(), f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    provider.add("one", "RS256")
    yield provider
    provider.close()


def settings(provider: Provider, **more: Any) -> Jwt:
    return Jwt(**{"issuer": provider.issuer, "audience": "gateway", **more})


async def test_claims_become_a_principal(provider, sent) -> None:
    tokens = IdentityProvider(
        settings(
            provider,
            permissions={"llm.use": ("infer", "models:read"), "llm.admin": ("admin",)},
            owner_claim="org",
            models_claim="models",
            tier_claim="plan",
        )
    )
    token = provider.token(
        scope="openid llm.use llm.other", email="ann@example.org", org="acme", models=["a*", "b"], plan="gold"
    )
    principal = await tokens.authenticate(sent(token))
    assert principal.id == "jwt:ann"
    assert principal.name == "ann@example.org"
    assert principal.owner == "acme"
    assert principal.permissions == frozenset({"infer", "models:read"})
    assert principal.models == ("a*", "b")
    assert principal.limits == {"tier": "gold"}
    assert principal.network == "127.0.0.1"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_every_algorithm_is_verified(provider, sent, algorithm) -> None:
    provider.add("other", algorithm)
    tokens = IdentityProvider(settings(provider))
    principal = await tokens.authenticate(sent(provider.token("other", scope=["infer"])))
    assert principal.permissions == frozenset({"infer"})


async def test_a_claim_without_words_of_ours_permits_nothing(provider, sent) -> None:
    tokens = IdentityProvider(settings(provider))
    for claims in ({}, {"scope": "openid profile"}, {"scope": 7}, {"scope": {"infer": True}}):
        assert (await tokens.authenticate(sent(provider.token(**claims)))).permissions == frozenset()


async def test_forged_expired_and_misdirected_tokens_are_refused(provider, sent) -> None:
    tokens = IdentityProvider(settings(provider))
    good = provider.token(scope="infer")
    assert await tokens.authenticate(sent(good)) is not None
    head, body, signature = good.split(".")
    thief = Provider()
    try:
        thief.add("one", "RS256")
        thief.issuer = provider.issuer
        public = json.dumps(provider.published()[0])
        wrong = {
            "another's signature": thief.token(scope="infer"),
            "body changed": ".".join((head, provider.token(sub="root").split(".")[1], signature)),
            "expired": provider.token(exp=time.time() - 60),
            "for another service": provider.token(aud="other"),
            "no audience": provider.token(aud=None),
            "no expiry": provider.token(exp=None),
            "no subject": provider.token(sub=None),
            "not yet": provider.token(nbf=time.time() + 600),
            "signed with the public key as if it were a shared secret": confused(body, public),
            "not signed": jwt.encode({"iss": provider.issuer, "aud": "gateway", "sub": "a"}, None, "none"),
            "key nobody knows": provider.token(header={"kid": "nobody"}),
        }
        for what, token in wrong.items():
            with pytest.raises(Unauthenticated):
                await tokens.authenticate(sent(token))
                pytest.fail(what)
    finally:
        thief.close()


async def test_what_is_no_token_of_this_issuer_is_not_its_to_judge(provider, sent) -> None:
    tokens = IdentityProvider(settings(provider))
    for other in (None, "a.b.c", "hlg_x", "..", provider.token(iss="https://elsewhere.example"), "x." * 9000, "é.é.é"):
        assert await tokens.authenticate(sent(other)) is None


async def test_a_believed_token_still_ends_with_its_expiry(provider, sent) -> None:
    wall, now = [time.time()], [0.0]
    tokens = IdentityProvider(settings(provider, leeway=0.0), clock=lambda: now[0], wall=lambda: wall[0])
    token = provider.token(exp=wall[0] + 30)
    assert await tokens.authenticate(sent(token)) is not None
    wall[0] += 31
    with pytest.raises(Unauthenticated, match="expired"):
        await tokens.authenticate(sent(token))


async def test_keys_are_fetched_once_and_again_for_a_new_one_but_not_for_every_forgery(provider, sent) -> None:
    now = [0.0]
    tokens = IdentityProvider(settings(provider), clock=lambda: now[0])
    await tokens.open()
    for number in range(5):
        await tokens.authenticate(sent(provider.token(sub=f"s{number}")))
    assert provider.fetches == 1
    provider.add("two", "ES256")
    now[0] += 31
    assert await tokens.authenticate(sent(provider.token("two"))) is not None
    assert provider.fetches == 2
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(sent(provider.token(header={"kid": f"x{number}"})))
    assert provider.fetches == 2


async def test_keys_are_kept_while_the_provider_is_away_and_a_missing_one_is_not_an_answer(provider, sent) -> None:
    now = [0.0]
    tokens = IdentityProvider(settings(provider), clock=lambda: now[0])
    await tokens.open()
    late = IdentityProvider(settings(provider))
    provider.close()
    now[0] += 100_000
    assert await tokens.authenticate(sent(provider.token())) is not None
    with pytest.raises(Unavailable):
        await late.authenticate(sent(provider.token()))
    await late.open()  # logs, and goes on
    provider.close = lambda: None


async def test_a_redirect_is_not_followed(provider, sent) -> None:
    target = Provider()
    try:
        target.add("one", "RS256")
        provider.redirect = f"{target.issuer}/keys"
        tokens = IdentityProvider(settings(provider, jwks=f"{provider.issuer}/keys"))
        with pytest.raises(Unavailable):
            await tokens.authenticate(sent(provider.token()))
        assert target.fetches == 0
    finally:
        target.close()


async def test_keys_may_be_in_a_file(provider, sent, tmp_path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": provider.published()}))
    tokens = IdentityProvider(settings(provider, jwks=str(file)))
    assert await tokens.authenticate(sent(provider.token())) is not None
    assert provider.fetches == 0


def test_what_would_be_unsafe_is_refused_at_start(provider) -> None:
    with pytest.raises(ConfigError, match="public key"):
        IdentityProvider(settings(provider, algorithms=("HS256",)))
    with pytest.raises(ConfigError, match="https"):
        IdentityProvider(settings(provider, jwks="http://keys.example/"))
    with pytest.raises(ConfigError, match="https"):
        IdentityProvider(settings(provider, jwks="ftp://keys.example/"))


async def test_a_subject_or_name_that_no_database_holds_is_kept_by_its_hash(provider, sent) -> None:
    tokens = IdentityProvider(Jwt(issuer=provider.issuer, audience="gateway"))
    ids = []
    for subject in ("a" * 200, "a" * 201, "a\x00b"):
        known = await tokens.authenticate(sent(provider.token(sub=subject, email=f"{subject}@x")))
        assert known is not None
        assert len(known.id) <= 128
        assert (known.id + known.name).isprintable()
        ids.append(known.id)
    assert len(set(ids)) == 3
