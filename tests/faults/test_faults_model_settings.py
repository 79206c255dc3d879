"""Settings of a model that a stranger wrote: any field of any type is a refusal with a sentence, never a failure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import live

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 256,
    "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "torch_dtype": "float32",
    "quantization_config": {"quant_method": "x"}, "tie_word_embeddings": True, "eos_token_id": 1,
}  # fmt: skip
WRONG: tuple[Any, ...] = ("x", 1.5, -1, 10**30, None, True, [], [1], {}, {"a": 1}, [[]])
WEIGHTS = b"\x02\0\0\0\0\0\0\0{}"
RAW = (b"", b"\xff\xfe", b"{", b"[" * 5000, b"null", b"[]", b"1", b'{"auto_map": {}}')


@pytest.fixture(scope="module")
def create(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., tuple[int, bytes]]]:
    config = '[models.sim]\nengine = "sim"\n[plugins]\nenabled = ["sim", "max", "openai", "ollama"]\n'
    gateway = live.Live(config, tmp_path_factory.mktemp("live"))

    def go(**files: bytes) -> tuple[int, bytes]:
        digests = {}
        for name, data in {"model.safetensors": WEIGHTS, **files}.items():
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            assert gateway.ask(f"/api/blobs/{digest}", data)[0] in (200, 201)
            digests[name.replace("__", ".")] = digest
        status, _, body = gateway.ask("/api/create", {"model": "made", "files": digests, "stream": False})
        return status, body

    yield go
    gateway.stop()


def _refused_or_taken(create: Callable[..., tuple[int, bytes]], field: str, values: tuple[Any, ...]) -> None:
    for value in values:
        status, body = create(config__json=json.dumps({**CONFIG, field: value}).encode(), tokenizer__json=b"{}")
        assert status in (200, 400) and (status == 200 or json.loads(body)["error"]), (field, value, body)


@pytest.mark.parametrize(("number", "field"), list(enumerate(CONFIG)))
def test_a_field_of_another_type_is_refused_or_taken(
    create: Callable[..., tuple[int, bytes]], number: int, field: str
) -> None:
    """Two of the values for each field, all of them over all fields; every pair is nightly."""
    _refused_or_taken(create, field, (WRONG[2 * number % len(WRONG)], WRONG[(2 * number + 1) % len(WRONG)]))


@pytest.mark.nightly
@pytest.mark.parametrize("field", CONFIG)
def test_a_field_of_any_other_type_is_refused_or_taken(create: Callable[..., tuple[int, bytes]], field: str) -> None:
    _refused_or_taken(create, field, WRONG)


@pytest.mark.parametrize("raw", RAW, ids=range(len(RAW)))
def test_settings_that_are_no_object_are_refused(create: Callable[..., tuple[int, bytes]], raw: bytes) -> None:
    status, body = create(config__json=raw, tokenizer__json=b"{}")
    assert status == 400 and json.loads(body)["error"]
    status, body = create(config__json=json.dumps(CONFIG).encode(), tokenizer__json=raw)
    assert status in (200, 400)


def test_code_is_refused_however_deep(create: Callable[..., tuple[int, bytes]]) -> None:
    for key in ("auto_map", "_attn_implementation_internal"):
        for config in ({key: "x"}, {"text_config": {key: "x"}}, {"a": [{"b": {key: {}}}]}):
            status, body = create(config__json=json.dumps({**CONFIG, **config}).encode())
            assert (status, "run code" in json.loads(body)["error"]) == (400, True)
