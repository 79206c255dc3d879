"""Images: MAX 26.7 sees them on GPUs only, which is told before a load, and before a generation."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hyperllama.errors import ConfigError, UnsupportedFeature
from hyperllama.generation import GenerationRequest
from hyperllama.messages import Chat, Image, Message, Text
from hyperllama.models import ModelSpec
from hyperllama_max import support
from hyperllama_max.describe import describe
from hyperllama_max.families import FAMILIES
from tests.support.asking_max import CHAT, talk

PICTURE = Message(role="user", parts=(Image(b"\x89PNG\r\n\x1a\n"), Text("what is this?")))


@pytest.fixture(scope="module")
def architectures() -> list[tuple[str, list[str], bool, bool]]:
    if importlib.util.find_spec("max") is None:
        pytest.skip("MAX is not installed")
    script = Path(__file__).with_name("max_image_models.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) > 10
    return found


def test_no_architecture_of_max_that_takes_images_runs_on_a_cpu(architectures):
    for name, encodings, needs_accelerator, _ in architectures:
        assert name not in support.CPU_TEXT - set(FAMILIES)  # of which the text half runs
        # A CPU has none of its encodings, or its model asks the accelerator for buffers as soon as it is made.
        assert needs_accelerator or not set(encodings) & set(support.CPU_ENCODINGS), name


def test_those_whose_prompts_take_more_than_text_are_known(architectures):
    more = {name for name, _, _, plain in architectures if not plain}
    models = {name for name in more if not name.startswith("Unified") and not name.endswith("_ModuleV3")}
    assert models == support.OWN_CONTEXTS


@pytest.mark.parametrize("name", ["LlavaForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"])
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_model_made_for_images_is_refused_where_it_cannot_run_and_takes_text_elsewhere(tmp_path, name, device):
    for path in CHAT.iterdir():
        if path.name != "config.json":
            (tmp_path / path.name).symlink_to(path)
    config = json.loads((CHAT / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": [name]}))
    spec = ModelSpec(name="m", device=device)
    if device == "gpu" and name not in support.OWN_CONTEXTS:
        assert "vision" not in describe(spec, tmp_path).capabilities
        return
    with pytest.raises(ConfigError, match=rf"models\.m: .*{name}"):
        describe(spec, tmp_path)


async def test_images_are_refused_before_anything_is_generated(chat):
    assert "vision" not in chat.info.capabilities
    with pytest.raises(UnsupportedFeature, match="images"):
        await chat.generate(GenerationRequest(model="m", input=Chat((*talk("hi").input.messages, PICTURE))))
