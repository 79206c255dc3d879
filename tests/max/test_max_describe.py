"""What is read from a model's files, and what is refused before anything is loaded. Nothing here needs MAX."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from hyperllama.config import Config
from hyperllama.errors import ConfigError, LoadFailed
from hyperllama.models import ModelSpec
from hyperllama_max import describe as descriptions
from hyperllama_max import engine as engines
from hyperllama_max.engine import MaxEngine
from hyperllama_max.gguf import read_header
from hyperllama_max.settings import MaxSettings
from tests.support.asking_max import CHAT, EMBED

LLAMA = {"architectures": ["LlamaForCausalLM"], "vocab_size": 100, "max_position_embeddings": 4096, "hidden_size": 64}


def folder(path: Path, config=None, tensors=None, **files: str) -> Path:
    """A model directory with one safetensors file."""
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(LLAMA if config is None else config))
    (path / "tokenizer.json").write_text(json.dumps({"added_tokens": [], "model": {}}))
    tensors = {"w": ("BF16", [4, 8])} if tensors is None else tensors
    header, at = {}, 0
    for name, (kind, shape) in tensors.items():
        size = 2 * shape[0] * shape[1]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return path


def gguf(path: Path, tensors: list[tuple[str, int]], version: int = 3, **metadata) -> Path:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    data = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata) + 1)
    for key, value in metadata.items():
        data += text(key.replace("__", ".")) + (
            struct.pack("<II", 4, value) if isinstance(value, int) else struct.pack("<I", 8) + text(value)
        )
    data += text("tokens") + struct.pack("<IIQ", 9, 8, 200) + b"".join(text(f"t{n}") for n in range(200))
    for name, kind in tensors:
        data += text(name) + struct.pack("<IQQIQ", 2, 8, 16, kind, 0)
    path.write_bytes(data)
    return path


def describe(path: Path, **spec):
    return descriptions.describe(ModelSpec(**{"name": "m", **spec}), path)


def test_the_built_in_models_are_described_from_their_files():
    chat, encoder = describe(CHAT), describe(EMBED)
    assert {"completion", "chat", "tools", "structured", "logprobs"} <= chat.capabilities
    assert (chat.family, chat.format, chat.quantization, chat.context_length) == ("llama", "safetensors", "BF16", 2048)
    assert 2_000_000 < chat.parameter_count < 4_000_000
    assert len(chat.digest) == 64
    assert chat.size_bytes > 4_000_000
    assert "<|assistant|>" in chat.template
    assert encoder.capabilities == {"embedding"}
    assert encoder.embedding_length == 96


def test_counts_and_lengths_come_from_headers_and_config(tmp_path):
    path = folder(tmp_path / "m", tensors={"a": ("F32", [3, 5]), "b": ("BF16", [10, 10])})
    info = describe(path)
    assert info.parameter_count == 115
    assert info.quantization == "BF16"
    assert info.context_length == 2048  # a CPU's patience
    assert describe(path, max_length=4096).context_length == 4096
    assert describe(path, device="gpu").context_length == 4096
    with pytest.raises(ConfigError, match="at most 4096, the length of the model"):
        describe(path, max_length=8192)


def test_memory_is_told_before_a_load(tmp_path):
    llama = {**LLAMA, "num_hidden_layers": 10, "num_attention_heads": 8, "num_key_value_heads": 2}
    path = folder(tmp_path / "m", llama, tensors={"w": ("BF16", [1000, 2500])})
    small, large = describe(path, max_batch_size=1, max_length=1024), describe(path, max_batch_size=9, max_length=2048)
    assert small.memory_bytes > 4 * 2_500_000 + 300 * 2**20  # float32 on a CPU, whatever the file holds
    token = 10 * 2 * 2 * (64 // 8) * 4  # layers, keys and values, groups, width, bytes
    assert large.memory_bytes - small.memory_bytes == (9 * 2048 - 1024) * token
    assert large.place_bytes == 2 * small.place_bytes == 2048 * token
    assert describe(path, device="gpu", max_batch_size=9).place_bytes == describe(EMBED).place_bytes == 0
    assert describe(path, device="gpu", max_batch_size=9).memory_bytes < 2 * 2**30
    assert describe(EMBED).memory_bytes < describe(CHAT).memory_bytes


def test_capabilities_follow_template_tokens_and_options(tmp_path):
    plain = folder(tmp_path / "plain")
    assert describe(plain).capabilities == {"completion", "structured", "logprobs"}
    assert "structured" not in describe(plain, options={"structured_output": False}).capabilities
    thinking = folder(
        tmp_path / "thinking",
        tokenizer_config__json=json.dumps({"chat_template": "{% if tools %}{% endif %}{{ enable_thinking }}"}),
    )
    assert {"chat", "tools", "thinking"} <= describe(thinking).capabilities
    tokens = [{"content": f"<|fim_{name}|>"} for name in ("prefix", "suffix", "middle")]
    filling = folder(tmp_path / "filling")
    (filling / "tokenizer.json").write_text(json.dumps({"added_tokens": tokens}))
    assert "insert" in describe(filling).capabilities


def test_templates_are_found_where_models_keep_them(tmp_path):
    named = [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]
    assert describe(folder(tmp_path / "a", tokenizer_config__json=json.dumps({"chat_template": named}))).template == "D"
    assert describe(folder(tmp_path / "b", chat_template__jinja="J")).template == "J"
    own = tmp_path / "own.jinja"
    own.write_text("O")
    assert describe(tmp_path / "b", template=str(own)).template == "O"
    with pytest.raises(ConfigError, match="cannot be read"):
        describe(tmp_path / "b", template=str(tmp_path / "none"))


def test_license_and_parent_come_from_the_card(tmp_path):
    card = "---\nlicense: apache-2.0\nbase_model: org/base\n---\nlicense: no\n"
    info = describe(folder(tmp_path / "m", README__md=card))
    assert (info.license, info.parent) == ("apache-2.0", "org/base")
    assert describe(folder(tmp_path / "n", README__md=card, LICENSE="The text")).license == "The text"


def test_a_digest_changes_with_a_file(tmp_path):
    path = folder(tmp_path / "m")
    before = describe(path).digest
    assert describe(path).digest == before
    (path / "config.json").write_text(json.dumps({**LLAMA, "x": 1}))
    assert describe(path).digest != before


@pytest.mark.parametrize(
    ("config", "spec", "sentence"),
    [
        ({**LLAMA, "architectures": ["Qwen3MoeForCausalLM"]}, {}, "on GPUs only"),
        ({**LLAMA, "architectures": ["GptOssForCausalLM"]}, {}, 'device = "gpu"'),
        ({"vocab_size": 5}, {}, "names no architecture"),
        (None, {"quantization": "bfloat16"}, "on CPUs, not 'bfloat16'"),
        (None, {"device": "tpu"}, "is none of"),
        (None, {"device": "cpu:1"}, "is none of"),
        (None, {"options": {"lora": {"a": "b"}}}, "on GPUs only"),
        (None, {"options": {"draft_model": "d"}}, "on GPUs only"),
        (None, {"options": {"nonsense": 1}}, "nonsense"),
        (None, {"options": {"max_batch_input_tokens": 8}}, "at least max_batch_size"),
    ],
)
def test_what_can_never_run_is_refused_with_a_sentence(tmp_path, config, spec, sentence):
    with pytest.raises(ConfigError, match=sentence) as refused:
        describe(folder(tmp_path / "m", config), **spec)
    assert "models.m" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_same_model_may_run_on_a_gpu(tmp_path):
    path = folder(tmp_path / "m", {**LLAMA, "architectures": ["Qwen3ForCausalLM"]})
    for device in ("gpu", "gpu:0,1", "gpu:all"):
        assert describe(path, device=device).name == "m"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: (path / "config.json").unlink(), "no config.json"),
        (lambda path: (path / "config.json").write_text("{"), "cannot be read as JSON"),
        (lambda path: (path / "config.json").write_text("[" * 100_000), "cannot be read as JSON"),
        (lambda path: (path / "model.safetensors").unlink(), "no .safetensors"),
        (lambda path: (path / "model.safetensors").write_bytes(b""), "damaged"),
        (lambda path: (path / "model.safetensors").write_bytes(b"\xff" * 20), "damaged"),
        (lambda path: (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:-1]), "size"),
        (lambda path: (path / "tokenizer.json").unlink(), "no tokenizer.json"),
    ],
)
def test_damaged_files_are_told_apart(tmp_path, spoil, sentence):
    path = folder(tmp_path / "m")
    spoil(path)
    with pytest.raises(ConfigError, match=sentence):
        describe(path)


def test_a_path_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="neither a model directory nor"):
        describe(tmp_path / "none")


def test_a_gguf_file_is_read_by_its_header(tmp_path):
    base = folder(tmp_path / "m")
    (base / "model.safetensors").unlink()
    path = gguf(base / "x.gguf", [("token_embd.weight", 14), ("blk.0.attn_q.weight", 12)], general__file_type=15)
    info = describe(path)
    assert (info.format, info.quantization, info.parameter_count) == ("gguf", "Q4_K_M", 256)
    assert describe(base).format == "gguf"
    header = read_header(path)
    assert header.lengths["tokens"] == 200
    assert len(header.metadata["tokens"]) < 200


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ([("token_embd.weight", 2), ("blk.0.w", 2)], "token embeddings as Q4_0"),
        ([("token_embd.weight", 0), ("blk.0.w", 8)], "Q8_0"),
        ([("token_embd.weight", 0), ("blk.0.w", 99)], "type 99"),
    ],
)
def test_gguf_types_that_max_cannot_run_are_refused(tmp_path, tensors, sentence):
    base = folder(tmp_path / "m")
    with pytest.raises(ConfigError, match=sentence):
        describe(gguf(base / "x.gguf", tensors))


def test_a_damaged_gguf_header_is_refused_wherever_it_ends(tmp_path):
    whole = gguf(tmp_path / "whole.gguf", [("token_embd.weight", 0)], general__name="n").read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in range(0, len(whole), 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(ConfigError, match="not a readable GGUF file"):
            read_header(cut)
    for lie in (b"GGUG" + whole[4:], whole[:4] + b"\xff" + whole[5:], whole[:8] + b"\xff" * 8 + whole[16:]):
        cut.write_bytes(lie)
        with pytest.raises(ConfigError, match="not a readable GGUF file"):
            read_header(cut)


def test_settings_are_read_from_their_table_and_unknown_keys_refused(tmp_path):
    config = Config(plugin={"max": {"cache_dir": str(tmp_path), "compile_memory": 5}})
    assert config.section("max", MaxSettings).cache() == tmp_path
    with pytest.raises(ConfigError, match="cache_dri"):
        Config(plugin={"max": {"cache_dri": "x"}}).section("max", MaxSettings)
    assert MaxSettings().cache({"XDG_CACHE_HOME": "/x"}) == Path("/x/hyperllama/max")


async def test_without_max_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(engines, "installed", lambda: False)
    with pytest.raises(ConfigError, match=r"pip install 'hyperllama-gateway\[max\]'"):
        MaxEngine().describe(ModelSpec(name="m"), CHAT)
    with pytest.raises(LoadFailed, match=r"hyperllama-gateway\[max\]"):
        await MaxEngine().load(ModelSpec(name="m"), CHAT, lambda _: None)


def test_a_model_that_is_not_here_yet_has_a_description():
    info = MaxEngine().describe(ModelSpec(name="m", max_length=77), None)
    assert (info.name, info.context_length) == ("m", 77)


def test_describing_imports_neither_max_nor_its_companions():
    script = f"""
import sys
from hyperllama.config import Config
from hyperllama.models import ModelSpec
import hyperllama_max
from pathlib import Path
(engine,) = hyperllama_max.hyperllama_engines(Config())
engine.describe(ModelSpec(name="m"), Path({str(CHAT)!r}))
heavy = {{"max", "torch", "transformers", "tokenizers", "numpy"}} & sys.modules.keys()
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
