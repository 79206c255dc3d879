"""Every key of a model's table and of its options arrives where the installed MAX wants it, or is refused by name."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hyperllama.errors import ConfigError, InvalidRequest, UnsupportedFeature
from hyperllama.generation import Sampling
from hyperllama.models import ModelSpec
from hyperllama_max import sampling, settings
from hyperllama_max.sampling import Limits
from tests.support.asking_max import CHAT, EMBED

LANDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # a model's table, and what MAX's own configuration then says
    ({}, {"model.max_length": 2048, "runtime.max_batch_size": 16, "runtime.max_batch_input_tokens": 256}),
    ({"max_length": 512, "max_batch_size": 3}, {"model.max_length": 512, "runtime.max_batch_size": 3}),
    ({"max_batch_size": 300}, {"runtime.max_batch_input_tokens": 300}),
    ({"quantization": "float32"}, {"model.quantization_encoding": "float32"}),
    ({"device": "gpu"}, {"device_specs": "[DeviceSpec(id=0, device_type='gpu')]"}),
    (
        {"device": "gpu:0,1"},
        {"device_specs": "[DeviceSpec(id=0, device_type='gpu'), DeviceSpec(id=1, device_type='gpu')]"},
    ),
    ({"device": "gpu", "quantization": "bfloat16"}, {"quantization_encoding": "bfloat16"}),
    ({"options": {"max_batch_input_tokens": 64}}, {"runtime.max_batch_input_tokens": 64}),
    ({"options": {"in_flight_batching": False}}, {"runtime.enable_in_flight_batching": False}),
    (
        {"options": {"chunked_prefill": False}},
        {"runtime.enable_chunked_prefill": False, "runtime.enable_in_flight_batching": False},
    ),
    ({"options": {"prefix_caching": False}}, {"model.kv_cache.enable_prefix_caching": False}),
    ({"options": {"prefix_caching": True}}, {"model.kv_cache.enable_prefix_caching": True}),
    ({"options": {"penalties": False}}, {"sampling.enable_penalties": False}),
    ({"options": {"min_tokens": False}}, {"sampling.enable_min_tokens": False}),
    ({"options": {"structured_output": True}}, {"needs_bitmask_constraints": True}),
    ({"options": {"structured_output": False}}, {"needs_bitmask_constraints": False}),
    ({"device": "gpu", "options": {"device_memory_utilization": 0.5}}, {"kv_cache.device_memory_utilization": 0.5}),
    (
        {"device": "gpu", "options": {"draft_model": str(CHAT)}},
        {"draft_model.model_path": str(CHAT), "speculative.speculative_method": "eagle"},
    ),
    (
        {"device": "gpu", "aliases": ["a", "b"], "options": {"lora": {"a": "/a", "b": "/b"}}},
        {
            "lora.lora_paths": "['a=/a', 'b=/b']",
            "lora.max_num_loras": 2,
            "kv_cache.enable_prefix_caching": False,
            "runtime.prefer_module_v3": True,
        },
    ),
    ({"options": {"flags": {"kv_cache_page_size": 256}}}, {"model.kv_cache.kv_cache_page_size": 256}),
    ({"options": {"flags": {"prefill_schedule_interval": 3}}}, {"runtime.prefill_schedule_interval": 3}),
    ({"source": str(EMBED)}, {"model.max_length": 256, "model.kv_cache.enable_prefix_caching": False}),
]


@pytest.mark.max
@pytest.mark.skipif(importlib.util.find_spec("max") is None, reason="MAX is not installed")
def test_what_a_table_says_is_what_max_is_told():
    tables = [{"name": "m", "source": str(CHAT), **table} for table, _ in LANDS]
    asked = [[table, list(wanted)] for table, (_, wanted) in zip(tables, LANDS, strict=True)]
    asked.append([{"name": "m", "source": str(CHAT), "options": {"flags": {"no_such_flag": 1}}}, []])
    script = Path(__file__).with_name("max_arguments.py")
    done = subprocess.run([sys.executable, script], input=json.dumps(asked), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *found, refusal = json.loads(done.stdout)
    for values, (table, wanted) in zip(found, LANDS, strict=True):
        assert values == list(wanted.values()), table
    assert "no_such_flag" in refusal


@pytest.mark.parametrize(
    ("table", "intro"), [(settings.MaxOptions, "options]"), (settings.MaxSettings, "[plugin.max]")]
)
def test_every_key_is_shown_in_the_configuration_at_the_top(table, intro):
    text = (Path(__file__).parents[2] / "config.toml").read_text("utf-8")
    block = text[text.index(intro) :].split("\n\n")[0]
    assert set(table.__struct_fields__) == set(re.findall(r"^#? *(\w+) = ", block, re.MULTILINE))


@pytest.mark.max
async def test_a_flag_that_max_does_not_know_fails_the_load_by_name(load):
    from hyperllama.errors import LoadFailed

    with pytest.raises(LoadFailed, match="no_such_flag"):
        await load(options={"flags": {"no_such_flag": 1}})


@pytest.mark.parametrize(
    ("flag", "instead"),
    [("max_length", "set max_length"), ("devices", "set device"), ("trust_remote_code", "never runs here")],
)
def test_a_flag_with_a_key_of_its_own_is_not_passed_by(flag, instead):
    with pytest.raises(ConfigError, match=instead):
        settings.options(ModelSpec(name="m", options={"flags": {flag: 1}}))


def test_an_adapter_that_nobody_can_ask_for_is_refused():
    with pytest.raises(ConfigError, match="'sql' must be among the aliases"):
        settings.options(ModelSpec(name="m", device="gpu", options={"lora": {"sql": "/x"}}))


LESS = Limits(vocab_size=100, max_logprobs=0, penalties=False, min_tokens=False, host_logits=False)


@pytest.mark.parametrize(
    "asked",
    [
        {"repetition_penalty": 1.1},
        {"presence_penalty": 0.5},
        {"frequency_penalty": 0.5},
        {"min_tokens": 3},
        {"logprobs": 0},
        {"logprobs": 2},
        {"logit_bias": {5: 1.0}},
    ],
)
def test_what_a_model_is_loaded_without_is_refused_and_not_ignored(asked):
    with pytest.raises(UnsupportedFeature):
        sampling.check(Sampling(**asked), LESS)
    sampling.check(Sampling(repetition_penalty=1.0, presence_penalty=0.0, min_tokens=0), LESS)


@pytest.mark.parametrize("penalty", [0.0, -1.0, 10.5, float("nan"), float("inf")])
def test_a_repetition_penalty_out_of_bounds_is_refused(penalty):
    with pytest.raises(InvalidRequest, match="repetition_penalty"):
        sampling.check(Sampling(repetition_penalty=penalty), Limits(100, 7, True, True, True))
