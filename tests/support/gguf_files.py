"""GGUF files for tests, byte by byte: a writer of headers and tensors, and the built-in model as a lone file."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Tensors = Mapping[str, tuple[tuple[int, ...], int, bytes]]  # shape as the file has it, GGML type, data
ALIGN = 32


def written(metadata: Mapping[str, Any], tensors: Tensors) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_text(key) + _value(value) for key, value in metadata.items())
    data = b""
    for name, (shape, kind, raw) in tensors.items():
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(data))
        data += raw + bytes(-len(raw) % ALIGN)
    return head + bytes(-len(head) % ALIGN) + data


def lone(folder: Path) -> bytes:
    """The model in ``folder``, safetensors of the Llama kind with a byte-level vocabulary, as one GGUF file of F32."""
    config, settings, vocabulary = (
        json.loads((folder / name).read_text()) for name in ("config.json", "tokenizer_config.json", "tokenizer.json")
    )
    tokens = [f"[unused{number}]" for number in range(config["vocab_size"])]
    kinds = [1] * len(tokens)
    for token, number in vocabulary["model"]["vocab"].items():
        tokens[number] = token
    for added in vocabulary["added_tokens"]:
        tokens[added["id"]], kinds[added["id"]] = added["content"], 3
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in vocabulary["model"]["merges"]]
    metadata = {
        "general.architecture": "llama",
        "general.file_type": 0,
        "llama.context_length": config["max_position_embeddings"],
        "llama.embedding_length": config["hidden_size"],
        "llama.block_count": config["num_hidden_layers"],
        "llama.feed_forward_length": config["intermediate_size"],
        "llama.attention.head_count": config["num_attention_heads"],
        "llama.attention.head_count_kv": config["num_key_value_heads"],
        "llama.attention.key_length": config["head_dim"],
        "llama.attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "llama.rope.freq_base": config["rope_theta"],
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": config["bos_token_id"],
        "tokenizer.ggml.eos_token_id": config["eos_token_id"],
        "tokenizer.chat_template": settings["chat_template"],
    }
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    parts = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for layer in range(config["num_hidden_layers"]):
        names |= {f"model.layers.{layer}.{theirs}": f"blk.{layer}.{ours}" for theirs, ours in parts.items()}
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = {}
    for name, (shape, data) in _bfloat16s((folder / "model.safetensors").read_bytes()).items():
        ours = names[name.removesuffix(".weight")]
        rows = [data[at : at + 2 * shape[-1]] for at in range(0, len(data), 2 * shape[-1])]
        if (count := heads.get(ours.rpartition(".")[2])) is not None:
            rows = _interleaved(rows, count)
        narrow = b"".join(rows)
        wide = bytearray(2 * len(narrow))
        wide[2::4], wide[3::4] = narrow[::2], narrow[1::2]
        tensors[f"{ours}.weight"] = (tuple(reversed(shape)), 0, bytes(wide))
    return written(metadata, tensors)


def _interleaved(rows: list[bytes], heads: int) -> list[bytes]:
    """Halves of each head, of which Hugging Face's rotary embedding makes pairs, as the pairs that llama.cpp wants."""
    size = len(rows) // heads
    return [
        rows[head * size + half * (size // 2) + at]
        for head in range(heads)
        for at in range(size // 2)
        for half in (0, 1)
    ]


def _bfloat16s(data: bytes) -> dict[str, tuple[tuple[int, ...], bytes]]:
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    found = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            assert tensor["dtype"] == "BF16"
            start, end = tensor["data_offsets"]
            found[name] = (tuple(tensor["shape"]), data[8 + length + start : 8 + length + end])
    return found


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    kind, data = _typed(value)
    return struct.pack("<I", kind) + data


def _typed(value: Any) -> tuple[int, bytes]:
    match value:
        case bool():
            return 7, struct.pack("<?", value)
        case int():
            return 4, struct.pack("<I", value)
        case float():
            return 6, struct.pack("<f", value)
        case str():
            return 8, _text(value)
    items = [_typed(item) for item in value]
    return 9, struct.pack("<IQ", items[0][0], len(items)) + b"".join(data for _, data in items)
