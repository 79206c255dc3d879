"""Tiny decoders of random weights, one a family and a kind of setting, as safetensors and as GGUF files."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.asking_max import CHAT
from tests.support.gguf_files import written

Weights = dict[str, np.ndarray]
TOKENS = 2048
#: What all have in common, so that they share what MAX compiles where they can.
BASE: dict[str, Any] = {
    "vocab_size": TOKENS,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 2048,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "rope_theta": 10000.0,
}
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "head_dim": 32}
FACTORS = [1.0 + 0.5 * at for at in range(24)]
KINDS: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "llama-biases": {**LLAMA, "attention_bias": True, "mlp_bias": True},
    "llama-linear": {**LLAMA, "rope_scaling": {"type": "linear", "factor": 4.0}},
    "llama-dynamic": {
        **LLAMA,
        "rope_scaling": {"type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 512},
    },
    "llama-yarn": {
        **LLAMA,
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512},
    },
    "llama-llama3": {
        **LLAMA,
        "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 256,
        },
    },
    "mistral": {
        "architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None, "head_dim": 32,
        "rope_theta": 1000000.0,
    },
    "mistral-window": {
        "architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 16, "head_dim": 32,
    },
    "ministral": {
        "architectures": ["MinistralForCausalLM"], "model_type": "ministral", "sliding_window": 16, "head_dim": 32,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "qwen2": {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False,
        "sliding_window": 4096, "max_window_layers": 1, "tie_word_embeddings": True, "rope_theta": 1000000.0,
    },
    "qwen2-narrow": {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 192, "intermediate_size": 320,
        "num_attention_heads": 3, "num_key_value_heads": 1, "tie_word_embeddings": True, "rope_theta": 1000000.0,
    },
    "qwen3": {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 128, "attention_bias": False,
        "use_sliding_window": False, "tie_word_embeddings": True, "rope_theta": 1000000.0, "rms_norm_eps": 1e-6,
    },
    "gemma3": {
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "head_dim": 64, "hidden_act": None,
        "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 48, "sliding_window": 16,
        "sliding_window_pattern": 2, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
        "tie_word_embeddings": True, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    },
    "olmo2": {"architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", "rope_theta": 500000.0},
    "smollm3": {
        "architectures": ["SmolLM3ForCausalLM"], "model_type": "smollm3", "no_rope_layers": [1, 0],
        "use_sliding_window": False, "rope_theta": 5000000.0, "tie_word_embeddings": True, "pretraining_tp": 2,
    },
    "phi3": {
        "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "partial_rotary_factor": 0.75,
        "original_max_position_embeddings": 1024, "sliding_window": None,
        "rope_scaling": {"type": "longrope", "short_factor": FACTORS, "long_factor": [2 * f for f in FACTORS]},
    },
    "granite": {
        "architectures": ["GraniteForCausalLM"], "model_type": "granite", "embedding_multiplier": 12.0,
        "residual_multiplier": 0.22, "logits_scaling": 8.0, "attention_multiplier": 0.015625,
        "tie_word_embeddings": True,
    },
}  # fmt: skip


def config_of(kind: str) -> dict[str, Any]:
    return {
        name: value for name, value in {**BASE, **KINDS[kind]}.items() if value is not None or name == "sliding_window"
    }


def weights_of(config: Mapping[str, Any], seed: int = 7) -> Weights:
    """Weights under Hugging Face's names. They are large enough for tokens to differ and answers to be certain."""
    rng = np.random.default_rng(seed)
    hidden, inner, kind = config["hidden_size"], config["intermediate_size"], config["model_type"]
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    width = config.get("head_dim") or hidden // heads
    gemma, olmo = kind == "gemma3_text", kind == "olmo2"

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (rng.standard_normal((rows, columns)) * 1.5 / np.sqrt(columns)).astype(np.float32)

    def vector(size: int, middle: float = 0.0) -> np.ndarray:
        return (rng.standard_normal(size) * 0.1 + middle).astype(np.float32)

    one = 0.0 if gemma else 1.0
    found = {
        "model.embed_tokens.weight": (rng.standard_normal((config["vocab_size"], hidden)) * 0.05).astype(np.float32),
        "model.norm.weight": vector(hidden, one),
    }
    if not config["tie_word_embeddings"]:
        found["lm_head.weight"] = matrix(config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        rows = {"q": heads * width, "k": groups * width, "v": groups * width}
        if kind == "phi3":
            found[name + "self_attn.qkv_proj.weight"] = matrix(sum(rows.values()), hidden)
            found[name + "mlp.gate_up_proj.weight"] = matrix(2 * inner, hidden)
        else:
            for part, count in rows.items():
                found[f"{name}self_attn.{part}_proj.weight"] = matrix(count, hidden)
                if kind == "qwen2" or config.get("attention_bias"):
                    found[f"{name}self_attn.{part}_proj.bias"] = vector(count)
            for part in ("gate", "up"):
                found[f"{name}mlp.{part}_proj.weight"] = matrix(inner, hidden)
                if config.get("mlp_bias"):
                    found[f"{name}mlp.{part}_proj.bias"] = vector(inner)
        found[name + "self_attn.o_proj.weight"] = matrix(hidden, heads * width)
        found[name + "mlp.down_proj.weight"] = matrix(hidden, inner)
        if config.get("attention_bias"):
            found[name + "self_attn.o_proj.bias"] = vector(hidden)
        if config.get("mlp_bias"):
            found[name + "mlp.down_proj.bias"] = vector(hidden)
        if kind in ("qwen3", "gemma3_text", "olmo2"):
            found[name + "self_attn.q_norm.weight"] = vector(heads * width if olmo else width, one)
            found[name + "self_attn.k_norm.weight"] = vector(groups * width if olmo else width, one)
        norms = ["post_attention_layernorm"]
        norms += ["post_feedforward_layernorm"] if olmo else ["input_layernorm"]
        norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"] if gemma else []
        found |= {f"{name}{norm}.weight": vector(hidden, one) for norm in norms}
    return found


def safetensors(folder: Path, kind: str, types: str = "F32") -> tuple[dict[str, Any], Weights]:
    """Write a whole model; ``types`` may be F16 or BF16. Return its config, and its weights as they were written."""
    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(kind)
    weights = weights_of(config)
    header, data = {}, b""
    for name, values in weights.items():
        raw, weights[name] = narrowed(values, types)
        header[name] = {"dtype": types, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    dressed(folder, config)
    return config, weights


def narrowed(values: np.ndarray, types: str) -> tuple[bytes, np.ndarray]:
    """The bytes of these numbers in another type, and what they are in it."""
    match types:
        case "F16":
            narrow = values.astype(np.float16)
            return narrow.tobytes(), narrow.astype(np.float32)
        case "BF16":
            cut = values.view(np.uint32) >> 16
            return cut.astype(np.uint16).tobytes(), (cut << 16).view(np.float32)
    return values.tobytes(), values


def dressed(folder: Path, config: Mapping[str, Any]) -> None:
    """Put a config and a tokenizer into the folder."""
    (folder / "config.json").write_text(json.dumps({**config, "bos_token_id": 1, "eos_token_id": 2}))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(CHAT / name, folder)


#: The names of GGUF files for those of Hugging Face.
_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
}  # fmt: skip


def gguf_name(name: str, kind: str) -> str:
    body, _, end = name.rpartition(".")
    if not body.startswith("model.layers."):
        return {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}[body] + "." + end
    layer, _, part = body.removeprefix("model.layers.").partition(".")
    if part == "post_attention_layernorm":
        part = "post_attention_norm" if kind in ("gemma3_text", "olmo2") else "ffn_norm"
    return f"blk.{layer}.{_NAMES.get(part, part)}.{end}"


def gguf_values(name: str, values: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    """The values as llama.cpp's converter writes them: norms of Gemma with their one, heads of Llama in pairs."""
    kind = config["model_type"]
    if kind == "gemma3_text" and values.ndim == 1:
        return values + np.float32(1)
    if kind in ("llama", "mistral", "ministral", "granite", "smollm3") and (".q_proj." in name or ".k_proj." in name):
        heads = config["num_attention_heads" if ".q_proj." in name else "num_key_value_heads"]
        shape = values.shape
        return values.reshape(heads, 2, shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(shape)
    return values


def gguf_beside(folder: Path, kind: str) -> tuple[dict[str, Any], Weights]:
    """Write a model as one GGUF file of F32 beside its config and tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(kind)
    weights = weights_of(config)
    tensors = {}
    for name, values in weights.items():
        data = np.ascontiguousarray(gguf_values(name, values, config))
        tensors[gguf_name(name, config["model_type"])] = (tuple(reversed(data.shape)), 0, data.tobytes())
    metadata = {"general.architecture": config["model_type"].removesuffix("_text"), "general.file_type": 0}
    (folder / "model-f32.gguf").write_bytes(written(metadata, tensors))
    dressed(folder, config)
    return config, weights


#: GGML's number of a type, the bytes of one of its blocks, and where among them its float16 scales are.
_BLOCKS = {"Q4_K": (12, 144, slice(0, 4)), "Q6_K": (14, 210, slice(208, 210))}


def quantized(rng: np.random.Generator, rows: int, width: int, types: str) -> tuple[np.ndarray, np.ndarray]:
    """Blocks at random, whose rows are padded to whole ones, and what they stand for."""
    from gguf import GGMLQuantizationType, quants

    _, size, scales = _BLOCKS[types]
    whole = -(-width // 256)
    data = rng.integers(0, 256, (rows * whole, size), dtype=np.uint8)
    step = 1.5 / np.sqrt(width) / (250.0 if types == "Q4_K" else 1350.0)
    data[:, scales] = np.array([step, 7.5 * step] if types == "Q4_K" else [step], np.float16).view(np.uint8)
    data = data.reshape(rows, whole * size)
    return data, quants.dequantize(data, GGMLQuantizationType[types])[:, :width].astype(np.float32)


def gguf_quantized(folder: Path, kind: str) -> tuple[dict[str, Any], Weights]:
    """Write a model as a GGUF file of mixed types beside its config; not of a family whose heads are paired there."""
    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(kind)
    rng = np.random.default_rng(5)
    weights, tensors = weights_of(config), {}
    for name, values in weights.items():
        ours = gguf_name(name, config["model_type"])
        if values.ndim == 1:
            tensors[ours] = (values.shape, 0, values.tobytes())
            continue
        types = "Q6_K" if any(part in name for part in ("embed", "v_proj", "down_proj")) else "Q4_K"
        rows, width = values.shape
        data, weights[name] = quantized(rng, rows, width, types)
        tensors[ours] = ((-(-values.shape[1] // 256) * 256, values.shape[0]), _BLOCKS[types][0], data.tobytes())
    metadata = {"general.architecture": config["model_type"], "general.file_type": 15}
    (folder / "model-q4_k_m.gguf").write_bytes(written(metadata, tensors))
    dressed(folder, config)
    return config, weights


def gguf_metadata(kind: str) -> dict[str, Any]:
    """The header of the family, apart from its tokenizer, as llama.cpp's converter writes it."""
    config = config_of(kind)
    name = {"gemma3_text": "gemma3", "mistral": "llama", "ministral": "llama"}.get(
        config["model_type"], config["model_type"]
    )
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    how = config.get("rope_scaling") or {}
    found: dict[str, Any] = {
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"],
        "block_count": config["num_hidden_layers"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.key_length": width,
        "attention.value_length": width,
        "attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "attention.sliding_window": config.get("sliding_window") if name in ("gemma3", "phi3") else None,
        "rope.freq_base": config["rope_theta"],
        "rope.dimension_count": int(width * config.get("partial_rotary_factor", 1.0)),
        "rope.scaling.original_context_length": how.get("original_max_position_embeddings")
        or config.get("original_max_position_embeddings"),
        "embedding_scale": config.get("embedding_multiplier"),
        "residual_scale": config.get("residual_multiplier"),
        "logit_scale": config.get("logits_scaling"),
        "attention.scale": config.get("attention_multiplier"),
    }
    if (scaled := how.get("rope_type", how.get("type"))) in ("linear", "yarn"):
        found |= {"rope.scaling.type": scaled, "rope.scaling.factor": how["factor"]}
    return {
        "general.architecture": name,
        **{f"{name}.{key}": value for key, value in found.items() if value is not None},
    }


def lone_gguf(path: Path, kind: str) -> None:
    """Write a file without anything beside it: its header and its weights, and a tokenizer of single bytes."""
    config = config_of(kind)
    tensors: dict[str, tuple[tuple[int, ...], int, bytes]] = {}
    for name, values in weights_of(config).items():
        data = np.ascontiguousarray(gguf_values(name, values, config))
        tensors[gguf_name(name, config["model_type"])] = (tuple(reversed(data.shape)), 0, data.tobytes())
    for length, factors in (("long", "long_factor"), ("short", "short_factor")):
        if given := (config.get("rope_scaling") or {}).get(factors):
            tensors[f"rope_factors_{length}.weight"] = ((len(given),), 0, np.array(given, np.float32).tobytes())
    tokens = [f"t{number}" for number in range(config["vocab_size"])]
    metadata = {
        **gguf_metadata(kind),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": ["t 1"],
        "tokenizer.ggml.eos_token_id": 2,
    }
    path.write_bytes(written(metadata, tensors))
