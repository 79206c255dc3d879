"""MAX by itself, none of our code between: greedy answers to prompts of token ids, one prompt at a time.

Its graphs are those that the gateway has compiled or ships, so that they are compiled once for both.

python max_alone.py <model directory> < {"prompts": [[...]], "tokens": n} > [[...]]
"""

from __future__ import annotations

import json
import sys

from max.driver import DeviceSpec
from max.pipelines import PIPELINE_REGISTRY
from max.pipelines.lib import PipelineArgs, PipelineConfig
from max.pipelines.lib.generate import generate

from hyperllama_max import compat
from hyperllama_max.graphs import GraphStore
from hyperllama_max.settings import MaxSettings

asked = json.load(sys.stdin)
config = PipelineConfig.from_args(
    PipelineArgs.from_flat_kwargs(
        model_path=sys.argv[1],
        device_specs=[DeviceSpec.cpu()],
        quantization_encoding="float32",
        max_length=1024,
        max_batch_size=1,
        # The same graphs as the gateway's.
        enable_penalties=True,
        enable_min_tokens=True,
        tool_parser="anything",
    )
)
task = PIPELINE_REGISTRY.retrieve_pipeline_task(config.models.main_architecture_name)
with compat.reusing_graphs(GraphStore(MaxSettings().cache()).obtain):
    pipeline = PIPELINE_REGISTRY.retrieve_factory(config, task=task).factory()
answers = []
for prompt in asked["prompts"]:
    found = generate(pipeline, [prompt], max_new_tokens=asked["tokens"], temperature=0.0)
    answers.append([int(token) for token in found.sequences[0]][len(prompt) :])
json.dump(answers, sys.stdout)
