"""One loaded model that answers for several names: the rendering comes with the request."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from hyperllama.errors import InvalidRequest
from hyperllama.generation import Rendering, Sampling
from hyperllama.models import ModelSpec
from hyperllama_max.engine import MaxEngine
from hyperllama_max.renderings import KEPT
from tests.support.asking_max import CHAT, talk, whole


def sharing(path: Path, **changes) -> str | None:
    return MaxEngine().sharing(ModelSpec(**{"name": "m", "source": str(path), **changes}), path)


def test_b13_the_same_files_are_the_same_weights_wherever_they_are_linked(tmp_path):
    source = Path(shutil.copytree(CHAT, tmp_path / "source"))
    found = sharing(source)
    for number, name in enumerate(("a", "b")):
        folder = tmp_path / name
        folder.mkdir()
        for file in source.iterdir():
            (os.symlink if number else os.link)(file, folder / file.name)
        (folder / "store-template.jinja").write_text("{{ messages }}")
        assert sharing(folder) == found
    assert sharing(source, name="other", system="x", template="t", parameters={"seed": 1}, keep_alive=1.0) == found
    assert sharing(source, aliases=("x",), preload=True) == found
    (tmp_path / "a" / "tokenizer_config.json").unlink()
    assert sharing(tmp_path / "a") != found


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "gpu"},
        {"max_length": 512},
        {"max_batch_size": 3},
        {"quantization": "q4_0"},
        {"options": {"prefix_caching": False}},
        {"options": {"lora": {"x": "y"}}, "aliases": ("x",)},
    ],
)
def test_b13_another_setting_is_another_load(changes):
    assert sharing(CHAT, **changes) != sharing(CHAT)


async def test_b13_each_request_is_rendered_by_its_own_name(chat):
    plain = talk("What port does the gateway listen on?", tokens=8)
    ids = await chat.tokenize(plain.input)
    own = Rendering(system=chat.info.system, template=chat.info.template, parameters=chat.info.parameters)
    assert await chat.tokenize(plain.input, rendering=own) == ids
    bob = msgspec.structs.replace(own, system="You are Bob.")
    longer = await chat.tokenize(plain.input, rendering=bob)
    assert len(longer) > len(ids)
    other = Rendering(template="{% for m in messages %}{{ m.content }}{% endfor %}")
    bare = await chat.tokenize(plain.input, rendering=other)
    assert len(bare) < len(ids)
    for rendering, prompt in ((None, ids), (own, ids), (bob, longer), (other, bare)):
        answer = await whole(chat, msgspec.structs.replace(plain, rendering=rendering))
        assert answer.prompt_token_ids == prompt


async def test_b13_parameters_of_a_name_are_its_defaults_alone(chat):
    asked = msgspec.structs.replace(talk("What is it?"), sampling=Sampling(temperature=0.0))
    own = Rendering(template=chat.info.template, parameters={"num_predict": 3})
    short = await whole(chat, msgspec.structs.replace(asked, rendering=own))
    assert short.usage.completion_tokens == 3
    mine = msgspec.structs.replace(asked, sampling=Sampling(temperature=0.0, max_tokens=5), rendering=own)
    assert (await whole(chat, mine)).usage.completion_tokens == 5
    bad = Rendering(template=chat.info.template, parameters={"num_predict": "many"})
    with pytest.raises(InvalidRequest, match="parameters"):
        await chat.generate(msgspec.structs.replace(asked, rendering=bad))


async def test_b13_a_template_that_cannot_be_read_is_that_names_fault(chat):
    asked = talk("What is it?", tokens=2)
    for number in range(2 * KEPT):
        text = f"{{% for m in messages %}}{{{{ m.content }}}}{{% endfor %}}{number}"
        assert await chat.tokenize(asked.input, rendering=Rendering(template=text))
    for broken in ("{% for %}", "{{ '", "{% endif %}"):
        with pytest.raises(InvalidRequest, match="template"):
            await chat.generate(msgspec.structs.replace(asked, rendering=Rendering(template=broken)))
    assert (await whole(chat, asked)).usage.completion_tokens
