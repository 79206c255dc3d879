"""Progress and refusals of the model store in the words of the Ollama dialect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from hyperllama.errors import GatewayError
from hyperllama.spi import Progress
from hyperllama_ollama import errors
from hyperllama_ollama.encode import progress


def line(report: Progress) -> dict[str, object]:
    """Return the line that a client of Ollama reads."""
    found: dict[str, object] = msgspec.json.decode(progress.line(report))
    return found


@contextmanager
def refused(kind: type[GatewayError], match: str) -> Iterator[None]:
    """Expect an error of that kind, which the dialect words as ``match``."""
    with pytest.raises(kind) as caught:
        yield
    assert re.search(match, errors.text(caught.value)), errors.text(caught.value)
