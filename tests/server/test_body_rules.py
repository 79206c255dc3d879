"""The guard learns from the routes which bodies may be large or encoded."""

from __future__ import annotations

import pytest
from litestar import Litestar, get, post, route

from hyperllama.server.body_rules import declared_encodings, declared_limits


@post("/blobs/{digest:str}", request_max_body_size=None)
async def blob() -> None: ...


@route("/blobs/{digest:str}", http_method=["HEAD"])
async def there() -> None: ...


@post("/small", request_max_body_size=10)
async def small() -> None: ...


@post("/chat", opt={"encodings": ("zstd",)})
async def chat() -> None: ...


@get("/")
async def root() -> None: ...


@pytest.fixture
def app() -> Litestar:
    return Litestar([blob, there, small, chat, root], request_max_body_size=1000, openapi_config=None)


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/blobs/sha256:00", None),
        ("/blobs/sha256%3A00", None),
        ("/blobs/sha256:00/", None),
        ("/blobs/", 1000),
        ("/blobs", 1000),
        ("/blobs/a/b", 1000),
        ("/blobs/../chat", 1000),
        ("/x/blobs/a", 1000),
        ("/small", 10),
        ("/chat", 1000),
        ("/", 1000),
        ("/nowhere", 1000),
    ],
)
def test_a_path_has_the_limit_of_its_route(app: Litestar, path: str, limit: int | None) -> None:
    assert declared_limits(app, 1000)(path) == limit


def test_a_route_may_take_encoded_bodies(app: Litestar) -> None:
    encodings = declared_encodings(app)
    assert set(encodings("/chat")) == {"zstd"}
    assert not encodings("/small")
