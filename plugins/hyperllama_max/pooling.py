"""The way from an encoder's states to one vector, as the model's own sentence-transformers files say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import msgspec

from hyperllama.errors import ConfigError
from hyperllama_max.files import ModelFiles, read_json

Mode: TypeAlias = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]

#: The modes in the order in which several are joined, with their older keys.
_MODES: Final[dict[Mode, str]] = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
_PATH: Final = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_LONGEST: Final = 1 << 24  # tokens: transformers writes 1e30 where it knows no limit
_SETTINGS: Final = "sentence_bert_config.json"


class Pooling(msgspec.Struct, frozen=True):
    """The pooling of one encoder. Several modes are joined, in the order of sentence-transformers."""

    modes: tuple[Mode, ...] = ("mean",)
    normalize: bool = False  # every vector, also where a request does not ask for it
    lowercase: bool = False  # texts, before they are tokenized

    @property
    def by_engine(self) -> bool:
        """True where MAX's own graph pools: it takes the mean and nothing else."""
        return self.modes == ("mean",)

    def pool(self, states: Any) -> Any:
        """Return one vector of ``states``, an array of a row per token."""
        import numpy as np

        states = np.asarray(states, dtype=np.float32)
        parts = [_POOLS[mode](np, states) for mode in self.modes]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def read(files: ModelFiles, where: str) -> Pooling:
    """Return the pooling of ``files``. Raise ConfigError for what could not be computed as the model's files say."""
    modules = read_json(files.folder / "modules.json", where, kind=list)
    names = [
        (str(module.get("type", "")).rpartition(".")[2], str(module.get("path", "")))
        for module in modules
        if isinstance(module, dict)
    ]
    for name, _ in names:
        if name not in ("Transformer", "Pooling", "Normalize"):
            raise ConfigError(f"{where}: The module {name!r} of modules.json is not supported after an encoder.")
    path = next((path for name, path in names if name == "Pooling"), "1_Pooling")
    if not _PATH.fullmatch(path):
        raise ConfigError(f"{where}: The folder {path!r} of modules.json cannot be one of the model's.")
    return Pooling(
        _modes(read_json(files.folder / path / "config.json", where), where),
        normalize=any(name == "Normalize" for name, _ in names),
        lowercase=read_json(files.folder / _SETTINGS, where).get("do_lower_case") is True,
    )


def longest(files: ModelFiles, where: str) -> int:
    """Return the most tokens of an input by the model's own files; 0 where they do not say."""
    limits = [files.positions]
    own = _length(read_json(files.folder / _SETTINGS, where).get("max_seq_length"))
    limits.append(own or _length(files.tokenizer_config.get("model_max_length")))
    return min((limit for limit in limits if limit), default=0)


def _modes(config: dict[str, Any], where: str) -> tuple[Mode, ...]:
    found = config.get("pooling_mode")
    named = {found} if isinstance(found, str) else {str(name) for name in found} if isinstance(found, list) else set()
    named |= {mode for mode, key in _MODES.items() if config.get(key) is True}
    if unknown := sorted(named - set(_MODES)):
        raise ConfigError(f"{where}: The pooling must be one of {', '.join(_MODES)}, not {unknown[0]!r}.")
    return tuple(mode for mode in _MODES if mode in named) or ("mean",)


def _length(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 < value < _LONGEST else 0


def _weighted(np: Any, states: Any) -> Any:
    weights = np.arange(1, len(states) + 1, dtype=np.float32)
    return (states * weights[:, None]).sum(axis=0) / weights.sum()


_POOLS: Final[dict[Mode, Callable[[Any, Any], Any]]] = {
    "cls": lambda np, states: states[0],
    "max": lambda np, states: states.max(axis=0),
    "mean": lambda np, states: states.mean(axis=0),
    "mean_sqrt_len_tokens": lambda np, states: states.sum(axis=0) / np.sqrt(np.float32(len(states))),
    "weightedmean": _weighted,
    "lasttoken": lambda np, states: states[-1],
}

__all__ = ("Mode", "Pooling", "longest", "read")
