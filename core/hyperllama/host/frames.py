"""The protocol between the gateway and an engine host: length-prefixed msgpack, each frame one tagged array.

A frame is four bytes of length, big-endian, then the message. There are two connections: one for everything, on which
the host speaks first, with :class:`Hello`; and one for :class:`Ping` and :class:`Pong` alone, so that no frame, however
large, stands before a sign of life. Nothing here can name code to run: a frame holds values only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import msgspec

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.generation import Effort, GenerationRequest, Rendering, TokenChunk, ToolSpec
from hyperllama.messages import Input
from hyperllama.models import LoadProgress, ModelInfo, ModelSpec

VERSION: Final = 3
MAX_FRAME: Final = 64 * 1024 * 1024  # bytes; a batch of embeddings is the largest honest frame
PREFIX: Final = 4


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message. ``id`` in it: minted by the gateway, never used twice in the life of a host."""


# --- to the host -----------------------------------------------------------------------------------------------------


class Load(Frame, frozen=True, tag="load"):
    """The first frame, once. ``settings`` are the engine plugin's own, as its worker expects them."""

    version: int
    spec: ModelSpec
    path: str | None
    settings: dict[str, Any]


class Submit(Frame, frozen=True, tag="submit"):
    """A new generation, answered by Admitted or Refused, then by chunks in Steps."""

    id: int
    request: GenerationRequest


class Cancel(Frame, frozen=True, tag="cancel"):
    """The request to give up ``id``: no frame about it follows."""

    id: int


class Embed(Frame, frozen=True, tag="embed"):
    id: int
    request: EmbeddingRequest


class Tokenize(Frame, frozen=True, tag="tokenize"):
    id: int
    input: Input
    tools: tuple[ToolSpec, ...] = ()
    reasoning: bool | Effort | None = None
    rendering: Rendering | None = None


class Detokenize(Frame, frozen=True, tag="detokenize"):
    id: int
    ids: tuple[int, ...]


class DetokenizeEach(Frame, frozen=True, tag="detokenize_each"):
    """The question for the text of each of ``ids`` by itself."""

    id: int
    ids: tuple[int, ...]


class Drain(Frame, frozen=True, tag="drain"):
    """The request to refuse new work, and to end when the last stream has."""


class Ping(Frame, frozen=True, tag="ping"):
    sequence: int


ToHost: TypeAlias = Load | Submit | Cancel | Embed | Tokenize | Detokenize | DetokenizeEach | Drain | Ping


# --- from the host ---------------------------------------------------------------------------------------------------


class Hello(Frame, frozen=True, tag="hello"):
    version: int
    pid: int


class Progress(Frame, frozen=True, tag="progress"):
    progress: LoadProgress


class Ready(Frame, frozen=True, tag="ready"):
    info: ModelInfo


class LoadError(Frame, frozen=True, tag="load_error"):
    message: str


class Admitted(Frame, frozen=True, tag="admitted"):
    id: int


class Refused(Frame, frozen=True, tag="refused"):
    """The error to raise for ``id``: ``kind`` is the name of a class in ``hyperllama.errors``."""

    id: int
    kind: str
    message: str
    param: str | None = None
    retry_after: float | None = None


class Step(Frame, frozen=True, tag="step"):
    """A step of the engine: the chunks of every stream that moved, then the streams it broke."""

    chunks: list[tuple[int, TokenChunk]]
    broken: list[Refused] = []


class Embedded(Frame, frozen=True, tag="embedded"):
    id: int
    embeddings: Embeddings


class Tokens(Frame, frozen=True, tag="tokens"):
    id: int
    ids: tuple[int, ...]


class Detokenized(Frame, frozen=True, tag="detokenized"):
    id: int
    text: str


class Texts(Frame, frozen=True, tag="texts"):
    id: int
    texts: tuple[str, ...]


class Pong(Frame, frozen=True, tag="pong"):
    """The state of the engine. ``steps`` counts what it has done; ``busy`` is the seconds its present step has run, 0:
    it is idle.
    """

    sequence: int
    steps: int
    busy: float
    active: int
    vram: int = 0  # accelerator bytes in use
    stalled: float = 0.0  # seconds since the host's I/O loop was called and has not answered


class Fatal(Frame, frozen=True, tag="fatal"):
    """The reason why the host ends itself."""

    message: str


FromHost: TypeAlias = (
    Hello
    | Progress
    | Ready
    | LoadError
    | Admitted
    | Refused
    | Step
    | Embedded
    | Tokens
    | Detokenized
    | Texts
    | Pong
    | Fatal
)

Side: TypeAlias = Literal["gateway", "host"]


class BadFrameError(Exception):
    """The other side does not speak this protocol. The connection is of no more use."""


def encoder() -> Callable[[ToHost | FromHost], bytearray]:
    """Return a function from message to frame, prefix included. It raises BadFrameError over the cap."""
    encode_into = msgspec.msgpack.Encoder().encode_into

    def encode(message: ToHost | FromHost) -> bytearray:
        frame = bytearray(PREFIX)
        encode_into(message, frame, PREFIX)
        size = len(frame) - PREFIX
        if size > MAX_FRAME:
            raise BadFrameError(f"a frame of {size} bytes is over the cap of {MAX_FRAME}")
        frame[:PREFIX] = size.to_bytes(PREFIX, "big")
        return frame

    return encode


class Reader:
    """An incremental decoder. A frame in one piece with others is decoded in place."""

    def __init__(self, side: Side) -> None:
        """Read what is meant for ``side``."""
        self._decoder: msgspec.msgpack.Decoder[ToHost | FromHost] = (
            msgspec.msgpack.Decoder(FromHost) if side == "gateway" else msgspec.msgpack.Decoder(ToHost)
        )
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[ToHost | FromHost]:
        """Return every message that ``data`` completes. Raises BadFrameError; the reader is of no more use then."""
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < PREFIX or len(rest) < PREFIX + int.from_bytes(rest[:PREFIX], "big") <= PREFIX + MAX_FRAME:
                return []
            data = bytes(rest)
        messages = []
        decode = self._decoder.decode
        view, at, end = memoryview(data), 0, len(data)
        try:
            while end - at >= PREFIX:
                size = int.from_bytes(view[at : at + PREFIX], "big")
                if size > MAX_FRAME:
                    raise BadFrameError(f"a frame of {size} bytes is over the cap of {MAX_FRAME}")
                if end - at - PREFIX < size:
                    break
                at += PREFIX
                messages.append(decode(view[at : at + size]))
                at += size
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BadFrameError(f"not a frame of protocol version {VERSION}: {error}") from error
        self._rest = bytearray(view[at:])
        return messages


__all__ = (
    "MAX_FRAME",
    "PREFIX",
    "VERSION",
    "Admitted",
    "BadFrameError",
    "Cancel",
    "Detokenize",
    "DetokenizeEach",
    "Detokenized",
    "Drain",
    "Embed",
    "Embedded",
    "Fatal",
    "Frame",
    "FromHost",
    "Hello",
    "Load",
    "LoadError",
    "Ping",
    "Pong",
    "Progress",
    "Reader",
    "Ready",
    "Refused",
    "Side",
    "Step",
    "Submit",
    "Texts",
    "ToHost",
    "Tokenize",
    "Tokens",
    "encoder",
)
