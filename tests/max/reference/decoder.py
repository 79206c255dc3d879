"""A decoder of the Llama family in float64, whole sequences at a time and without a cache.

By the definitions at Hugging Face: names and settings are those of its safetensors and config.json.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.max.reference.positions import frequencies

Weights = Mapping[str, np.ndarray]


class Reference:
    """``length`` is that of the context which the model is loaded for; some kinds of positions depend on it."""

    def __init__(self, config: Mapping[str, Any], weights: Weights, length: int = 2048) -> None:
        self.config = config
        self.kind = config["model_type"]
        self.weights = {name.removeprefix("model."): np.asarray(data, np.float64) for name, data in weights.items()}
        self.length = length
        self.heads = config["num_attention_heads"]
        self.groups = config.get("num_key_value_heads") or self.heads
        self.width = config.get("head_dim") or config["hidden_size"] // self.heads
        self.gemma = self.kind.startswith("gemma3")

    def logits(self, ids: Sequence[int]) -> np.ndarray:
        """The logits behind each token."""
        config = self.config
        x = self.weights["embed_tokens.weight"][list(ids)]
        if self.gemma:
            x = x * math.sqrt(config["hidden_size"])
        x = x * config.get("embedding_multiplier", 1.0)
        residual = config.get("residual_multiplier", 1.0)
        for layer in range(config["num_hidden_layers"]):
            name = f"layers.{layer}."
            if self.kind == "olmo2":
                x = x + self.norm(self.attention(x, layer), name + "post_attention_layernorm")
                x = x + self.norm(self.mlp(x, name + "mlp."), name + "post_feedforward_layernorm")
            elif self.gemma:
                out = self.attention(self.norm(x, name + "input_layernorm"), layer)
                x = x + self.norm(out, name + "post_attention_layernorm")
                out = self.mlp(self.norm(x, name + "pre_feedforward_layernorm"), name + "mlp.")
                x = x + self.norm(out, name + "post_feedforward_layernorm")
            else:
                x = x + residual * self.attention(self.norm(x, name + "input_layernorm"), layer)
                x = x + residual * self.mlp(self.norm(x, name + "post_attention_layernorm"), name + "mlp.")
        x = self.norm(x, "norm")
        tied = config.get("tie_word_embeddings", self.gemma or self.kind == "smollm3")
        x = x @ self.weights["embed_tokens.weight" if tied else "lm_head.weight"].T
        x = x / config.get("logits_scaling", 1.0)
        if cap := config.get("final_logit_softcapping"):
            x = np.tanh(x / cap) * cap
        return x

    def greedy(self, ids: Sequence[int], count: int) -> tuple[list[int], list[float]]:
        """The likeliest next tokens, each with the logarithm of its probability."""
        ids, chances = list(ids), []
        begin = len(ids)
        for _ in range(count):
            last = self.logits(ids)[-1]
            last = last - last.max()
            ids.append(int(last.argmax()))
            chances.append(float(last[ids[-1]] - np.log(np.exp(last).sum())))
        return ids[begin:], chances

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        scale = self.weights[name + ".weight"] + (1 if self.gemma else 0)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"]) * scale

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        out = x @ self.weights[name + ".weight"].T
        return out + self.weights[name + ".bias"] if name + ".bias" in self.weights else out

    def mlp(self, x: np.ndarray, name: str) -> np.ndarray:
        if self.kind == "phi3":
            gate, up = np.split(self.linear(x, name + "gate_up_proj"), 2, axis=-1)
        else:
            gate, up = self.linear(x, name + "gate_proj"), self.linear(x, name + "up_proj")
        if self.gemma:
            gate = 0.5 * gate * (1 + np.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)))
        else:
            gate = gate / (1 + np.exp(-gate))
        return self.linear(gate * up, name + "down_proj")

    def attention(self, x: np.ndarray, layer: int) -> np.ndarray:
        name = f"layers.{layer}.self_attn."
        rows, narrow = self.heads * self.width, self.groups * self.width
        if self.kind == "phi3":
            q, k, v = np.split(self.linear(x, name + "qkv_proj"), [rows, rows + narrow], axis=-1)
        else:
            q, k, v = (self.linear(x, f"{name}{part}_proj") for part in "qkv")
        if self.kind == "olmo2":
            q, k = self.norm(q, name + "q_norm"), self.norm(k, name + "k_norm")
        q, k, v = (part.reshape(len(x), -1, self.width) for part in (q, k, v))
        if self.kind == "qwen3" or self.gemma:
            q, k = self.norm(q, name + "q_norm"), self.norm(k, name + "k_norm")
        window = self.window(layer)
        if (how := self.rope(layer, window)) is not None:
            q, k = self.turned(q, how), self.turned(k, how)
        k, v = (np.repeat(part, self.heads // self.groups, axis=1) for part in (k, v))
        scores = np.einsum("thd,shd->hts", q, k) * self.scale()
        at = np.arange(len(x))
        seen = at[None] <= at[:, None]
        if window:
            seen &= at[None] > at[:, None] - window
        scores = np.where(seen, scores, -np.inf)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        return self.linear(np.einsum("hts,shd->thd", scores, v).reshape(len(x), -1), name + "o_proj")

    def scale(self) -> float:
        if self.gemma:
            return self.config["query_pre_attn_scalar"] ** -0.5
        return self.config.get("attention_multiplier") or self.width**-0.5

    def window(self, layer: int) -> int | None:
        config, types = self.config, self.config.get("layer_types")
        if types and self.kind != "mistral":
            return config["sliding_window"] if types[layer] == "sliding_attention" else None
        if self.gemma:
            return config["sliding_window"] if (layer + 1) % config.get("sliding_window_pattern", 6) else None
        if self.kind in ("qwen2", "qwen3"):
            on = config.get("use_sliding_window") and layer >= config.get("max_window_layers", 28)
            return config["sliding_window"] if on else None
        return config.get("sliding_window") if self.kind in ("mistral", "ministral", "phi3") else None

    def rope(self, layer: int, window: int | None) -> dict[str, Any] | None:
        config = self.config
        found = config.get("rope_parameters") or config.get("rope_scaling") or {}
        found = {"partial_rotary_factor": config.get("partial_rotary_factor", 1.0), **found}
        if config.get("original_max_position_embeddings"):
            found["original_max_position_embeddings"] = config["original_max_position_embeddings"]
        if self.kind == "smollm3":
            turns = config.get("no_rope_layers") or [int((at + 1) % 4 != 0) for at in range(layer + 1)]
            return {"rope_theta": config.get("rope_theta", 2000000.0), **found} if turns[layer] else None
        if self.gemma and "full_attention" in found:
            return found["sliding_attention" if window else "full_attention"]
        if self.gemma and window:
            return {"rope_theta": config.get("rope_local_base_freq", 10000.0)}
        return {"rope_theta": config.get("rope_theta", 1000000.0 if self.gemma else 10000.0), **found}

    def turned(self, x: np.ndarray, how: dict[str, Any]) -> np.ndarray:
        longest = self.config.get("max_position_embeddings", 2048)
        inverse, scale = frequencies(how, self.width, self.length, longest)
        angles = np.arange(len(x))[:, None] * inverse
        cosines, sines = np.cos(angles)[:, None] * scale, np.sin(angles)[:, None] * scale
        half = len(inverse)
        first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return np.concatenate([first * cosines - second * sines, second * cosines + first * sines, rest], -1)
