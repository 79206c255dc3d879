"""The process that reads a PDF from its standard input: ``PAGES CHARACTERS SECONDS BYTES``, one JSON object out.

A PDF of somebody else's may take any time and memory in a parser; this process has little of both. It is run as a
file, so that it imports nothing of the gateway.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys
from io import BytesIO
from typing import Any


def main(pages: int, characters: int, seconds: int, memory: int) -> None:
    """Write ``text``, and ``total`` and ``shown`` in pages; or ``reason``: "encrypted", "damaged"."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(2 * seconds)  # should the gateway die first
    logging.disable()
    try:
        found = _read(sys.stdin.buffer.read(), pages, characters)
    except Exception:  # noqa: BLE001 - a parser of broken files raises anything
        found = {"reason": "damaged"}
    json.dump(found, sys.stdout)


def _read(data: bytes, pages: int, characters: int) -> dict[str, Any]:
    import pypdf

    reader = pypdf.PdfReader(BytesIO(data), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        return {"reason": "encrypted"}
    total, left, texts = len(reader.pages), characters, []
    for page in reader.pages[:pages]:
        try:
            text = page.extract_text().strip()[:left]
        except Exception:  # noqa: BLE001 - the other pages may be whole
            text = ""
        texts.append(text)
        left -= len(text)
        if left <= 0:
            break
    return {"text": "\n\n".join(text for text in texts if text), "total": total, "shown": len(texts)}


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

__all__ = ("main",)
