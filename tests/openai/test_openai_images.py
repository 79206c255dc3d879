"""Images by URL: fetched where the operator allows it, refused with the field at fault everywhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from hyperllama.messages import Image
from hyperllama.testing.fakes import FakeGateway, model_info
from hyperllama.testing.serving import serving
from hyperllama.web.fetch import Fetcher, NotFetched
from hyperllama_openai.protocol import OpenAI
from hyperllama_openai.settings import Settings

URL = "https://images.example.com/a.png"


class Pictures(Fetcher):
    """One that finds every URL but those with ``gone`` in them."""

    def __init__(self) -> None:
        super().__init__(("images.example.com",))
        self.fetched: list[str] = []

    async def fetch(self, url: str, *, max_bytes: int) -> bytes:
        self.fetched.append(url)
        if "gone" in url:
            raise NotFetched("its server answered with status 404")
        return url.encode()


@pytest.fixture
def pictures() -> Pictures:
    return Pictures()


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(model_info("seer"), model_info("blind", capabilities=frozenset({"completion", "chat"})))


@pytest.fixture
async def http(pictures: Pictures, gateway: FakeGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(OpenAI(Settings(), pictures), gateway) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        yield client


def chat(*urls: str, model: str = "seer") -> dict[str, object]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, *parts]}]}


async def test_an_allowed_image_reaches_the_model_as_bytes(http: httpx.AsyncClient, gateway: FakeGateway) -> None:
    assert (await http.post("/v1/chat/completions", json=chat(URL, "data:;base64,aGk="))).status_code == 200
    assert gateway.requests[0].input.messages[0].parts[1:] == (Image(URL.encode()), Image(b"hi"))
    said = {"role": "user", "content": [{"type": "input_image", "image_url": URL}]}
    called = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    shown = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": URL}]}
    reply = await http.post("/v1/responses", json={"model": "seer", "input": [said, called, shown]})
    assert reply.status_code == 200, reply.text
    parts = [part for message in gateway.requests[1].input.messages for part in message.parts]
    assert parts == [Image(URL.encode())] * 2


async def test_one_that_cannot_be_fetched_is_400_with_its_place(http: httpx.AsyncClient, gateway: FakeGateway) -> None:
    error = (await http.post("/v1/chat/completions", json=chat(URL, f"{URL}?gone"))).json()["error"]
    assert (error["code"], error["param"]) == ("invalid_image_url", "messages[0].content[2].image_url")
    assert "status 404" in error["message"]
    assert gateway.requests == []


async def test_nothing_is_fetched_for_a_model_that_sees_nothing_or_beyond_a_hundred(
    http: httpx.AsyncClient, pictures: Pictures
) -> None:
    assert (await http.post("/v1/chat/completions", json=chat(URL, model="blind"))).status_code == 400
    assert pictures.fetched == []
    assert (await http.post("/v1/chat/completions", json=chat(*[URL] * 101))).status_code == 400
    assert len(pictures.fetched) == 100


async def test_by_default_no_url_is_fetched(gateway: FakeGateway) -> None:
    async with serving(OpenAI(Settings()), gateway) as url, httpx.AsyncClient(base_url=url) as client:
        for asked in (URL, "http://127.0.0.1/", "file:///etc/passwd"):
            reply = await client.post("/v1/chat/completions", json=chat(asked))
            assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_image_url")


def document(*urls: str, **more: str) -> dict[str, object]:
    parts = [{"type": "input_file", "file_url": url, **more} for url in urls]
    return {"model": "blind", "input": [{"role": "user", "content": parts}]}


async def test_an_allowed_document_is_read_as_text(http: httpx.AsyncClient, gateway: FakeGateway) -> None:
    url = "https://images.example.com/a%20b.txt?x=1"
    for more, title in (({}, "a b.txt"), ({"filename": "c.md"}, "c.md")):
        made = await http.post("/v1/responses", json=document(url, **more))
        assert made.status_code == 200, made.text
        assert gateway.requests[-1].input.messages[0].text == f'Document "{title}":\n{url}'
    # What was read is stored: it is not fetched again when the conversation goes on.
    more = {"model": "blind", "input": "and?", "previous_response_id": made.json()["id"]}
    assert (await http.post("/v1/responses", json=more)).status_code == 200
    assert url in gateway.requests[-1].input.messages[0].text


@pytest.mark.parametrize("url", ["https://images.example.com/gone.txt", "ftp://images.example.com/gone", "gone"])
async def test_a_document_that_cannot_be_fetched_is_refused(
    http: httpx.AsyncClient, gateway: FakeGateway, url: str
) -> None:
    reply = await http.post("/v1/responses", json=document(url))
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input[0].content[0].file_url")
    assert "cannot be fetched" in reply.json()["error"]["message"]
    assert not gateway.requests


async def test_documents_by_url_are_bounded(http: httpx.AsyncClient, pictures: Pictures) -> None:
    urls = [f"https://images.example.com/{number}.txt" for number in range(21)]
    assert (await http.post("/v1/responses", json=document(*urls[:20]))).status_code == 200
    reply = await http.post("/v1/responses", json=document(*urls))
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input[0].content[20].file_url")
    assert len(pictures.fetched) == 40
