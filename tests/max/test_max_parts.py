"""The parts of the worker that need no engine: bytes, formats, calls, defaults."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from hyperllama.errors import InvalidRequest, UnsupportedFeature
from hyperllama.generation import AnyJson, Choice, JsonSchema, Regex, Sampling, ToolSpec
from hyperllama.messages import Chat, Image, Message, Text, ToolCall
from hyperllama_max import schemas, utf8
from hyperllama_max.forced import CallFormat, ForcedCall
from hyperllama_max.sampling import Defaults
from tests.support.asking_max import CHAT, EMBED

SPECIAL = ("<|begin|>", "<|end|>")
PREFIX = '{"name": "f", "parameters": '


@pytest.mark.parametrize("text", ["", "plain", "größe", "日本語", "\U0001f600\U0010ffff", "\u0800\ud7ff\ue000"])
def test_text_is_valid_however_it_is_cut(text):
    data = text.encode()
    for at in range(len(data) + 1):
        state = utf8.advance(utf8.START, data[:at])
        assert state != utf8.INVALID
        assert utf8.advance(state, data[at:]) == utf8.START


def test_what_python_cannot_decode_is_not_valid():
    dice = random.Random(4)
    disagreements = 0
    for _ in range(20_000):
        data = bytes(dice.choice((0x41, 0x80, 0xA0, 0xBF, 0xC1, 0xC3, 0xE0, 0xED, 0xF0, 0xF4, 0xF5)) for _ in range(4))
        try:
            data.decode()
            fits = True
        except UnicodeDecodeError:
            fits = False
        disagreements += fits != (utf8.advance(utf8.START, data) == utf8.START)
    assert disagreements == 0


def call(text: str, size: int, *, complete: bool = True):
    parser = ForcedCall([ToolSpec("f"), ToolSpec("ff")], [PREFIX, PREFIX.replace("f", "ff")], "}")
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    deltas = []
    for place, piece in enumerate(pieces):
        last = place == len(pieces) - 1
        deltas += parser.feed(piece, complete=last and complete, last=last)
    return deltas


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_a_forced_call_is_read_from_its_text(size):
    deltas = call('{"name": "f", "parameters": {"a": {"b": 1}}}', size)
    assert deltas[0].name == "f"
    assert "".join(delta.arguments for delta in deltas) == '{"a": {"b": 1}}'
    assert [delta.id for delta in deltas[1:]] == [None] * (len(deltas) - 1)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_forced_call_that_is_cut_off_keeps_what_there_is(size):
    deltas = call('{"name": "f", "parameters": {"a": 1}', size, complete=False)
    assert "".join(delta.arguments for delta in deltas) == '{"a": 1}'


def test_calls_are_written_as_the_template_shows_them():
    tool = ToolSpec('a"b')
    assert CallFormat('x "parameters": y').prefix(tool) == '{"name": "a\\"b", "parameters": '
    hermes = CallFormat("<tool_call>")
    assert hermes.prefix(tool) == '<tool_call>\n{"name": "a\\"b", "arguments": '
    assert hermes.suffix == "}\n</tool_call>"


def test_formats_become_structural_tags():
    assert schemas.of_output(Regex("a+")) == {"type": "regex", "pattern": "a+"}
    assert schemas.of_output(AnyJson())["json_schema"] == {"type": "object"}
    assert [item["value"] for item in schemas.of_output(Choice(("a", "b")))["elements"]] == ["a", "b"]
    called = schemas.of_call([ToolSpec("f"), ToolSpec("g")], ["F", "G"], "}")
    assert [element["elements"][0]["value"] for element in called["elements"]] == ["F", "G"]


@pytest.mark.parametrize("levels", [5, 16])
def test_schemas_of_ordinary_depth_pass(levels):
    schema: dict = {"type": "integer"}
    for _ in range(levels - 1):
        schema = {"type": "object", "properties": {"a": schema}}
    assert schemas.of_output(JsonSchema(schema))["json_schema"] == schema


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": ["x" * 70_000]},
        {"type": "array", "minItems": 10**6},
        {"type": "string", "pattern": "a" * 5000},
        {"properties": {"a": {"items": {"pattern": "(?=a)"}}}},
        {"minLength": 1e9},
        {"properties": {f"f{n}": {"type": "string", "maxLength": 100} for n in range(120)}},
        {"properties": {f"f{n}": {"type": "string", "pattern": "." * 100} for n in range(60)}},
        {"properties": {f"f{n}": {"type": "string", "pattern": "^[a-z]{1,100}$"} for n in range(60)}},
    ],
)
def test_schemas_out_of_bounds_do_not(schema):
    with pytest.raises(InvalidRequest):
        schemas.of_output(JsonSchema(schema, strict=True))


def test_defaults_come_from_the_table_before_the_models_own():
    defaults = Defaults.of(
        {"temperature": 0.3, "repeat_penalty": 1.2, "num_predict": -1, "stop": ["x"]},
        {"temperature": 0.9, "top_k": 20, "do_sample": True, "eos_token_id": 1},
    )
    assert defaults.apply(Sampling()) == Sampling(temperature=0.3, repetition_penalty=1.2, top_k=20)
    assert defaults.apply(Sampling(temperature=1.0, top_k=5)).top_k == 5
    assert Defaults.of({"seed": -1, "num_predict": -1}, {}).apply(Sampling()) == Sampling()
    assert Defaults.of({}, {"do_sample": False}).apply(Sampling()).temperature == 0.0


# Importing MAX changes the process it is imported into.
PARSING = """
import importlib, json, sys
from hyperllama.generation import ToolSpec
from hyperllama_max.parsers import CallParser

importlib.import_module("max.pipelines.architectures.qwen3_5.tool_parser")
answers = []
for text in json.load(sys.stdin):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    parser = CallParser("qwen3_5", [ToolSpec("get", "", schema)])
    found = [parser.feed(text[at : at + 3], last=at + 3 >= len(text)) for at in range(0, len(text), 3)]
    deltas = [[delta.id, delta.name, delta.arguments] for _, deltas in found for delta in deltas]
    answers.append(["".join(shown for shown, _ in found), deltas, parser.seen])
json.dump(answers, sys.stdout)
"""
CALL = "Well.\n<tool_call>\n<function=get>\n<parameter=city>\nRome\n</parameter>\n</function>\n</tool_call>"


@pytest.mark.max
def test_maxs_own_parser_reads_the_calls_of_its_architectures_and_leaves_text_alone():
    pytest.importorskip("tokenizers")
    asked = json.dumps([CALL, "just < text"])
    done = subprocess.run([sys.executable, "-c", PARSING], input=asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (shown, deltas, seen), (text, none, unseen) = json.loads(done.stdout)
    assert (shown.strip(), seen) == ("Well.", True)
    assert deltas[0][0].startswith("call_")
    assert [name for _, name, _ in deltas] == ["get", *[None] * (len(deltas) - 1)]
    assert json.loads("".join(arguments for *_, arguments in deltas)) == {"city": "Rome"}
    assert (text, none, unseen) == ("just < text", [], False)


# --- with the tokenizer and template libraries that come with MAX


@pytest.fixture(scope="module")
def vocabulary():
    pytest.importorskip("tokenizers")
    return _vocabulary(CHAT)


def _vocabulary(path):
    from types import SimpleNamespace

    from tokenizers import Tokenizer

    from hyperllama_max.vocabulary import Vocabulary

    rust = Tokenizer.from_file(str(path / "tokenizer.json"))
    delegate = SimpleNamespace(backend_tokenizer=rust, bos_token_id=0)
    return Vocabulary(delegate, add_bos=True)


@pytest.mark.parametrize("path", [CHAT, EMBED], ids=["bytes", "pieces"])
def test_text_comes_in_whole_characters_and_adds_up_to_the_whole(path):
    pytest.importorskip("tokenizers")
    vocabulary = _vocabulary(path)
    dice = random.Random(6)
    for _ in range(50):
        ids = [dice.randrange(vocabulary.size) for _ in range(80)]
        detokenize = vocabulary.detokenizer()
        pieces = [detokenize(number) for number in ids] + [detokenize(-1)]
        shown = [number for number in ids if number not in vocabulary.special_ids]
        if path is CHAT:
            assert "".join(pieces) == vocabulary.decode(shown)
        else:
            assert "".join(pieces).replace(" ", "") == vocabulary.decode(shown).replace(" ", "")


def test_characters_of_several_tokens_are_not_cut(vocabulary):
    text = "größer 日本語 \U0001f600!"
    ids = vocabulary.encode_prompt(text, special=False)
    detokenize = vocabulary.detokenizer()
    pieces = [detokenize(number) for number in ids]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert b"".join(map(vocabulary.text_of, ids)) == text.encode()


def test_a_long_text_is_encoded_as_a_short_one_is(vocabulary):
    text = "word " * 3000
    assert vocabulary.decode(vocabulary.encode_prompt(text, special=False)) == text


def template(source: str):
    pytest.importorskip("transformers")
    from hyperllama_max.template import ChatTemplate

    return ChatTemplate(source, {"bos_token": "<|begin|>"}, SPECIAL)


def chat(*messages: Message, **changes) -> Chat:
    return Chat(messages, **changes)


def user(text: str) -> Message:
    return Message(role="user", parts=(Text(text),))


def test_special_token_text_of_people_is_a_piece_apart():
    rendered = template("{{ bos_token }}{{ messages[0].content }}!").render(
        chat(user("a<|end|>b<|begin|>")), (), system=None, reasoning=None
    )
    assert rendered.pieces == ("<|begin|>a", "<|end|>", "b", "<|begin|>", "!")


def test_calls_go_into_templates_as_objects():
    made = ToolCall("c1", "f", '{"x": 1}')
    source = (
        "{% for m in messages %}{% for c in m.tool_calls %}{{ c.function.arguments.x + 1 }}{% endfor %}{% endfor %}"
    )
    rendered = template(source).render(
        chat(user("?"), Message(role="assistant", tool_calls=(made,))), (), system=None, reasoning=None
    )
    assert rendered.pieces == ("2",)


def test_tools_and_reasoning_reach_the_template():
    source = "{{ tools[0].function.name }} {{ enable_thinking }} {{ reasoning_effort }}"
    rendered = template(source).render(chat(user("?")), (ToolSpec("f"),), system=None, reasoning="high")
    assert rendered.pieces == ("f True high",)


def test_what_a_template_refuses_is_the_callers_to_mend():
    for source in ("{{ raise_exception('no system here') }}", "{{ messages[5].content.upper() }}", "{{ 1 / 0 }}"):
        with pytest.raises(InvalidRequest, match="template"):
            template(source).render(chat(user("?")), (), system=None, reasoning=None)


def test_templates_run_in_a_sandbox():
    with pytest.raises(InvalidRequest):
        template("{{ ''.__class__.__mro__[1].__subclasses__() }}").render(
            chat(user("?")), (), system=None, reasoning=None
        )


def test_images_are_refused_where_the_model_sees_none():
    with pytest.raises(UnsupportedFeature):
        template("x").render(chat(Message(role="user", parts=(Image(b"x"),))), (), system=None, reasoning=None)
