"""Options: their types, their texts, what reaches the sampler."""

from __future__ import annotations

import pytest

from hyperllama.generation import Sampling
from hyperllama_ollama import options
from hyperllama_ollama.options import Options


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"temperature": "hot"}, 'option "temperature" must be of type float32'),
        ({"temperature": True}, 'option "temperature" must be of type float32'),
        ({"top_p": []}, 'option "top_p" must be of type float32'),
        ({"seed": "1"}, 'option "seed" must be of type integer'),
        ({"num_ctx": {}}, 'option "num_ctx" must be of type integer'),
        ({"num_gpu": False}, 'option "num_gpu" must be of type integer'),
        ({"use_mmap": 1}, 'option "use_mmap" must be of type boolean'),
        ({"stop": "x"}, 'option "stop" must be of type array'),
        ({"stop": ["x", 1]}, 'option "stop" must be of an array of strings'),
    ],
)
def test_a_wrong_type_is_a_failure_of_the_server(sent: dict[str, object], message: str) -> None:
    with pytest.raises(options.WrongOption) as error:
        options.parse(sent)
    assert (error.value.message, error.value.status) == (message, 500)


def test_unknown_and_legacy_options_and_nulls_are_ignored() -> None:
    sent = {"numa": "x", "mirostat": [], "tfs_z": {}, "low_vram": 1, "invented": True, "stop": None, "seed": None}
    assert options.parse(sent) == Options()


def test_integers_take_any_number_and_lose_its_fraction() -> None:
    assert options.parse({"num_predict": 5.9, "top_k": -2.7, "seed": 1e300}) == Options(
        num_predict=5, top_k=-2, seed=2**63 - 1
    )


def test_options_reach_the_sampler_under_its_own_names() -> None:
    said = options.parse(
        {
            "temperature": 0.5, "top_p": 0.7, "top_k": 9, "min_p": 0.1, "seed": 42, "repeat_penalty": 1.2,
            "presence_penalty": 0.3, "frequency_penalty": -0.4, "num_predict": 17, "stop": ["a", "", "b"],
        }
    )  # fmt: skip
    assert options.sampling(said, {}, logprobs=3) == Sampling(
        temperature=0.5,
        top_p=0.7,
        top_k=9,
        min_p=0.1,
        seed=42,
        repetition_penalty=1.2,
        presence_penalty=0.3,
        frequency_penalty=-0.4,
        max_tokens=17,
        stop=("a", "b"),
        logprobs=3,
    )


def test_silence_means_the_models_value_and_then_the_default() -> None:
    assert options.sampling(Options(), {}, logprobs=None) == Sampling(temperature=0.8, top_p=0.9, top_k=40)
    assert options.sampling(Options(), {"temperature": 0.1}, logprobs=None) == Sampling(top_p=0.9, top_k=40)


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [
        (Options(num_predict=-1), "max_tokens", None),
        (Options(num_predict=-2), "max_tokens", None),
        (Options(num_predict=0), "max_tokens", 1),
        (Options(seed=-1), "seed", None),
        (Options(temperature=-1.0), "temperature", 0.0),
        (Options(temperature=5.0), "temperature", 2.0),
        (Options(presence_penalty=-9.0), "presence_penalty", -2.0),
        (Options(frequency_penalty=9.0), "frequency_penalty", 2.0),
        (Options(repeat_penalty=99.0), "repetition_penalty", 10.0),
        (Options(top_p=5.0), "top_p", 1.0),
        (Options(top_k=-1), "top_k", 0),
        (Options(min_p=2.0), "min_p", 1.0),
        (Options(repeat_penalty=0.0), "repetition_penalty", 1.0),
    ],
)
def test_out_of_range_means_the_nearest_sensible_thing(said: Options, field: str, value: object) -> None:
    assert getattr(options.sampling(said, {}, logprobs=None), field) == value


def test_the_context_is_never_under_four_tokens() -> None:
    assert options.context_length(Options(num_ctx=1), None) == 4
    assert options.context_length(Options(num_ctx=2048), 16) == 2048
    assert options.context_length(Options(), 1) == 4
    assert options.context_length(Options(), None) is None


def test_a_stored_stop_holds_until_the_request_says_otherwise() -> None:
    assert options.sampling(Options(), {"stop": "a"}, logprobs=None).stop is None  # filled in below
    assert options.sampling(Options(stop=("c",)), {"stop": "a"}, logprobs=None).stop == ("c",)
    assert options.sampling(Options(stop=()), {"stop": "a"}, logprobs=None).stop == ()


def test_no_limit_and_any_seed_take_the_place_of_stored_ones() -> None:
    stored = {"num_predict": 3, "seed": 7, "repeat_penalty": 1.2}
    said = options.parse({"num_predict": -1, "seed": -1, "repeat_penalty": 0})
    found = [options.sampling(said, stored, logprobs=None) for _ in range(2)]
    assert found[0].seed != found[1].seed
    assert (found[0].max_tokens or 0) > 2**30
    assert found[0].repetition_penalty == 1.0
    silent = options.sampling(Options(), stored, logprobs=None)
    assert (silent.max_tokens, silent.seed, silent.repetition_penalty) == (None, None, None)
