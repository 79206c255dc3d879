"""GGUF files that lie alone: what MAX needs beside them is read out of their headers. Nothing here needs MAX."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec
from hyperllama_max import files as model_files
from hyperllama_max.describe import describe
from hyperllama_max.gguf import read_header
from hyperllama_max.gguf_folder import laid_out
from hyperllama_max.gguf_settings import settings_of
from hyperllama_max.gguf_tokenizer import tokenizer_of
from tests.support.asking_max import CHAT
from tests.support.gguf_files import lone, written

BYTES = ["h", "e", "l", "o", "Ġ", "w", "1", "2", "he", "ll", "hell", "hello", "Ġw", "12", "<|end|>", "<tool>"]
MERGES = ["h e", "l l", "he ll", "hell o", "Ġ w", "1 2"]
LLAMA: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.context_length": 4096,
    "llama.embedding_length": 64,
    "llama.block_count": 2,
    "llama.feed_forward_length": 128,
    "llama.attention.head_count": 4,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "llama-bpe",
    "tokenizer.ggml.tokens": BYTES,
    "tokenizer.ggml.token_type": [1] * 14 + [3, 4],
    "tokenizer.ggml.merges": MERGES,
    "tokenizer.ggml.eos_token_id": 14,
    "tokenizer.ggml.eot_token_id": 15,
    "tokenizer.chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}",
}


def file(path: Path, changed: Mapping[str, Any] = {}, tensors: Any = None) -> Path:
    """One with the metadata above, ``changed``; None takes a key away."""
    metadata = {key: value for key, value in {**LLAMA, **changed}.items() if value is not None}
    data = {"token_embd.weight": ((64, 16), 0, b""), **(tensors or {})}
    path.write_bytes(written(metadata, data))
    return path


def tokenizer(path: Path) -> Any:
    tokenizers = pytest.importorskip("tokenizers")
    return tokenizers.Tokenizer.from_str(json.dumps(tokenizer_of(read_header(path, whole=True))))


def test_a_lone_file_is_described_by_its_header(tmp_path: Path) -> None:
    info = describe(ModelSpec(name="m", device="gpu"), file(tmp_path / "m.gguf"))
    assert {"completion", "chat"} <= info.capabilities
    assert (info.context_length, info.vocab_size, info.embedding_length, info.family) == (4096, 16, 64, "llama")
    assert info.template == LLAMA["tokenizer.chat_template"]
    assert [(tensor.name, tensor.type, tensor.shape) for tensor in info.tensors] == [
        ("token_embd.weight", "F32", (64, 16))
    ]


def test_its_settings_are_those_of_a_config(tmp_path: Path) -> None:
    config = settings_of(read_header(file(tmp_path / "m.gguf")), "m").config
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["num_key_value_heads"], config["head_dim"], config["rope_theta"]) == (4, 16, 10000.0)
    assert (config["rms_norm_eps"], config["tie_word_embeddings"], config["eos_token_id"]) == (1e-5, True, 14)
    own = file(tmp_path / "own.gguf", tensors={"output.weight": ((64, 16), 0, b"")})
    assert settings_of(read_header(own), "m").config["tie_word_embeddings"] is False
    qwen = {key.replace("llama.", "qwen2."): value for key, value in LLAMA.items() if key.startswith("llama.")}
    changed = {**qwen, "general.architecture": "qwen2", "tokenizer.ggml.pre": "qwen2"}
    assert settings_of(read_header(file(tmp_path / "q.gguf", changed)), "m").config["architectures"] == [
        "Qwen2ForCausalLM"
    ]


def test_an_answer_ends_with_any_of_the_tokens_that_end_one(tmp_path: Path) -> None:
    found = settings_of(read_header(file(tmp_path / "m.gguf")), "m")
    assert found.generation_config == {"eos_token_id": [14, 15]}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"general.architecture": "gemma2"}, "of llama, qwen2, .* holds, not of gemma2"),
        ({"llama.block_count": None}, "no llama.block_count"),
        ({"llama.expert_count": 8}, "mixture of experts"),
        ({"llama.rope.scaling.type": "yarn"}, "positions are scaled"),
        ({"tokenizer.ggml.model": "t5"}, "no vocabulary that can be read"),
        ({"tokenizer.ggml.pre": "new-one"}, "cuts text into words in an unknown way"),
    ],
)
def test_what_the_header_does_not_say_is_refused(tmp_path: Path, changed: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        describe(ModelSpec(name="m"), file(tmp_path / "m.gguf", changed))


def test_scaled_positions_are_recognised_by_their_factors(tmp_path: Path) -> None:
    def factors(name: str, values: list[float]) -> Path:
        tensor = {"rope_freqs.weight": ((len(values),), 0, struct.pack(f"<{len(values)}f", *values))}
        return file(tmp_path / name, {"llama.rope.freq_base": 500000.0, "llama.attention.key_length": 128}, tensor)

    right = []
    for place in range(64):
        wave = 2 * math.pi * 500000.0 ** (2 * place / 128)
        share = min(1.0, max(0.0, (8192 / wave - 1) / 3))
        right.append(1 / ((1 - share) / 32 + share))
    found = settings_of(read_header(factors("a.gguf", right)), "m").config["rope_scaling"]
    assert (found["rope_type"], found["factor"], found["original_max_position_embeddings"]) == ("llama3", 32.0, 8192)
    with pytest.raises(ConfigError, match="otherwise than Llama 3's"):
        settings_of(read_header(factors("b.gguf", [*right[:40], 9.0, *right[41:]])), "m")
    assert "rope_scaling" not in settings_of(read_header(factors("c.gguf", [1.0] * 64)), "m").config


def test_byte_level_vocabularies_keep_their_ids_and_special_tokens(tmp_path: Path) -> None:
    made = tokenizer(file(tmp_path / "m.gguf"))
    assert made.encode("hello w12<|end|>", add_special_tokens=False).tokens == ["hello", "Ġw", "12", "<|end|>"]
    assert made.decode([11, 12, 13]) == "hello w12"
    apart = tokenizer(file(tmp_path / "q.gguf", {"tokenizer.ggml.pre": "qwen2"}))
    assert apart.encode("12", add_special_tokens=False).tokens == ["1", "2"]  # each digit is a word there


def test_sentencepiece_vocabularies_join_what_scores_best(tmp_path: Path) -> None:
    tokens = [
        "<unk>",
        "<s>",
        "</s>",
        "<0xC3>",
        "<0xBC>",
        "\u2581",
        "h",
        "e",
        "l",
        "o",
        "he",
        "lo",
        "llo",
        "\u2581he",
        "ll",
    ]
    scores = [0.0] * 5 + [-20.0] * 5 + [-3.0, -2.0, -1.0, -4.0, -9.0]
    kinds = [2, 3, 3, 6, 6] + [1] * 10
    path = file(
        tmp_path / "m.gguf",
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.pre": None,
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.scores": scores,
            "tokenizer.ggml.token_type": kinds,
            "tokenizer.ggml.merges": None,
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2,
            "tokenizer.ggml.unknown_token_id": 0,
        },
    )
    made = tokenizer(path)
    assert made.encode("hello", add_special_tokens=False).tokens == ["\u2581he", "llo"]
    assert made.encode("</s>ü", add_special_tokens=False).tokens == ["</s>", "\u2581", "<0xC3>", "<0xBC>"]
    assert made.decode([13, 12]) == "hello"
    assert settings_of(read_header(path), "m").tokenizer_config["add_bos_token"] is True


def test_the_folder_that_is_loaded_is_written_once_and_named_for_what_it_holds(tmp_path: Path) -> None:
    files = model_files.read(file(tmp_path / "m.gguf"), "m")
    assert files.told
    made = laid_out(files, "q4_k", tmp_path / "cache")
    assert made.weights[0].name == "model-q4_k_m.gguf"
    assert made.weights[0].read_bytes() == (tmp_path / "m.gguf").read_bytes()
    assert json.loads((made.folder / "config.json").read_text()) == files.config
    assert made.tokenizer_config["eos_token"] == "<|end|>"
    assert {path.name for path in made.folder.iterdir()} == {
        "config.json", "generation_config.json", "model-q4_k_m.gguf", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    again = laid_out(files, "q4_k", tmp_path / "cache")
    assert again.folder == made.folder and len(list((tmp_path / "cache" / "gguf").iterdir())) == 1


def test_the_built_in_model_as_a_lone_file_reads_text_as_it_did(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    path = tmp_path / "tiny.gguf"
    path.write_bytes(lone(CHAT))
    made, own = tokenizer(path), tokenizers.Tokenizer.from_file(str(CHAT / "tokenizer.json"))
    for text in ("hello", "world", "<|user|>", "<|end|>"):
        assert made.encode(text, add_special_tokens=False).ids == own.encode(text, add_special_tokens=False).ids
    info = describe(ModelSpec(name="m"), path)
    assert info.parameter_count == describe(ModelSpec(name="m"), CHAT).parameter_count
