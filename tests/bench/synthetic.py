"""A Llama of any size with random weights, as files MAX loads: for measuring speed, not for talking to.

python tests/bench/synthetic.py DIRECTORY [8b|1b|tiny|probe]
"""

from __future__ import annotations

import json
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

TOKENIZER = Path(__file__).parents[2] / "plugins" / "hyperllama_builtin" / "weights" / "hyperllama-tiny"

#: hidden, layers, heads, key-value heads, feed-forward, vocabulary
SIZES = {
    "8b": (4096, 32, 32, 8, 14336, 128256),
    "1b": (2048, 16, 32, 8, 8192, 128256),
    "tiny": (256, 2, 4, 2, 768, 2048),
    "probe": (192, 5, 6, 2, 512, 2048),  # the built-in model's, with whose compiled graphs it runs
}
SHARD = 4 * 2**30


def tensors(size: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, layers, heads, groups, inner, vocabulary = SIZES[size]
    width = groups * (hidden // heads)
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    for layer in range(layers):
        at = f"model.layers.{layer}"
        yield f"{at}.input_layernorm.weight", (hidden,)
        yield f"{at}.self_attn.q_proj.weight", (hidden, hidden)
        yield f"{at}.self_attn.k_proj.weight", (width, hidden)
        yield f"{at}.self_attn.v_proj.weight", (width, hidden)
        yield f"{at}.self_attn.o_proj.weight", (hidden, hidden)
        yield f"{at}.post_attention_layernorm.weight", (hidden,)
        yield f"{at}.mlp.gate_proj.weight", (inner, hidden)
        yield f"{at}.mlp.up_proj.weight", (inner, hidden)
        yield f"{at}.mlp.down_proj.weight", (hidden, inner)
    yield "model.norm.weight", (hidden,)
    if size != "probe":
        yield "lm_head.weight", (vocabulary, hidden)


def bfloat16(shape: tuple[int, ...], dice: np.random.Generator) -> bytes:
    """Small random numbers; ones for norms, which are the only vectors."""
    if len(shape) == 1:
        return b"\x80\x3f" * shape[0]
    numbers = dice.standard_normal(shape, dtype=np.float32) * 0.02
    return (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()


def write_shard(path: Path, names: list[tuple[str, tuple[int, ...]]], dice: np.random.Generator) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in names:
        length = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + length]}
        offset += length
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(raw)) + raw)
        for _, shape in names:
            out.write(bfloat16(shape, dice))


def write_tokenizer(folder: Path, vocabulary: int) -> None:
    """The built-in model's, with a word for every further id: answers of random weights are text, too."""
    for name in ("tokenizer_config.json", "generation_config.json"):
        shutil.copy(TOKENIZER / name, folder)
    tokenizer = json.loads((TOKENIZER / "tokenizer.json").read_text("utf-8"))
    words = tokenizer["model"]["vocab"]
    words |= {f"\u0120w{number:x}": number for number in range(len(words), vocabulary)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")


def configuration(size: str) -> dict[str, object]:
    config: dict[str, object] = json.loads((TOKENIZER / "config.json").read_text("utf-8"))
    if size == "probe":
        return config
    hidden, layers, heads, groups, inner, vocabulary = SIZES[size]
    return config | {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "vocab_size": vocabulary,
        "num_key_value_heads": groups,
        "intermediate_size": inner,
        "head_dim": hidden // heads,
        "tie_word_embeddings": False,
        "max_position_embeddings": 8192,
        "torch_dtype": "bfloat16",
    }


def main(folder: Path, size: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, SIZES[size][-1])
    (folder / "config.json").write_text(json.dumps(configuration(size), indent=1))
    shards: list[list[tuple[str, tuple[int, ...]]]] = [[]]
    taken = 0
    for name, shape in tensors(size):
        length = 2 * int(np.prod(shape))
        if taken + length > SHARD and shards[-1]:
            shards.append([])
            taken = 0
        shards[-1].append((name, shape))
        taken += length
    dice = np.random.default_rng(0)
    places = {}
    for number, names in enumerate(shards, 1):
        file = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_shard(folder / file, names, dice)
        places |= {name: file for name, _ in names}
    if len(shards) > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "8b")
