"""The vocabulary in a GGUF file as the tokenizer.json that the tokenizers library reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hyperllama.errors import ConfigError
from hyperllama_max.gguf import GgufHeader

_SPACE: Final = "\u2581"  # what SentencePiece writes for a space
_NORMAL, _CONTROL, _USER = 1, 3, 4  # kinds of tokens
_ARRAYS: Final[Mapping[str, type]] = {"tokens": str, "merges": str, "scores": float, "token_type": int}

_WORDS: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CASELESS: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST: Final = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3: Final = rf"{_CASELESS}\p{{N}}{{1,3}}{_REST}"
_QWEN2: Final = rf"{_CASELESS}\p{{N}}{_REST}"

#: How text is cut before pairs are merged, by the name that the file gives it: expressions applied one after another.
_CUTS: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(("default", "gpt-2", "mpt", "olmo", "jais"), (_WORDS,)),
    **dict.fromkeys(("llama3", "llama-v3", "llama-bpe"), (_LLAMA3,)),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen"), (_QWEN2,)),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"), (r"\p{N}", _WORDS)),
}
_COMPOSED: Final = frozenset({"qwen2", "deepseek-r1-qwen"})  # text is brought to NFC first
_WHOLE: Final = frozenset({"llama3", "llama-v3", "llama-bpe"})  # a piece that is a token is not merged


def check(header: GgufHeader, name: str) -> None:
    """Raise ConfigError for a vocabulary that cannot be written as a tokenizer.json. Arrays may be cut off."""
    kind, cut = _kind(header)
    if kind not in ("gpt2", "llama") or not _is_consistent(header):
        raise ConfigError(f"{name} holds no vocabulary that can be read ({kind}); put its tokenizer.json beside it")
    if kind == "gpt2" and cut not in _CUTS:
        raise ConfigError(f"{name} cuts text into words in an unknown way ({cut}); put its tokenizer.json beside it")


def tokenizer_of(header: GgufHeader) -> dict[str, Any]:
    """Return the tokenizer.json for a header that holds its arrays whole and passed :func:`check`."""
    found = header.metadata
    tokens: list[str] = found["tokenizer.ggml.tokens"]
    kinds: list[int] = found.get("tokenizer.ggml.token_type") or [_NORMAL] * len(tokens)
    kind, cut = _kind(header)
    parts = _byte_level(found, tokens, cut) if kind == "gpt2" else _sentence_piece(found, tokens, kinds)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": number,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": kinds[number] == _CONTROL,
            }
            for number, token in enumerate(tokens)
            if kinds[number] in (_CONTROL, _USER)
        ],
        "post_processor": None,
        **parts,
    }


def _byte_level(found: Mapping[str, Any], tokens: Sequence[str], cut: str) -> dict[str, Any]:
    cuts = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in _CUTS[cut]
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    merges = [merge.split(" ", 1) for merge in found.get("tokenizer.ggml.merges", ())]
    return {
        "normalizer": {"type": "NFC"} if cut in _COMPOSED else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*cuts, level]},
        "decoder": {**level, "use_regex": True},
        "model": _pairs(tokens, merges, ignore_merges=cut in _WHOLE),
    }


def _sentence_piece(found: Mapping[str, Any], tokens: Sequence[str], kinds: Sequence[int]) -> dict[str, Any]:
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    prefixed = found.get("tokenizer.ggml.add_space_prefix", True)
    normalizers = [{"type": "Prepend", "prepend": _SPACE}, replace] if prefixed else [replace]
    decoders: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefixed:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    unknown = found.get("tokenizer.ggml.unknown_token_id", 0)
    merges = _merges(tokens, found.get("tokenizer.ggml.scores") or [0.0] * len(tokens), kinds)
    return {
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": _pairs(tokens, merges, unk_token=tokens[unknown], fuse_unk=True, byte_fallback=True),
    }


def _merges(tokens: Sequence[str], scores: Sequence[float], kinds: Sequence[int]) -> list[list[str]]:
    """Return all pairs that join to a token, best first, since SentencePiece prefers the token of the best score."""
    known = {token: number for number, token in enumerate(tokens) if kinds[number] == _NORMAL}
    found = [
        (-scores[number], known[token[:at]], known[token[at:]], [token[:at], token[at:]])
        for token, number in known.items()
        for at in range(1, len(token))
        if token[:at] in known and token[at:] in known
    ]
    return [pair for *_, pair in sorted(found, key=lambda item: item[:3])]


def _pairs(tokens: Sequence[str], merges: Sequence[Sequence[str]], **said: Any) -> dict[str, Any]:
    nothing = {"unk_token": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    empty = {"dropout": None, "continuing_subword_prefix": None, "end_of_word_suffix": None}
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return {"type": "BPE", **empty, **nothing, **said, "vocab": vocabulary, "merges": merges}


def _is_consistent(header: GgufHeader) -> bool:
    """Return whether the tokens are texts, and the other arrays of the right types and of the same length."""
    found, count = header.metadata, header.lengths.get("tokenizer.ggml.tokens", 0)
    for key, type_ in _ARRAYS.items():
        values = found.get(f"tokenizer.ggml.{key}")
        if values is None and key != "tokens":
            continue
        if not isinstance(values, list) or not all(isinstance(value, type_) for value in values):
            return False
        if key != "merges" and header.lengths.get(f"tokenizer.ggml.{key}") != count:
            return False
    unknown = found.get("tokenizer.ggml.unknown_token_id", 0)
    return isinstance(unknown, int) and 0 <= unknown < count


def _kind(header: GgufHeader) -> tuple[str, str]:
    found = header.metadata
    kind, cut = found.get("tokenizer.ggml.model", "none"), found.get("tokenizer.ggml.pre", "default")
    return str(kind)[:40], str(cut)[:40]


__all__ = ("check", "tokenizer_of")
