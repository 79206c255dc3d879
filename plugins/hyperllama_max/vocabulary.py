"""The model's tokenizer: text to ids and back, special tokens where they are meant and only there."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from typing import Any, Final

from hyperllama.errors import LoadFailed
from hyperllama.host import Deadline
from hyperllama_max.template import Rendered

GROUP: Final = 256  # pieces of a prompt that are encoded together
REPLACEMENT: Final = "\ufffd"


class Vocabulary:
    """The Rust tokenizer beneath transformers'. Everything here may be called on any thread, and blocks."""

    def __init__(self, delegate: Any, *, add_bos: bool) -> None:
        """Take ``delegate``, transformers' tokenizer. ``add_bos``: raw prompts begin with the BOS token."""
        rust = getattr(delegate, "backend_tokenizer", None)
        if rust is None:
            raise LoadFailed("the model's tokenizer is not of the fast kind (it has no tokenizer.json)")
        # What tokenizer.json says of padding and cutting is of whoever saved it last, and would change every count.
        rust.no_padding()
        rust.no_truncation()
        self._rust = rust
        self._literal: Any = None
        self.size: int = rust.get_vocab_size(with_added_tokens=True)
        self._bos: int | None = delegate.bos_token_id if add_bos else None
        added = rust.get_added_tokens_decoder()
        self.special_ids = frozenset(number for number, token in added.items() if token.special)
        self.special_texts: tuple[str, ...] = tuple(token.content for token in added.values() if token.special)
        self._added: dict[int, str] = {number: token.content for number, token in added.items()}
        self._byte_level = "ByteLevel" in _decoders(rust)
        self._bytes: list[bytes | None] = [None] * self.size

    # --- to ids

    def encode(self, rendered: Rendered, deadline: Deadline) -> list[int]:
        """Return the ids of a prompt, with special tokens where the template put them."""
        ids: list[int] = []
        literal: dict[str, list[int]] = {}  # there are as many different ones as special tokens at most
        pieces = rendered.pieces
        for at in range(0, len(pieces), 2 * GROUP):
            deadline.check()
            group = pieces[at : at + 2 * GROUP]
            plain = iter(self._batch([piece for piece in group[::2] if piece]))
            for place, piece in enumerate(group):
                if not piece:
                    continue
                if place % 2 == 0:
                    ids += next(plain)
                    continue
                if piece not in literal:
                    literal[piece] = self.encode_literal(piece)
                ids += literal[piece]
        return ids

    def encode_prompt(self, text: str, *, special: bool) -> list[int]:
        """Return the ids of a raw prompt, in which special-token text is those tokens. ``special``: BOS goes before."""
        ids = self._encode(text, literal=False, post=special)
        if special and self._bos is not None and ids[:1] != [self._bos]:
            ids.insert(0, self._bos)
        return ids

    def encode_literal(self, text: str) -> list[int]:
        """Return the ids of the text alone; special-token text is text."""
        return self._encode(text, literal=True, post=False)

    def encode_plain(self, text: str) -> list[int]:
        """Return the ids with those that the tokenizer adds (CLS and SEP of an encoder); special-token text is text."""
        return self._encode(text, literal=True, post=True)

    def _batch(self, texts: list[str]) -> list[list[int]]:
        # The batch call lets other threads have the interpreter; the single one does not.
        return [encoded.ids for encoded in self._rust.encode_batch(texts, add_special_tokens=False)]

    def _encode(self, text: str, *, literal: bool, post: bool) -> list[int]:
        if not text and not post:
            return []
        rust = self._without_special() if literal else self._rust
        ids: list[int] = rust.encode_batch([text], add_special_tokens=post)[0].ids
        return ids

    def _without_special(self) -> Any:
        if self._literal is None:
            from tokenizers import Tokenizer

            self._literal = Tokenizer.from_str(self._rust.to_str())
            self._literal.encode_special_tokens = True
        return self._literal

    def id_of(self, text: str) -> int | None:
        """Return the id of one token; None: there is none."""
        found: int | None = self._rust.token_to_id(text)
        return found

    # --- from ids

    def knows(self, ids: Sequence[int]) -> bool:
        """Return whether every id belongs to a token."""
        return not ids or (min(ids) >= 0 and max(ids) < self.size)

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """Return the text of ``ids``, all of which are known."""
        # The batch call lets other threads have the interpreter; the single one does not.
        text: str = self._rust.decode_batch([list(ids)], skip_special_tokens=skip_special)[0]
        return text

    def text_of(self, number: int) -> bytes:
        """Return a token's own bytes, whether or not they are whole characters."""
        if not 0 <= number < self.size:
            return b""
        known = self._bytes[number]
        if known is None:
            known = self._bytes[number] = self._text_of(number)
        return known

    def _text_of(self, number: int) -> bytes:
        token = self._rust.id_to_token(number)
        if token is None:
            return b""
        if number in self._added:
            return self._added[number].encode()
        if self._byte_level:
            try:
                return bytes(map(_BYTE_LEVEL.__getitem__, token))
            except KeyError:
                return str(token).encode()
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            return bytes([int(token[3:5], 16)])
        return str(token).replace("\u2581", " ").encode()

    def detokenizer(self, visible: frozenset[int] = frozenset()) -> Callable[[int], str]:
        """Return a function from the next id of one answer to the text that it completes; ``-1`` gives the rest.

        Special tokens have no text, but for the ``visible`` ones.
        """
        hidden = self.special_ids - visible if visible else self.special_ids
        return _ByteDetokenizer(self, hidden) if self._byte_level else _StreamDetokenizer(self._rust, self, hidden)


class _ByteDetokenizer:
    """Detokenizer for byte-level vocabularies: bytes looked up, characters put together, nothing decoded twice."""

    __slots__ = ("_decode", "_hidden", "_text_of")

    def __init__(self, vocabulary: Vocabulary, hidden: frozenset[int]) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._text_of = vocabulary.text_of
        self._hidden = hidden

    def __call__(self, number: int) -> str:
        if number < 0:
            return self._decode(b"", True)
        if number in self._hidden:
            return ""
        return self._decode(self._text_of(number))


class _StreamDetokenizer:
    """Detokenizer for every other kind, on the tokenizers library's own stream, which holds back until the end."""

    __slots__ = ("_held", "_hidden", "_rust", "_stream", "_vocabulary")

    def __init__(self, rust: Any, vocabulary: Vocabulary, hidden: frozenset[int]) -> None:
        from tokenizers.decoders import DecodeStream

        self._rust = rust
        self._stream = DecodeStream(skip_special_tokens=False)
        self._vocabulary = vocabulary
        self._hidden = hidden
        self._held: list[int] = []

    def __call__(self, number: int) -> str:
        if number < 0:
            held, self._held = self._held, []
            return self._vocabulary.decode(held, skip_special=True) if held else ""
        if not 0 <= number < self._vocabulary.size or number in self._hidden:
            return ""
        text: str | None = self._stream.step(self._rust, number)
        if text is None:
            self._held.append(number)
            return ""
        self._held.clear()
        return text


def _decoders(rust: Any) -> str:
    """Return the tokenizer's decoders in the words of its own description."""
    return repr(rust.decoder) if rust.decoder is not None else ""


def _byte_level() -> dict[str, int]:
    """Return the byte that each printable character stands for in byte-level vocabularies."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [byte for byte in range(256) if byte not in set(plain)]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTE_LEVEL: Final = _byte_level()

__all__ = ("REPLACEMENT", "Vocabulary")
