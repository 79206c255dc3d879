"""Progress of pull, push and create in Ollama's sentences."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET

from hyperllama.spi import Phase, Progress
from hyperllama_ollama.encode import replies
from hyperllama_ollama.encode.text import dumps

_QUANTIZED = "0" * 19  # the digest in Ollama's lines about quantizing

#: The sentence of each phase. ``digest`` is shortened to the twelve hex digits that Ollama shows, ``full`` is not.
SENTENCES: Mapping[Phase, str] = {
    "resolving": "pulling manifest",
    "downloading": "pulling {digest}",
    "verifying": "verifying sha256 digest",
    "reading_gguf": "parsing GGUF",
    "quantizing": "quantizing {before} model to {after}",
    "reusing": "using existing layer {full}",
    "writing": "writing manifest",
    "locating": "retrieving manifest",
    "not_located": "couldn't retrieve manifest",
    "uploading": "pushing {digest}",
    "publishing": "pushing manifest",
    "done": "success",
}
_WITH_DIGEST = ("downloading", "uploading")


def line(progress: Progress) -> bytes:
    """Return one line of the stream, without its line break."""
    before, after = progress.encodings
    short = progress.digest.removeprefix("sha256:")[:12]
    digest = progress.digest if progress.phase in _WITH_DIGEST else _QUANTIZED if progress.phase == "quantizing" else ""
    return dumps(
        replies.Progress(
            status=SENTENCES[progress.phase].format(digest=short, full=progress.digest, before=before, after=after),
            digest=digest or UNSET,
            total=progress.total or UNSET,
            completed=progress.completed or UNSET,
        )
    )


__all__ = ("SENTENCES", "line")
