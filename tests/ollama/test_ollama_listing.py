"""Golden bytes of lists and cards."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest

from hyperllama.models import LoadProgress, ModelInfo, RunningModel, TensorInfo
from hyperllama_ollama import wire
from hyperllama_ollama.encode import listing, showing

DIGEST = "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72"
INFO = ModelInfo(
    name="llama3.2",
    engine="max",
    capabilities=frozenset({"completion", "tools", "chat", "structured"}),
    context_length=131072,
    modified=1767287400.5,
    digest=DIGEST,
    size_bytes=2019393189,
    format="gguf",
    family="llama",
    parameter_count=3_212_749_888,
    quantization="Q4_K_M",
    embedding_length=3072,
    vocab_size=128256,
)


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/Phoenix")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _running(info: ModelInfo, expires: float | None, vram: int = 0) -> RunningModel:
    return RunningModel(
        info=info, progress=LoadProgress("ready"), size_bytes=100, size_vram=vram, expires_at=expires, active=0
    )


def test_tags() -> None:
    assert listing.tags([INFO]) == (
        b'{"models":[{"name":"llama3.2:latest","model":"llama3.2:latest","modified_at":"2026-01-01T10:10:00.5-07:00",'
        b'"size":2019393189,"digest":"' + DIGEST.encode() + b'","details":{"parent_model":"","format":"gguf",'
        b'"family":"llama","families":["llama"],"parameter_size":"3.2B","quantization_level":"Q4_K_M",'
        b'"context_length":131072,"embedding_length":3072},"capabilities":["completion","tools"]}]}'
    )


def test_no_models_are_an_empty_list() -> None:
    assert listing.tags([]) == listing.ps([]) == b'{"models":[]}'


def test_the_newest_comes_first() -> None:
    older = msgspec.structs.replace(INFO, name="older", modified=1.0)
    names = [entry["name"] for entry in msgspec.json.decode(listing.tags([older, INFO]))["models"]]
    assert names == ["llama3.2:latest", "older:latest"]


def test_ps() -> None:
    assert listing.ps([_running(INFO, 1767287700.5, vram=100)]) == (
        b'{"models":[{"name":"llama3.2:latest","model":"llama3.2:latest","size":100,"digest":"' + DIGEST.encode()
        + b'","details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],'
        b'"parameter_size":"3.2B","quantization_level":"Q4_K_M"},"expires_at":"2026-01-01T10:15:00.5-07:00",'
        b'"size_vram":100,"context_length":131072}]}'
    )  # fmt: skip


def test_for_ever_is_centuries_ahead_and_the_longest_comes_first() -> None:
    other = msgspec.structs.replace(INFO, name="other")
    found = msgspec.json.decode(listing.ps([_running(INFO, 1767287700.5), _running(other, None)], now=1767287700.0))
    assert [entry["name"] for entry in found["models"]] == ["other:latest", "llama3.2:latest"]
    assert found["models"][0]["expires_at"].startswith("2318-")


def test_a_share_on_the_accelerator_is_never_more_than_the_whole() -> None:
    entry = msgspec.json.decode(listing.ps([_running(INFO, 1.0, vram=500)]))["models"][0]
    assert entry["size"] >= entry["size_vram"] == 500


def test_a_model_without_files_still_has_a_digest() -> None:
    bare = ModelInfo(name="sim", engine="sim", capabilities=frozenset({"completion"}), context_length=8)
    entry = msgspec.json.decode(listing.tags([bare]))["models"][0]
    assert len(entry["digest"]) == 64
    assert entry["details"] == {
        "parent_model": "", "format": "", "family": "", "families": None, "parameter_size": "",
        "quantization_level": "", "context_length": 8,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("count", "shown"),
    [(3_212_749_888, "3.2B"), (7_000_000_000, "7B"), (22_565_376, "22.57M"), (134_515_008, "134.52M"),
     (2_000_000, "2M"), (30_522, "31K"), (999, "999"), (1_500_000_000_000, "1.50T")],
)  # fmt: skip
def test_parameters_are_counted_as_people_do(count: int, shown: str) -> None:
    assert listing.human(count) == shown


def test_a_card_from_a_config() -> None:
    info = msgspec.structs.replace(
        INFO,
        metadata={
            "model_type": "llama",
            "num_hidden_layers": 28,
            "num_attention_heads": 24,
            "rope_theta": 5e5,
            "x": [],
        },
        parameters={"stop": ["<|a|>", "b"], "temperature": 0.7, "num_ctx": 4096, "top_p": 1.0},
        system="Be brief.",
        template="{{ messages }}",
        license="MIT",
    )
    found = msgspec.json.decode(showing.show(info, wire.ShowRequest(model="llama3.2")))
    assert list(found) == [
        "license", "modelfile", "parameters", "template", "system", "details", "model_info", "capabilities",
        "modified_at",
    ]  # fmt: skip
    assert found["model_info"] == {
        "general.architecture": "llama",
        "general.parameter_count": 3_212_749_888,
        "llama.attention.head_count": 24,
        "llama.block_count": 28,
        "llama.context_length": 131072,
        "llama.embedding_length": 3072,
        "llama.rope.freq_base": 500000.0,
        "llama.vocab_size": 128256,
    }
    assert found["parameters"].split("\n") == [
        'stop                           "<|a|>"',
        'stop                           "b"',
        "temperature                    0.7",
        "num_ctx                        4096",
        "top_p                          1",
    ]
    assert found["modelfile"].startswith("# ")
    assert "# FROM llama3.2:latest\n\nFROM llama3.2:latest\n" in found["modelfile"]
    assert 'PARAMETER stop "<|a|>"' in found["modelfile"]
    assert 'SYSTEM "Be brief."' in found["modelfile"]
    assert found["capabilities"] == ["completion", "tools"]


def test_a_card_from_gguf_shows_long_lists_on_request() -> None:
    metadata = {
        "general.architecture": "llama",
        "general.name": "secret",
        "tokenizer.chat_template": "long",
        "llama.context_length": 8,
        "tokenizer.ggml.tokens": ["t"] * 100,
        "general.tags": ["a"],
    }
    info = msgspec.structs.replace(INFO, metadata=metadata)
    short = msgspec.json.decode(showing.show(info, wire.ShowRequest()))["model_info"]
    assert short == {
        "general.architecture": "llama", "llama.context_length": 8, "tokenizer.ggml.tokens": None,
        "general.tags": ["a"], "general.parameter_count": 3_212_749_888,
    }  # fmt: skip
    verbose = msgspec.json.decode(showing.show(info, wire.ShowRequest(verbose=True)))["model_info"]
    assert verbose["tokenizer.ggml.tokens"] == ["t"] * 100


def test_a_card_takes_what_the_request_overlays() -> None:
    request = wire.ShowRequest(model="Foo", system="new", options={"seed": 1, "temperature": 0.5})
    info = msgspec.structs.replace(INFO, parameters={"temperature": 1})
    found = msgspec.json.decode(showing.show(info, request, copilot=True))
    assert found["system"] == "new"
    assert found["parameters"] == "temperature                    0.5\nseed                           1"
    assert found["model_info"]["general.basename"] == "Foo"


def test_where_a_load_stands_is_shown_to_those_who_ask() -> None:
    loading = RunningModel(
        info=INFO, progress=LoadProgress("compiling", "graph 2 of 3", 12.5, 60.0), size_bytes=0, size_vram=0,
        expires_at=1767287400.0, active=1,
    )  # fmt: skip
    assert b"progress" not in listing.ps([loading])
    progress = b'"progress":{"phase":"compiling","detail":"graph 2 of 3","seconds":12.5,"estimate":60.0}}'
    assert b',"context_length":131072,' + progress in listing.ps([loading], progress=True)


def test_what_was_said_of_a_model_when_it_was_made_is_shown_again() -> None:
    said = {"renderer": "r", "parser": "p", "requires": "0.30", "info": {"model_family": "fam", "context_length": 9}}
    made = msgspec.structs.replace(INFO, extra=said, tensors=(TensorInfo("t", "F32", (2, 3)),))
    card = msgspec.json.decode(showing.show(made, wire.ShowRequest(model="x")))
    assert (card["renderer"], card["parser"], card["requires"]) == ("r", "p", "0.30")
    assert card["tensors"] == [{"name": "t", "type": "F32", "shape": [2, 3]}]
    assert list(card)[-1] == "requires" and list(card).index("tensors") == list(card).index("model_info") + 1
    details = msgspec.json.decode(listing.tags([made]))["models"][0]["details"]
    assert (details["family"], details["families"], details["context_length"]) == ("fam", ["fam"], 9)
