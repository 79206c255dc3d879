"""Documents in requests as text: texts of every kind as they are, PDFs through a process of its own, others as a line.

PDFs need the ``[pdf]`` extra. Whatever a document holds, a request with one goes on: a conversation would otherwise be
dead for good, since clients send the document again in every turn.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import msgspec

from hyperllama.errors import Unavailable
from hyperllama.system.executors import Workers
from hyperllama.web.base64_text import from_base64

T = TypeVar("T")

MAX_DOCUMENT_BYTES = 32 * 1024 * 1024  # of one document, and of all of one request
MAX_CHARACTERS = 1024 * 1024  # of the text of one document
MAX_PAGES = 1_000
SECONDS = 10  # that one PDF may take, and all of one request together
MEMORY = 1024 * 1024 * 1024  # bytes of the process that reads it

_SMALL = 64 * 1024  # bytes that are read on the event loop
_KEPT = 64  # texts of PDFs, since clients send them again in every turn
_KEPT_CHARACTERS = 8 * 1024 * 1024
_READER = Path(__file__).with_name("pdf_process.py")
_TYPES = re.compile(
    r"text/.+|.+[+/](?:x-)?(?:json|xml|ya?ml|csv|sql|toml)|application/(?:x-)?(?:csh|ecmascript|graphql|httpd-php|java|"
    r"javascript|json5|json-seq|jsonl|jsonlines|latex|ndjson|perl|php|python|python-code|ruby|rust|sh|shellscript|"
    r"subrip|tex|texinfo|typescript|www-form-urlencoded)",
    re.ASCII,
)
_CHARSET = re.compile(r";\s*charset=\"?([\w.:-]{1,40})", re.ASCII | re.IGNORECASE)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LATE = "it takes too long to read"
_UNKNOWN = ("", "application/octet-stream", "binary/octet-stream", "application/unknown")


class Documents:
    """The reader of documents for one dialect. For the event loop; its threads start when they are first needed."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        """Take the ``seconds`` that PDFs may take."""
        self.seconds = seconds
        self._workers = Workers("documents", 2, waiting=64, refusal=_busy)
        self._kept: OrderedDict[tuple[str, bytes], _Pdf] = OrderedDict()

    def of_request(self, owner: str) -> InlineDocuments:
        """Return the reader of one request's documents. ``owner``: texts that were read before are kept for each."""
        return InlineDocuments(self, owner)

    async def run(self, work: Callable[[], T], size: int) -> T:
        """Return ``work()``, in a thread if ``size`` bytes are many. Raise Unavailable when too many wait."""
        return work() if size < _SMALL else await self._workers.run(work)

    async def pdf(self, data: bytes, owner: str, seconds: float) -> tuple[_Pdf, float]:
        """Return the contents of a PDF and the seconds that took. Raise Unavailable when too many wait."""
        if find_spec("pypdf") is None:
            return _Pdf("", "this server reads no PDFs"), 0.0
        key = (owner, await self.run(lambda: hashlib.sha256(data).digest(), len(data)))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key], 0.0

        def work() -> tuple[_Pdf, float]:
            began = time.monotonic()
            return _extracted(data, seconds), time.monotonic() - began

        found, spent = await self._workers.run(work)
        if found.reason != _LATE or seconds == self.seconds:
            self._keep(key, found)
        return found, spent

    def _keep(self, key: tuple[str, bytes], found: _Pdf) -> None:
        self._kept[key] = found
        while len(self._kept) > _KEPT or sum(len(one.text) for one in self._kept.values()) > _KEPT_CHARACTERS:
            self._kept.popitem(last=False)


class InlineDocuments:
    """The documents of one request: so many bytes, and so much time, for all together."""

    def __init__(self, documents: Documents, owner: str) -> None:
        self._documents = documents
        self._owner = owner
        self._left = MAX_DOCUMENT_BYTES
        self._seconds = documents.seconds

    async def text(self, data: bytes, media_type: str = "", name: str = "") -> str:
        """Return the text of a document, after a line with its ``name`` if it has one; a sentence where it has none.

        ``media_type`` is the client's, with parameters or empty. Raise Unavailable when too many wait.
        """
        self._left -= len(data)
        if self._left < 0:
            return self.left_out(len(data), media_type, name)
        if b"%PDF-" in data[:1024]:
            return await self._pdf(data, name)
        found = await self._documents.run(lambda: _decoded(data, media_type, name), len(data))
        if found is None:
            return _line(name, media_type, len(data), "only text and PDF documents can be read")
        return _titled(name, found[:MAX_CHARACTERS], cut=len(found) > MAX_CHARACTERS)

    @property
    def left(self) -> int:
        """The bytes that documents of this request may still hold."""
        return max(0, self._left)

    def left_out(self, size: int = 0, media_type: str = "", name: str = "") -> str:
        """Return the sentence in the place of a document that is too large."""
        return _line(name, media_type, size, f"documents over {MAX_DOCUMENT_BYTES >> 20} MiB are left out")

    async def base64_text(self, encoded: str, media_type: str = "", name: str = "") -> str:
        """Return the text of a document that is spelled in base64, padded or not. Raise ValueError for what is not."""
        if len(encoded) > (self._left * 4) // 3 + 4:
            self._left = 0
            return self.left_out(len(encoded) * 3 // 4, media_type, name)
        data = await self._documents.run(lambda: from_base64(encoded), len(encoded))
        return await self.text(data, media_type, name)

    async def _pdf(self, data: bytes, name: str) -> str:
        if self._seconds <= 0:
            return _line(name, "application/pdf", len(data), "the documents of this request take too long to read")
        found, spent = await self._documents.pdf(data, self._owner, self._seconds)
        self._seconds -= spent
        if found.reason:
            return _line(name, "application/pdf", len(data), found.reason)
        return _titled(name, found.text, cut=found.cut)


class _Pdf(msgspec.Struct, frozen=True):
    text: str
    reason: str = ""  # it could not be read; the text is empty
    cut: bool = False


def _extracted(data: bytes, seconds: float) -> _Pdf:
    """Return the contents of a PDF, read in a process that has ``seconds``. Blocks."""
    bounds = (MAX_PAGES, MAX_CHARACTERS, max(1, round(seconds)), MEMORY)
    kept = {name: os.environ[name] for name in ("LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH") if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_READER), *map(str, bounds)],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept,
            timeout=seconds,
            check=False,
        )
        found = json.loads(done.stdout) if done.returncode == 0 else {"reason": "damaged"}
    except subprocess.TimeoutExpired:
        return _Pdf("", _LATE)
    except (OSError, ValueError):
        found = {"reason": "damaged"}
    match found:
        case {"text": "", "total": int()}:
            return _Pdf("", "it holds no text, only images perhaps")
        case {"text": str(text), "total": int(total), "shown": int(shown)}:
            return _Pdf(text, cut=shown < total or len(text) >= MAX_CHARACTERS)
        case {"reason": "encrypted"}:
            return _Pdf("", "it is encrypted")
    return _Pdf("", "it is damaged")


def _decoded(data: bytes, media_type: str, name: str) -> str | None:
    """Return ``data`` as text; None for what is none."""
    kind = media_type.partition(";")[0].strip().lower()
    texts = _TYPES.fullmatch(kind) is not None or (
        kind in _UNKNOWN and b"\0" not in data and _valid(data)  # clients that do not know it send no type
    )
    if not texts:
        return None
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    charset = _CHARSET.search(media_type)
    try:
        if charset is not None and codecs.lookup(charset[1]).name not in ("utf-8", "ascii"):
            return data.decode(charset[1], "replace")
    except (LookupError, ValueError, AssertionError):
        pass  # no encoding of text
    return data.decode("utf-8") if _valid(data) else data.decode("cp1252", "replace")


def _valid(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _titled(name: str, text: str, *, cut: bool) -> str:
    name = _plain(name)
    end = "\n[The rest of this document is left out.]" if cut else ""
    return f'Document "{name}":\n{text}{end}' if name else f"{text}{end}"


def _line(name: str, media_type: str, size: int, reason: str) -> str:
    """Return the sentence that stands in the place of a document."""
    kind = _plain(media_type.partition(";")[0].strip())
    named = f' "{name}"' if (name := _plain(name)) else ""
    typed = f"{kind}, " if kind else ""
    return f"[A document{named} ({typed}{size} bytes) was attached here and could not be read: {reason}.]"


def _plain(name: str) -> str:
    """Return ``name`` on one line, without quotes, bounded."""
    return "".join(character for character in name[:200] if character.isprintable() and character != '"')


def _busy() -> Unavailable:
    return Unavailable("Too many documents are being read at once.", retry_after=1)


__all__ = ("MAX_DOCUMENT_BYTES", "Documents", "InlineDocuments")
