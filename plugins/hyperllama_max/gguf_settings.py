"""The metadata of a GGUF file in the words of config.json and its like, which most such files lack.

Only for architectures whose whole configuration is in the header; of others MAX would build something else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hyperllama.errors import ConfigError
from hyperllama_max.gguf import GgufHeader

#: What the header leaves to the architecture.
_GEMMA3: Final = {
    "model_type": "gemma3_text",
    "hidden_act": None,
    "hidden_activation": "gelu_pytorch_tanh",
    "rope_local_base_freq": 10000.0,
    "sliding_window_pattern": 6,
}
_GEMMA3_27B: Final = 62  # layers; its scores are scaled by the width of a head as it would be without head_dim
#: The architecture's name here and at Hugging Face, and what holds for all of its models.
_ARCHITECTURES: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "llama": ("LlamaForCausalLM", {"attention_bias": False, "mlp_bias": False}),
    "qwen2": ("Qwen2ForCausalLM", {"use_sliding_window": False}),
    "qwen3": ("Qwen3ForCausalLM", {"use_sliding_window": False, "attention_bias": False}),
    "gemma3": ("Gemma3ForCausalLM", _GEMMA3),
    "granite": ("GraniteForCausalLM", {"attention_bias": False, "mlp_bias": False}),
    "olmo2": ("Olmo2ForCausalLM", {"attention_bias": False}),
    "phi3": ("Phi3ForCausalLM", {}),
    "smollm3": ("SmolLM3ForCausalLM", {"use_sliding_window": False, "attention_bias": False, "mlp_bias": False}),
}
_CONFIG: Final = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base",
    "max_position_embeddings": "context_length",
}
#: Settings of some families only; of the others they are refused when the config is read.
_SCALES: Final = {
    "attention_multiplier": "attention.scale",
    "embedding_multiplier": "embedding_scale",
    "residual_multiplier": "residual_scale",
    "logits_scaling": "logit_scale",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
}
_FLOATS: Final = frozenset({"rms_norm_eps", "rope_theta", *_SCALES})
_NEEDED: Final = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "rms_norm_eps")
_SPECIAL: Final = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
_ENDS: Final = ("eos", "eot", "eom")
_LLAMA3: Final = (1.0, 4.0, 8192)  # low and high frequency factor, and the length that its models were first made for


class GgufSettings(msgspec.Struct, frozen=True):
    """The contents of the files that are missing."""

    config: dict[str, Any]
    tokenizer_config: dict[str, Any]
    generation_config: dict[str, Any]


def settings_of(header: GgufHeader, name: str) -> GgufSettings:
    """Return the settings in ``header``. Raise ConfigError, naming the file, when they are incomplete."""
    found = header.metadata
    architecture = str(found.get("general.architecture"))[:40]
    if architecture not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES)
        raise ConfigError(
            f"{name}: MAX can be told what a GGUF file of {known} holds, not of {architecture}; put the model's "
            "config.json and tokenizer files beside it"
        )
    if found.get(f"{architecture}.expert_count"):
        raise ConfigError(f"{name}: a mixture of experts, which MAX does not run from a GGUF file")
    return GgufSettings(_config(header, architecture, name), _tokenizer_config(header), _generation_config(header))


def _config(header: GgufHeader, architecture: str, name: str) -> dict[str, Any]:
    found = header.metadata
    theirs, fixed = _ARCHITECTURES[architecture]
    config: dict[str, Any] = {"architectures": [theirs], "model_type": architecture, "hidden_act": "silu", **fixed}
    for ours, key in {**_CONFIG, **_SCALES}.items():
        value = found.get(f"{architecture}.{key}")
        if value is None or (ours in _SCALES and not value):
            continue
        if (
            not isinstance(value, int | float)
            or not 0 < value < math.inf
            or (ours not in _FLOATS and value != int(value))
        ):
            raise ConfigError(f"{name}: its {architecture}.{key} is no number that MAX can be told")
        config[ours] = float(f"{value:.7g}") if ours in _FLOATS else int(value)  # it was a float32
    missing = [_CONFIG[key] for key in _NEEDED if key not in config]
    if missing:
        raise ConfigError(f"{name}: its header has no {architecture}.{missing[0]}")
    heads = config["num_attention_heads"]
    config.setdefault("num_key_value_heads", heads)
    config.setdefault("head_dim", config["hidden_size"] // heads)
    config.setdefault("rope_theta", 10000.0)
    if (turning := _whole(found, f"{architecture}.rope.dimension_count")) not in (0, config["head_dim"]):
        config["partial_rotary_factor"] = turning / config["head_dim"]
    if window := _whole(found, f"{architecture}.attention.sliding_window"):
        config["sliding_window"] = window
    if "attention_bias" in config:
        config["attention_bias"] = any(tensor.name == "blk.0.attn_q.bias" for tensor in header.tensors)
    if architecture == "gemma3":
        narrow = config["hidden_size"] // heads if config["num_hidden_layers"] == _GEMMA3_27B else config["head_dim"]
        config["query_pre_attn_scalar"] = narrow
    config["vocab_size"] = _rows(header, "token_embd.weight") or header.lengths.get("tokenizer.ggml.tokens", 0)
    config["tie_word_embeddings"] = not any(tensor.name == "output.weight" for tensor in header.tensors)
    for special in ("bos", "eos", "pad"):
        if (number := _token(header, _SPECIAL[special])) is not None:
            config[f"{special}_token_id"] = number
    if (scaling := _scaling(header, config, architecture, name)) is not None:
        config["rope_scaling"] = scaling
    return config


def _scaling(header: GgufHeader, config: Mapping[str, Any], architecture: str, name: str) -> dict[str, Any] | None:
    begin = f"{architecture}.rope.scaling."
    kind = str(header.metadata.get(f"{begin}type", "none"))[:40]
    original = _whole(header.metadata, f"{begin}original_context_length")
    if header.long_factors or header.short_factors:
        return {
            "rope_type": "longrope",
            "long_factor": list(header.long_factors),
            "short_factor": list(header.short_factors),
            "original_max_position_embeddings": original or config.get("max_position_embeddings"),
        }
    if kind in ("linear", "yarn"):
        factor = header.metadata.get(f"{begin}factor")
        if not isinstance(factor, int | float) or not 0 < factor < math.inf:
            raise ConfigError(f"{name}: its positions are scaled ({kind}), but the header does not say by how much.")
        scaled: dict[str, Any] = {"rope_type": kind, "factor": float(factor)}
        if kind == "yarn" and original:
            scaled["original_max_position_embeddings"] = original
        return scaled
    if kind != "none":
        raise ConfigError(f"{name}: its positions are scaled in a way ({kind}) that is not supported.")
    largest = max(header.rope_factors, default=1.0)
    if largest == 1.0:
        return None
    # The tensor spells out, frequency by frequency, what a config says in four numbers.
    low, high, length = _LLAMA3
    for place, factor in enumerate(header.rope_factors):
        wave = 2 * math.pi * config["rope_theta"] ** (2 * place / config["head_dim"])
        share = min(1.0, max(0.0, (length / wave - low) / (high - low)))
        if not math.isclose(factor, 1 / ((1 - share) / largest + share), rel_tol=1e-3):
            raise ConfigError(f"{name}: its positions are scaled otherwise than Llama 3's, which MAX cannot be told")
    return {
        "rope_type": "llama3",
        "factor": largest,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": length,
    }


def _tokenizer_config(header: GgufHeader) -> dict[str, Any]:
    found = header.metadata
    byte_level = found.get("tokenizer.ggml.model") == "gpt2"
    begins = not byte_level or found.get("tokenizer.ggml.pre") in ("llama3", "llama-v3", "llama-bpe")
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "add_bos_token": bool(found.get("tokenizer.ggml.add_bos_token", begins)),
    }
    template = found.get("tokenizer.chat_template")
    if isinstance(template, str):
        config["chat_template"] = template
    return config


def _generation_config(header: GgufHeader) -> dict[str, Any]:
    ends = (_token(header, end) for end in _ENDS)
    return {"eos_token_id": sorted({number for number in ends if number is not None})}


def special_tokens(header: GgufHeader) -> dict[str, str]:
    """Return ``bos_token`` and its like, for templates. The header must hold its arrays whole."""
    tokens = header.metadata.get("tokenizer.ggml.tokens", ())
    numbers = {special: _token(header, key) for special, key in _SPECIAL.items()}
    return {f"{name}_token": tokens[number] for name, number in numbers.items() if number is not None}


def _whole(found: Mapping[str, Any], key: str) -> int:
    value = found.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def _token(header: GgufHeader, key: str) -> int | None:
    """Return the number of a special token; None if it is missing or not in the vocabulary."""
    number = header.metadata.get(f"tokenizer.ggml.{key}_token_id")
    count = header.lengths.get("tokenizer.ggml.tokens", 0)
    return number if isinstance(number, int) and 0 <= number < count else None


def _rows(header: GgufHeader, name: str) -> int:
    return next((tensor.shape[-1] for tensor in header.tensors if tensor.name == name and tensor.shape), 0)


__all__ = ("GgufSettings", "settings_of", "special_tokens")
