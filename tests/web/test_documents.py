"""Documents as text: every kind of text, PDFs, and a sentence for what has none."""

from __future__ import annotations

import asyncio
import base64
import zlib

import pytest

from hyperllama.web import Documents
from hyperllama.web import documents as module


def pdf(*pages: str, packed: bool = False) -> bytes:
    """Make a PDF with one line of text on each page."""
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for index, text in enumerate(pages):
        body = f"BT /F1 24 Tf 72 700 Td ({text}) Tj ET".encode()
        filtered = b"/Filter /FlateDecode " if packed else b""
        body = zlib.compress(body) if packed else body
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            + f"/Contents {5 + 2 * index} 0 R >>".encode()
        )
        objects.append(b"<< " + filtered + f"/Length {len(body)} >>\nstream\n".encode() + body + b"\nendstream")
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{place:010} 00000 n \n".encode() for place in places)
    return bytes(out + f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF".encode())


@pytest.mark.parametrize(
    ("media_type", "data", "text"),
    [
        ("text/plain", b"grass is green", "grass is green"),
        ("text/plain; charset=utf-8", "grün".encode(), "grün"),
        ("text/csv", b"a,b\n1,2", "a,b\n1,2"),
        ("text/markdown; charset=iso-8859-1", "grün".encode("latin-1"), "grün"),
        ("text/x-python", b"print(1)", "print(1)"),
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("application/problem+json", b"{}", "{}"),
        ("image/svg+xml", b"<svg/>", "<svg/>"),
        ("application/xml", b"<a/>", "<a/>"),
        ("application/x-yaml", b"a: 1", "a: 1"),
        ("application/javascript", b"f()", "f()"),
        ("TEXT/HTML", b"<p>", "<p>"),
        ("", b"no type", "no type"),
        ("application/octet-stream", b"no type", "no type"),
        ("text/plain", "grün".encode("utf-16"), "grün"),
        ("text/plain", b"\xef\xbb\xbfgreen", "green"),
        ("text/plain", b"gr\xfcn", "grün"),
        ("text/plain; charset=rot13", b"green", "green"),
        ("text/plain; charset=nonsense", b"green", "green"),
        ("text/plain", b"", ""),
    ],
)
async def test_f10_text_of_every_kind_is_text(media_type: str, data: bytes, text: str) -> None:
    reader = Documents().of_request("me")
    assert await reader.text(data, media_type) == text
    assert await reader.base64_text(base64.b64encode(data).decode().rstrip("="), media_type) == text


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("application/zip", b"PK\x03\x04"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"PK\x03\x04"),
        ("application/octet-stream", b"\x00\x01"),
        ("", b"\xff\xfe\xff"),
        ("audio/wav", b"RIFF"),
    ],
)
async def test_f10_what_is_no_text_is_a_sentence(media_type: str, data: bytes) -> None:
    text = await Documents().of_request("me").text(data, media_type, 'a"b\nc.bin')
    assert text.startswith('[A document "abc.bin" (') and "\n" not in text and "only text and PDF" in text


async def test_a_document_has_its_name_before_it() -> None:
    assert await Documents().of_request("me").text(b"x", "text/plain", "a.txt") == 'Document "a.txt":\nx'


@pytest.mark.parametrize(("packed", "media_type"), [(False, "application/pdf"), (True, "text/plain")])
async def test_f10_a_pdf_is_its_text(packed: bool, media_type: str) -> None:
    text = await Documents().of_request("me").text(pdf("The sky", "is green", packed=packed), media_type, "a.pdf")
    assert text == 'Document "a.pdf":\nThe sky\n\nis green'


async def test_a_pdf_that_comes_again_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    documents, data = Documents(), pdf("hello")
    assert await documents.of_request("me").text(data) == "hello"
    monkeypatch.setattr(module, "_extracted", lambda data, seconds: module._Pdf("read again"))
    assert await documents.of_request("me").text(data) == "hello"
    assert await documents.of_request("another").text(data) == "read again"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pdf(""), "no text"),
        (pdf("x")[:200], "damaged"),
        (pdf("x").replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]"), ""),  # the tree of pages is a circle
    ],
)
async def test_a_pdf_without_text_is_a_sentence(data: bytes, reason: str) -> None:
    text = await Documents().of_request("me").text(data, "application/pdf")
    assert text.startswith("[A document (application/pdf, ") and reason in text


async def test_a_pdf_has_bounded_time() -> None:
    reader = Documents(seconds=0.01).of_request("me")
    assert "takes too long" in await reader.text(pdf("x"))
    assert "take too long" in await reader.text(pdf("y"))


async def test_a_pdf_has_bounded_memory_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHARACTERS", 4)
    assert await Documents().of_request("me").text(pdf("hello")) == "hell\n[The rest of this document is left out.]"
    monkeypatch.setattr(module, "MAX_PAGES", 1)
    assert await Documents().of_request("me").text(pdf("a", "b")) == "a\n[The rest of this document is left out.]"
    monkeypatch.setattr(module, "MEMORY", 1024)
    assert "damaged" in await Documents().of_request("me").text(pdf("x"))


async def test_documents_of_a_request_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DOCUMENT_BYTES", 10)
    reader = Documents().of_request("me")
    assert await reader.text(b"12345678", "text/plain") == "12345678"
    assert "left out" in await reader.base64_text(base64.b64encode(b"1" * 40).decode(), "text/plain")
    assert "left out" in await reader.text(b"1", "text/plain")


async def test_without_the_extra_a_pdf_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert "reads no PDFs" in await Documents().of_request("me").text(pdf("x"), name="a.pdf")


async def test_base64_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not valid base64"):
        await Documents().of_request("me").base64_text("?")


@pytest.mark.nightly
async def test_many_at_once_are_read_two_at_a_time() -> None:
    documents = Documents()
    texts = await asyncio.gather(*(documents.of_request("me").text(pdf(f"page {n}")) for n in range(6)))
    assert texts == [f"page {n}" for n in range(6)]
