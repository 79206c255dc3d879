"""Every family's config.json becomes one description, and what cannot be honoured is refused by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec
from hyperllama_max import files as model_files
from hyperllama_max.describe import describe
from hyperllama_max.families import FAMILIES, decoder_of
from hyperllama_max.families.reading import read
from hyperllama_max.families.rotation import table
from hyperllama_max.families.weights import Stored, adapt
from tests.max.reference.positions import frequencies
from tests.support import families as tiny
from tests.support.gguf_files import written

ROPES: dict[str, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 2.0, "original_max_position_embeddings": 64},
    "llama3": {
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 128,
    },
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 64},
    "longrope": {
        "short_factor": [1.0 + at for at in range(32)], "long_factor": [2.0 + at for at in range(32)],
        "original_max_position_embeddings": 128,
    },
}  # fmt: skip


def described(kind: str, **changed: Any) -> Any:
    return read({**tiny.config_of(kind), **changed}, "models.m")


def test_every_family_has_a_tiny_checkpoint() -> None:
    named = {tiny.config_of(kind)["architectures"][0] for kind in tiny.KINDS}
    assert named | {"Gemma3ForConditionalGeneration", "Mistral3ForConditionalGeneration"} == set(FAMILIES)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_family_is_described_and_runs_on_a_cpu(tmp_path: Path, kind: str) -> None:
    config, _ = tiny.safetensors(tmp_path / "m", kind)
    spec = ModelSpec(name="m")
    info = describe(spec, tmp_path / "m")
    assert (info.family, info.vocab_size, info.context_length) == (config["model_type"], tiny.TOKENS, 2048)
    assert decoder_of(spec, model_files.read(tmp_path / "m", "m")) == described(kind)


def test_sizes_norms_and_scales_are_those_of_the_family() -> None:
    qwen3, gemma, granite = described("qwen3"), described("gemma3"), described("granite")
    assert (qwen3.head_dim, qwen3.qk_norm, qwen3.norms, qwen3.tied) == (128, "head", "pre", True)
    assert (gemma.norms, gemma.norm_offset, gemma.activation) == ("both", 1.0, "gelu_tanh")
    assert (gemma.attention_scale, gemma.embedding_scale) == (48**-0.5, 16.0)
    assert (gemma.windows, gemma.rope_of) == ((16, 0), (1, 0))
    assert [(rope.theta, rope.factor) for rope in gemma.ropes] == [(1e6, 8.0), (1e4, 1.0)]
    assert (granite.attention_scale, granite.residual_scale, granite.logit_divisor) == (0.015625, 0.22, 8.0)
    assert described("smollm3").rope_of == (0, -1)
    assert described("olmo2").qk_norm == "full"
    assert described("phi3").ropes[0].dims == 48


def test_windows_are_each_layers_own() -> None:
    assert described("mistral").windows == (0, 0)
    assert described("mistral-window").windows == (16, 16)
    assert described("ministral").windows == (16, 0)
    assert described("qwen2", use_sliding_window=True).windows == (0, 4096)
    without = {key: value for key, value in tiny.config_of("mistral").items() if key != "sliding_window"}
    assert read(without, "m").windows == (4096, 4096)  # as transformers takes it, where the key is missing


@pytest.mark.parametrize(
    ("kind", "changed", "sentence"),
    [
        ("llama", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping caps attention scores"),
        ("gemma3", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping caps attention scores"),
        ("llama", {"rope_scaling": {"type": "mrope", "mrope_section": [1, 2]}}, "rope_type is 'mrope'"),
        ("llama", {"rope_scaling": {"type": "yarn", "factor": 2.0, "llama_4_scaling_beta": 1}}, "llama_4_scaling_beta"),
        ("llama", {"rope_scaling": {"type": "linear"}}, "rope_scaling.factor"),
        ("llama", {"hidden_act": "relu2"}, "hidden_act is 'relu2'"),
        ("llama", {"num_local_experts": 8}, "num_local_experts"),
        ("llama", {"alibi": True}, "alibi"),
        ("llama", {"residual_multiplier": 0.2}, "residual_multiplier"),
        ("llama", {"quantization_config": {"quant_method": "awq"}}, "quantization_config"),
        ("llama", {"qk_layernorm": True}, "qk_layernorm"),
        ("qwen2", {"clip_qkv": 8.0}, "clip_qkv"),
        ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ("smollm3", {"no_rope_layers": [1]}, "no_rope_layers"),
        ("ministral", {"layer_types": ["full_attention", "chunked_attention"]}, "chunked_attention"),
        ("qwen2", {"layer_types": ["sliding_attention", "full_attention"]}, "no sliding_window is in use"),
        ("llama", {"num_key_value_heads": 3}, "num_key_value_heads"),
        ("llama", {"head_dim": None, "num_attention_heads": 3, "num_key_value_heads": 3}, "divide hidden_size"),
        ("llama", {"hidden_size": "256"}, "hidden_size must be a whole number"),
        ("llama", {"rms_norm_eps": 0}, "rms_norm_eps must be a number above 0"),
        ("phi3", {"rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [1.0]}}, "must have 24"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_honoured_is_refused_by_name(kind: str, changed: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as refused:
        described(kind, **changed)
    assert str(refused.value).startswith("models.m: config.json: ")


def test_settings_without_mathematics_and_switched_off_ones_are_no_reason_to_refuse() -> None:
    harmless = {
        "attention_dropout": 0.1, "auto_map": {"AutoConfig": "x"}, "torch_dtype": "float16", "unsloth_version": "1",
        "alibi": False, "residual_multiplier": None, "pretraining_tp": 4, "transformers_version": "4.1",
    }  # fmt: skip
    assert described("llama", **harmless) == described("llama")


@pytest.mark.parametrize("length", [64, 1024])
@pytest.mark.parametrize("kind", ROPES)
def test_positions_are_those_of_their_definition(kind: str, length: int) -> None:
    how = {"rope_type": kind, **ROPES[kind]}
    decoder = described("llama", rope_scaling=how, head_dim=64, num_attention_heads=4)
    found = table(decoder.ropes[0], 64, length)[:1024].reshape(1024, 32, 2)
    inverse, scale = frequencies({"rope_theta": 10000.0, **how}, 64, length, 2048)
    angles = np.arange(1024)[:, None] * inverse
    np.testing.assert_allclose(found[..., 0], np.cos(angles) * scale, atol=1e-6)
    np.testing.assert_allclose(found[..., 1], np.sin(angles) * scale, atol=1e-6)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_both_kinds_of_files_hold_the_same_weights(kind: str) -> None:
    config = tiny.config_of(kind)
    decoder, weights = read(config, "m"), tiny.weights_of(config)
    plain = adapt(decoder, [(name, Stored(data)) for name, data in weights.items()], gguf=False)
    names = {name: tiny.gguf_name(name, config["model_type"]) for name in weights}
    theirs = [(names[name], Stored(tiny.gguf_values(name, data, config))) for name, data in weights.items()]
    own = adapt(decoder, theirs, gguf=True)
    assert own.keys() == plain.keys()
    for name, stored in plain.items():
        np.testing.assert_array_equal(own[name].data, stored.data, err_msg=name)


def test_narrow_weights_are_widened_and_quantized_rows_keep_their_bytes() -> None:
    decoder = described("llama", num_hidden_layers=1)
    values = np.array([[1.5, -2.0], [0.25, 8.0]], np.float32)
    for types, kind in (("F16", np.float16), ("BF16", np.uint16)):
        raw, same = tiny.narrowed(values, types)
        stored = Stored(np.frombuffer(raw, kind).reshape(2, 2), types)
        found = adapt(decoder, [("model.embed_tokens.weight", stored)], gguf=False)
        np.testing.assert_array_equal(found["embed.weight"].data, same)
    rows = np.arange(128 * 144, dtype=np.int64).reshape(128, 144).astype(np.uint8)
    narrow = {"q": rows, "k": rows[:64], "v": rows[:64]}
    found = adapt(decoder, [(f"blk.0.attn_{n}.weight", Stored(r, "Q4_K")) for n, r in narrow.items()], gguf=True)
    assert found["layers.0.qkv.part_0.weight"].data.shape == (256, 144)
    np.testing.assert_array_equal(found["layers.0.qkv.part_0.weight"].data[:3], rows[[0, 2, 4]])
    mixed = [("blk.0.attn_v.weight", Stored(np.zeros((64, 210), np.uint8), "Q6_K"))]
    mixed += [(f"blk.0.attn_{n}.weight", Stored(narrow[n], "Q4_K")) for n in "qk"]
    assert [found.type for found in adapt(decoder, mixed, gguf=True).values()] == ["Q4_K", "Q4_K", "Q6_K"]


def test_a_file_whose_weights_are_others_than_its_config_says_is_refused(tmp_path: Path) -> None:
    tiny.safetensors(tmp_path / "m", "qwen3")
    changes: list[tuple[dict[str, Any], str]] = [
        ({"num_hidden_layers": 3}, "the weights of .* in layer 2 are missing"),
        ({"num_hidden_layers": 1}, "in layer 1 have no place"),
        ({"intermediate_size": 640}, r"gate in layer 0 are \(512, 256\); config.json says \(640, 256\)"),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": None}, "q_norm in layer 0 have no place"),
    ]
    for changed, sentence in changes:
        (tmp_path / "m" / "config.json").write_text(json.dumps({**tiny.config_of("qwen3"), **changed}))
        with pytest.raises(ConfigError, match=sentence):
            describe(ModelSpec(name="m"), tmp_path / "m")


def test_a_head_that_is_not_there_is_the_embedding(tmp_path: Path) -> None:
    config, _ = tiny.safetensors(tmp_path / "m", "qwen3")
    (tmp_path / "m" / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    decoder = decoder_of(ModelSpec(name="m"), model_files.read(tmp_path / "m", "m"))
    assert decoder is not None and decoder.tied


@pytest.mark.parametrize(
    ("changed", "types", "own"),
    [
        ({}, "BF16", False),
        ({"head_dim": 64}, "F32", False),
        ({"head_dim": 32}, "F32", True),  # MAX's Llama turns by hidden_size / num_attention_heads
        ({}, "F16", True),  # which MAX does not load on CPUs
        ({"rope_scaling": {"type": "linear", "factor": 4.0}}, "F32", True),  # which MAX drops
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, "F32", True),
        ({"rope_scaling": ROPES["llama3"] | {"rope_type": "llama3"}}, "F32", False),
        ({"attention_bias": True}, "F32", True),
        ({"hidden_act": "gelu"}, "F32", True),
    ],
)
def test_a_llama_keeps_the_graph_of_max_where_that_computes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: Any, types: str, own: bool
) -> None:
    monkeypatch.setitem(tiny.KINDS, "changed", {**tiny.LLAMA, "head_dim": None, **changed})
    tiny.safetensors(tmp_path / "m", "changed", types)
    found = decoder_of(ModelSpec(name="m"), model_files.read(tmp_path / "m", "m"))
    assert (found is not None) is own


def test_gpus_get_no_model_whose_positions_max_would_leave_out(tmp_path: Path) -> None:
    for kind, sentence in (("llama-linear", "'linear'"), ("llama-yarn", "'yarn'"), ("phi3", "48 of 64 dimensions")):
        tiny.safetensors(tmp_path / kind, kind)
        with pytest.raises(ConfigError, match=sentence):
            describe(ModelSpec(name="m", device="gpu"), tmp_path / kind)
    tiny.safetensors(tmp_path / "llama", "llama")
    with pytest.raises(ConfigError, match="head_dim is not hidden_size"):
        describe(ModelSpec(name="m", device="gpu"), tmp_path / "llama")
    tiny.safetensors(tmp_path / "smollm3", "smollm3")
    with pytest.raises(ConfigError, match="has no SmolLM3ForCausalLM"):
        describe(ModelSpec(name="m", device="gpu"), tmp_path / "smollm3")
    tiny.safetensors(tmp_path / "qwen3", "qwen3")
    assert describe(ModelSpec(name="m", device="gpu"), tmp_path / "qwen3").name == "m"


@pytest.mark.parametrize(
    ("kind", "name", "seeing"),
    [
        ("gemma3", "Gemma3ForConditionalGeneration", {"mm_tokens_per_image": 4, "boi_token_index": 5}),
        ("mistral", "Mistral3ForConditionalGeneration", {"spatial_merge_size": 2, "vision_feature_layer": -1}),
    ],
)
def test_an_image_models_text_half_is_read_and_its_weights_found(
    tmp_path: Path, kind: str, name: str, seeing: dict[str, Any]
) -> None:
    text, weights = tiny.safetensors(tmp_path / "m", kind)
    inner = {key: value for key, value in text.items() if key != "architectures"}
    config = {"architectures": [name], "model_type": kind, "text_config": inner, "vision_config": {"hidden_size": 3}}
    assert read({**config, **seeing}, "m") == described(kind)
    (tmp_path / "m" / "config.json").write_text(json.dumps({**config, **seeing}))
    info = describe(ModelSpec(name="m"), tmp_path / "m")
    assert (info.vocab_size, info.embedding_length, info.context_length) == (tiny.TOKENS, 256, 2048)
    wanted = adapt(described(kind), [(name, Stored(data)) for name, data in weights.items()], gguf=False)
    for prefix in ("language_model.model.", "model.language_model."):
        renamed = [(prefix + name.removeprefix("model."), data) for name, data in weights.items() if name[0] == "m"]
        renamed += [("language_model." + name, data) for name, data in weights.items() if name[0] == "l"]
        tensors = [(name, Stored(data)) for name, data in [*renamed, ("vision_tower.x.weight", np.zeros(1))]]
        assert adapt(described(kind), tensors, gguf=False).keys() == wanted.keys()


#: What no header tells: windows of these were never written there, and Gemma's pattern is the architecture's.
_UNTOLD = ("mistral-window", "ministral", "llama-dynamic", "llama-llama3")


@pytest.mark.parametrize("kind", [kind for kind in tiny.KINDS if kind not in _UNTOLD])
def test_a_lone_gguf_files_header_tells_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    changes = {
        "gemma3": {"sliding_window_pattern": 6, "query_pre_attn_scalar": 64, "num_hidden_layers": 7},
        "smollm3": {"no_rope_layers": None, "num_hidden_layers": 4},
        "llama-biases": {"mlp_bias": False},
    }
    monkeypatch.setitem(tiny.KINDS, kind, {**tiny.KINDS[kind], **changes.get(kind, {})})
    tiny.lone_gguf(tmp_path / "m.gguf", kind)
    files = model_files.read(tmp_path / "m.gguf", "m")
    info = describe(ModelSpec(name="m"), tmp_path / "m.gguf")
    assert files.told and info.vocab_size == tiny.TOKENS
    told, wanted = read(files.config, "m"), described(kind)
    if kind == "phi3":  # whose factors are float32 in the file
        assert told.ropes[0].short_factors == pytest.approx(wanted.ropes[0].short_factors)
    paired = told.paired  # Mistral's files are called Llama's
    assert told == structs.replace(wanted, paired=paired, norm_offset=wanted.norm_offset)


def test_a_header_whose_positions_or_scores_cannot_be_honoured_is_refused(tmp_path: Path) -> None:
    for changed, sentence in (
        ({"llama.rope.scaling.type": "yarn"}, "does not say by how much"),
        ({"llama.rope.scaling.type": "cubic"}, "cubic"),
        ({"llama.attention.sliding_window": 64}, "sliding_window"),
        ({"llama.attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
        ({"llama.logit_scale": 4.0}, "logits_scaling"),
    ):
        metadata = {**tiny.gguf_metadata("llama"), **changed, "tokenizer.ggml.tokens": ["a"], "x": 1}
        metadata |= {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.merges": ["a b"]}
        path = tmp_path / "m.gguf"
        path.write_bytes(written(metadata, {"token_embd.weight": ((256, 16), 0, bytes(4 * 256 * 16))}))
        with pytest.raises(ConfigError, match=sentence):
            describe(ModelSpec(name="m"), path)
