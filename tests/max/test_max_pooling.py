"""Encoders as their sentence-transformers files say: pooling, limits, and what a tokenizer file must not decide."""

from __future__ import annotations

import json
import math
import os
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import ConfigError, ContextTooLong
from hyperllama.host import Deadline
from hyperllama.messages import Prompt
from hyperllama.models import ModelSpec
from hyperllama_max import files as model_files
from hyperllama_max import pooling
from hyperllama_max.describe import describe
from hyperllama_max.template import Rendered
from hyperllama_max.vocabulary import Vocabulary
from tests.support.asking_max import CHAT, EMBED, talk, whole

TEXTS = ("Which port does the gateway listen on?", "gateway " * 60, "short")
PADDED = {
    "truncation": {"max_length": 16, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
    "padding": {
        "strategy": {"Fixed": 16},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    },
}
MODULE = "sentence_transformers.models."


def like(source: Path, folder: Path, tokenizer: Any = None, **files: Any) -> Path:
    """A model in ``folder`` of the weights in ``source``; ``files`` by name, with ``__`` for a slash."""
    folder.mkdir(exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and path.name != "tokenizer.json":
            (folder / path.name).symlink_to(path)
    written = json.loads((source / "tokenizer.json").read_text("utf-8")) | (tokenizer or {})
    (folder / "tokenizer.json").write_text(json.dumps(written))
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(json.dumps(content))
    return folder


def described(path: Path, **spec):
    return describe(ModelSpec(name="m", source=str(path), **spec), path)


def ask(*inputs, **changes) -> EmbeddingRequest:
    return EmbeddingRequest(model="m", inputs=inputs, **changes)


def vectors(found) -> list[np.ndarray]:
    return [np.array(struct.unpack(f"<{len(vector) // 4}f", vector)) for vector in found.vectors]


# --- what the files say


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, 256),
        ({"sentence_bert_config": {"max_seq_length": 100}}, 100),
        ({"sentence_bert_config": {"max_seq_length": 100}, "tokenizer_config": {"model_max_length": 50}}, 100),
        ({"sentence_bert_config": {"max_seq_length": 9999}}, 256),
        ({"sentence_bert_config": {"max_seq_length": None}, "tokenizer_config": {"model_max_length": 50}}, 50),
        ({"tokenizer_config": {"model_max_length": 1e30}}, 256),
        ({"tokenizer_config": {"model_max_length": 1000000000000000019884624838656}}, 256),
        ({"tokenizer_config": {"model_max_length": True}}, 256),
        ({"sentence_bert_config": {"max_seq_length": -1}}, 256),
    ],
)
def test_an_encoders_limit_is_its_own(tmp_path, files, limit):
    assert described(like(EMBED, tmp_path / "m", PADDED, **files)).context_length == limit


def test_a_configured_length_may_be_all_that_the_model_has_positions_for(tmp_path):
    folder = like(EMBED, tmp_path / "m", sentence_bert_config={"max_seq_length": 100})
    assert described(folder, max_length=200).context_length == 200
    with pytest.raises(ConfigError, match="256"):
        described(folder, max_length=300)


MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@pytest.mark.parametrize("key", MODES)
def test_b6_the_pooling_is_read_in_both_forms(tmp_path, key):
    older = like(EMBED, tmp_path / "a", **{"1_Pooling__config": dict.fromkeys(MODES, False) | {key: True}})
    newer = like(EMBED, tmp_path / "b", **{"1_Pooling__config": {"pooling_mode": MODES[key]}})
    for folder in (older, newer):
        assert pooling.read(model_files.read(folder, "m"), "m").modes == (MODES[key],)


def test_b6_the_folder_of_the_pooling_is_the_one_that_modules_json_names(tmp_path):
    modules = [
        {"idx": 0, "type": f"{MODULE}Transformer", "path": ""},
        {"idx": 1, "type": f"{MODULE}Pooling", "path": "7_Own"},
        {"idx": 2, "type": f"{MODULE}Normalize", "path": "8_Normalize"},
    ]
    files = {"7_Own__config": {"pooling_mode_cls_token": True}, "1_Pooling__config": {"pooling_mode": "max"}}
    found = pooling.read(model_files.read(like(EMBED, tmp_path / "m", modules=modules, **files), "m"), "m")
    assert found.modes == ("cls",)
    assert found.normalize


def test_b6_joined_poolings_are_wider_and_nothing_says_the_mean(tmp_path):
    both = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    joined = described(like(EMBED, tmp_path / "a", **{"1_Pooling__config": both}))
    plain = described(like(EMBED, tmp_path / "b"))
    assert joined.embedding_length == 2 * plain.embedding_length
    assert pooling.read(model_files.read(tmp_path / "b", "m"), "m") == pooling.Pooling()


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"modules": [{"type": f"{MODULE}Dense", "path": "2_Dense"}]}, "Dense"),
        ({"modules": [{"type": f"{MODULE}Pooling", "path": "../elsewhere"}]}, "folder"),
        ({"modules": {"a": 1}}, "modules.json"),
        ({"1_Pooling__config": {"pooling_mode": "attention"}}, "attention"),
        ({"1_Pooling__config": [1]}, "config.json"),
    ],
)
def test_b6_what_cannot_be_computed_is_refused_before_a_load(tmp_path, files, word):
    with pytest.raises(ConfigError, match=word):
        described(like(EMBED, tmp_path / "m", **files))


def test_b6_each_pooling_is_its_formula():
    states = np.arange(12, dtype=np.float32).reshape(4, 3) ** 2

    def pooled(*modes):
        return pooling.Pooling(modes).pool(states)

    assert pooled("cls").tolist() == states[0].tolist()
    assert pooled("lasttoken").tolist() == states[3].tolist()
    assert pooled("max").tolist() == states[3].tolist()
    assert np.allclose(pooled("mean"), states.sum(0) / 4)
    assert np.allclose(pooled("mean_sqrt_len_tokens"), states.sum(0) / 2)
    assert np.allclose(pooled("weightedmean"), (states[0] + 2 * states[1] + 3 * states[2] + 4 * states[3]) / 10)
    assert pooled("cls", "max").tolist() == [*states[0].tolist(), *states[3].tolist()]


@pytest.mark.parametrize("source", [CHAT, EMBED], ids=["generating", "encoding"])
def test_padding_and_cutting_of_a_tokenizer_file_decide_nothing(tmp_path, source):
    """Neither for encoders nor for models that generate: both have the one tokenizer."""
    pytest.importorskip("tokenizers")
    from tokenizers import Tokenizer

    def vocabulary(folder: Path) -> Vocabulary:
        rust = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return Vocabulary(SimpleNamespace(backend_tokenizer=rust, bos_token_id=None), add_bos=False)

    plain, padded = vocabulary(source), vocabulary(like(source, tmp_path / "m", PADDED))
    for text in ("short", *TEXTS, "gateway " * 1000):
        assert padded.encode_plain(text) == plain.encode_plain(text)
        assert padded.encode_prompt(text, special=True) == plain.encode_prompt(text, special=True)
        assert padded.encode_prompt(text, special=False) == plain.encode_prompt(text, special=False)
        rendered = Rendered((text, "[PAD]", text))
        assert padded.encode(rendered, Deadline(5)) == plain.encode(rendered, Deadline(5))


# --- on MAX


@pytest.mark.nightly
async def test_a_padded_tokenizer_file_changes_no_count_and_no_vector(load, encoder, tmp_path):
    padded = await load(like(EMBED, tmp_path / "m", PADDED))
    found, plain = await padded.embed(ask(*TEXTS)), await encoder.embed(ask(*TEXTS))
    assert found.input_tokens == plain.input_tokens
    assert len(set(found.input_tokens)) == 3
    assert found.cut == (False, False, False)
    assert found.vectors == plain.vectors
    for text, count in zip(TEXTS, found.input_tokens, strict=True):
        assert len(await padded.tokenize(Prompt(text))) == count
    limit = padded.info.context_length
    assert limit == encoder.info.context_length
    long = await padded.embed(ask("gateway " * 1000))
    assert (long.prompt_tokens, long.cut) == (limit, (True,))
    with pytest.raises(ContextTooLong, match=str(limit)):
        await padded.embed(ask("gateway " * 1000, truncate=False))


@pytest.mark.nightly
async def test_a_padded_tokenizer_file_changes_no_answer(load, chat, tmp_path):
    padded = await load(like(CHAT, tmp_path / "m", PADDED), max_length=1024)
    question = talk("What port does the gateway listen on? " * 4, tokens=8)
    assert await padded.tokenize(question.input) == await chat.tokenize(question.input)
    assert (await whole(padded, question)).text == (await whole(chat, question)).text


@pytest.mark.nightly
async def test_b6_vectors_are_pooled_as_the_model_was_trained(load, encoder, tmp_path):
    """One compile for all of them: the graph is the same, and the pooling happens after it."""
    ids = [await encoder.tokenize(Prompt(text)) for text in TEXTS]
    means = vectors(await encoder.embed(ask(*TEXTS, normalize=False)))
    found = {}
    for mode in ("cls", "max", "lasttoken", "mean_sqrt_len_tokens"):
        model = await load(like(EMBED, tmp_path / mode, **{"1_Pooling__config": {"pooling_mode": mode}}))
        found[mode] = vectors(await model.embed(ask(*TEXTS, normalize=False)))
        assert [vector.tolist() for vector in vectors(await model.embed(ask(*ids, normalize=False)))] == [
            vector.tolist() for vector in found[mode]
        ]
    for place, mean in enumerate(means):
        assert np.allclose(found["mean_sqrt_len_tokens"][place], mean * math.sqrt(len(ids[place])), atol=1e-4)
        assert (found["max"][place] >= mean - 1e-5).all()
        assert not np.allclose(found["cls"][place], mean, atol=1e-2)
        assert not np.allclose(found["cls"][place], found["lasttoken"][place], atol=1e-2)


MINILM = os.environ.get("HYPERLLAMA_TEST_MINILM", "")


@pytest.mark.nightly
@pytest.mark.skipif(not MINILM, reason="HYPERLLAMA_TEST_MINILM names no folder with all-MiniLM-L6-v2")
async def test_b6_all_minilm_is_what_its_card_says(load):
    """The sentences of its documentation, whose similarities are published; counts by its own word pieces."""
    model = await load(Path(MINILM), max_batch_size=8)
    assert model.info.context_length == 256
    texts = ("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
    found = await model.embed(ask(*texts))
    a, b, c = vectors(found)
    assert found.input_tokens == (8, 9, 8)
    assert [a @ b, a @ c, b @ c] == pytest.approx([0.6660, 0.1046, 0.1411], abs=1e-4)
    words = "one " * 300
    long = await model.embed(ask(words, "one " * 200))
    assert (long.input_tokens, long.cut) == ((256, 202), (True, False))
    with pytest.raises(ContextTooLong, match="256"):
        await model.embed(ask(words, truncate=False))
