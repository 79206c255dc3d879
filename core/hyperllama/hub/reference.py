"""References to repositories of the Hub, and the files of one that make a model. Never pickles, never code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec

from hyperllama.errors import ConfigError

_REFERENCE = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w.-]+))?(?:@([\w./-]+))?", re.ASCII)
#: What reads weights: settings, tokenizers, templates, licences.
_BESIDE = ("*.json", "*.model", "*.jinja", "tokenizer*", "vocab.txt", "merges.txt", "LICENSE*", "README.md")
#: Settings of the modules after an encoder, the one kind of file that lies in a folder: a whole name, and a pattern.
NESTED = re.compile(r"[0-9]{1,2}_[A-Za-z0-9_]{1,60}/config\.json", re.ASCII)
_NESTED = "[0-9]_*/config.json"
_REFUSED = (".py", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack", ".onnx", ".so")
_PART = re.compile(r"^mmproj|-\d{5}-of-\d{5}\.gguf$")  # of a model that is in several files: none is one by itself
_PREFERRED = ("q4_k_m", "q4_0", "q6_k", "f32")  # of several GGUF files when none is asked for


class HubReference(msgspec.Struct, frozen=True):
    """A reference ``org/repo[:quant][@revision]``."""

    repo: str
    quant: str | None  # the part of a GGUF file's name; None: safetensors
    revision: str | None

    @property
    def patterns(self) -> list[str]:
        """Return the patterns of the files to download."""
        return [*_BESIDE, _NESTED, "*.safetensors", *([f"*{self.quant}*.gguf"] if self.quant else [])]


def parse(text: str) -> HubReference:
    """Return the parts of ``text``, a reference without ``hf:``. Raises ConfigError."""
    match = _REFERENCE.fullmatch(text)
    if match is None or ".." in text:
        raise ConfigError(f"'hf:{text}' is no Hub model; write hf:org/repo, hf:org/repo:Q4_K_M or hf:org/repo@revision")
    return HubReference(*match.groups())


def refused(filename: str) -> bool:
    """Return True if a file of this name could run code when it is read."""
    return filename.lower().endswith(_REFUSED)


def chosen(names: Iterable[str], quant: str | None) -> list[str]:
    """Return the files to fetch, small ones first; none when there is no model in a form that is safe to read."""
    listed = list(names)
    flat = [name for name in listed if "/" not in name and not refused(name)]
    beside = sorted(name for name in flat if any(fnmatchcase(name, pattern) for pattern in _BESIDE))
    if "modules.json" in beside:
        beside += sorted(name for name in listed if NESTED.fullmatch(name))
    beside = [name for name in beside if not name.endswith((".safetensors", ".gguf"))]
    tensors = sorted(name for name in flat if name.endswith(".safetensors"))
    standard = [name for name in tensors if name.startswith("model")]
    mixes = sorted(name for name in flat if name.lower().endswith(".gguf") and not _PART.search(name.lower()))
    weights = _named(mixes, quant) if quant is not None else standard or tensors or _preferred(mixes)
    return [*beside, *weights] if weights else []


def _named(mixes: list[str], quant: str) -> list[str]:
    """Return the first file with ``quant`` as a word of its name, else the first with it anywhere; or none."""
    word = re.compile(rf"(?<![a-z0-9_]){re.escape(quant.casefold())}(?![a-z0-9_])")
    return [name for name in mixes if word.search(name.casefold())][:1] or [
        name for name in mixes if quant.casefold() in name.casefold()
    ][:1]


def _preferred(mixes: list[str]) -> list[str]:
    for word in _PREFERRED:
        if found := [name for name in mixes if word in name.lower()]:
            return found[:1]
    return mixes[:1]


__all__ = ("NESTED", "HubReference", "chosen", "parse", "refused")
