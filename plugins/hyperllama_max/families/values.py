"""Typed access to config.json that knows which settings were read, and refuses those that nobody can honour."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from hyperllama.errors import ConfigError

#: Settings that no layer's mathematics depends on.
_HARMLESS: Final = frozenset(
    {
        "_attn_implementation",
        "_attn_implementation_autoset",
        "attention_dropout",
        "attn_implementation",
        "attn_pdrop",
        "auto_map",
        "cache_implementation",
        "embd_pdrop",
        "head_dim_original",
        "hidden_dropout",
        "hidden_dropout_prob",
        "id2label",
        "initializer_range",
        "label2id",
        "logits_to_keep",
        "num_logits_to_keep",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "pretraining_tp",
        "resid_pdrop",
        "use_cache",
    }
)
#: Parts of names of settings that change the mathematics, whichever they are.
_MATHEMATICAL: Final = (
    "activation", "alibi", "attention", "attn", "bias", "cap", "clip", "conv", "embedding_", "expert", "factor",
    "ffn", "gate", "head", "kv", "latent", "layer", "logit", "lora", "mask", "mlp", "moe", "mtp", "multiplier", "norm",
    "parallel", "pattern", "position", "qk", "quantiz", "residual", "rope", "rotary", "router", "scal", "sparse",
    "state_space", "ssm", "window",
)  # fmt: skip


class Values:
    """The settings of one object of config.json. ``where`` names the model in errors, ``path`` the object."""

    def __init__(self, found: Mapping[str, Any], where: str, path: str = "") -> None:
        self._found = found
        self._where = where
        self._path = path
        self._read: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def raw(self, key: str) -> Any:
        self._read.add(key)
        return self._found.get(key)

    def whole(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """Return a whole number of at least ``least``. Raise ConfigError, also where it and a default are missing."""
        value = self.raw(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < least:
            raise self.refusal(key, f"must be a whole number of at least {least}")
        return int(value)

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number above 0. Raise ConfigError, also where it and a default are missing."""
        value = self.raw(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.refusal(key, "must be a number above 0")
        return float(value)

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.refusal(key, "must be true or false")
        return value

    def text(self, key: str, default: str) -> str:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.refusal(key, "must be a text")
        return value

    def items(self, key: str) -> list[Any] | None:
        value = self.raw(key)
        if value is not None and not isinstance(value, list):
            raise self.refusal(key, "must be a list")
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return a list of numbers above 0; empty where it is missing. Raise ConfigError."""
        found = self.items(key) or []
        if not all(isinstance(item, int | float) and not isinstance(item, bool) and item > 0 for item in found):
            raise self.refusal(key, "must be a list of numbers above 0")
        return tuple(float(item) for item in found)

    def below(self, key: str) -> Values | None:
        """Return the object under ``key``; None where it is missing or empty."""
        value = self.raw(key)
        if not value:
            return None
        if not isinstance(value, dict):
            raise self.refusal(key, "must be an object")
        return Values(value, self._where, f"{self._path}{key}.")

    def ignore(self, *keys: str) -> None:
        self._read.update(keys)

    def refusal(self, key: str, why: str) -> ConfigError:
        return ConfigError(f"{self._where}: config.json: {self._path}{key} {why}.")

    def finish(self, *, strict: bool = False) -> None:
        """Raise ConfigError for a setting that was not read and may change the mathematics.

        ``strict`` takes every unknown setting for one, whatever its name.
        """
        for key, value in self._found.items():
            if key in self._read or key in _HARMLESS or not value or key.endswith(("_token_id", "_token_index")):
                continue
            if strict or any(part in key for part in _MATHEMATICAL):
                raise self.refusal(key, "is a setting that is not supported here, and answers without it may be wrong")


__all__ = ("Values",)
