"""A repository of the Hub as the configuration writes it, and the files of it that hold a model without code."""

from __future__ import annotations

import re

import msgspec

from hyperllama.errors import ConfigError

_REFERENCE = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w.-]+))?(?:@([\w./-]+))?", re.ASCII)
_BESIDE = ("*.json", "*.model", "*.jinja", "tokenizer*", "vocab.txt", "merges.txt", "LICENSE*", "README.md")
_NESTED = "[0-9]_*/config.json"  # of the modules after an encoder


class Reference(msgspec.Struct, frozen=True):
    """``org/repo[:quant][@revision]``."""

    repo: str
    quant: str | None  # part of a GGUF file's name; None: safetensors
    revision: str | None

    @property
    def patterns(self) -> list[str]:
        """Return the patterns of the files to download."""
        return [*_BESIDE, _NESTED, "*.safetensors", *([f"*{self.quant}*.gguf"] if self.quant else [])]


def parse(text: str) -> Reference:
    """Return the parts of ``text``. Raise ConfigError."""
    match = _REFERENCE.fullmatch(text)
    if match is None or ".." in text:
        raise ConfigError(f"'hf:{text}' is no Hub model; write hf:org/repo, hf:org/repo:Q4_K_M or hf:org/repo@revision")
    return Reference(*match.groups())


__all__ = ("Reference", "parse")
