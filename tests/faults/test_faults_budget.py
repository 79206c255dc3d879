"""Work of a body: every place that ``[body]`` bounds is refused in the dialect's words, and no shape costs more than
its size."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperllama.config import BodyLimits
from hyperllama.errors import InvalidRequest
from hyperllama.web import BodyReader
from hyperllama_anthropic.errors import BodyRefusals as AnthropicRefusals
from hyperllama_anthropic.wire import CountRequest, MessagesRequest
from hyperllama_openai.errors import BodyRefusals as OpenAIRefusals
from hyperllama_openai.wire.chat import ChatRequest
from hyperllama_openai.wire.completions import CompletionRequest
from hyperllama_openai.wire.embeddings import EmbeddingRequest
from hyperllama_openai.wire.models import TokenizeRequest
from hyperllama_openai.wire.rerank import RerankRequest, ScoreRequest
from hyperllama_openai.wire.responses import ResponsesRequest
from tests.faults import budget, pattern_growth

TYPES = {
    OpenAIRefusals: (
        ChatRequest,
        CompletionRequest,
        EmbeddingRequest,
        TokenizeRequest,
        RerankRequest,
        ScoreRequest,
        ResponsesRequest,
    ),
    AnthropicRefusals: (MessagesRequest, CountRequest),
}


def places() -> Iterator[tuple[Callable[[], Any], type, str, str]]:
    for refusals, types in TYPES.items():
        for type_ in types:
            for path, bounds in type_.countable.items():
                for bound in (bounds,) if isinstance(bounds, str) else bounds:
                    yield refusals, type_, path, bound


@pytest.mark.parametrize(("refusals", "type_", "path", "bound"), list(places()))
def test_every_bounded_place_is_counted_over_the_whole_request(
    refusals: Callable[[], Any], type_: type, path: str, bound: str
) -> None:
    reader = BodyReader(refusals(), BodyLimits(**{bound: 5}))
    names = path.split(".")
    outer = sum(type_.countable.get(".".join(names[:depth])) == bound for depth in range(1, len(names)))  # type: ignore[attr-defined]
    allowed, refused = (_at(names, bound, n) for n in (5 - outer, 6))
    reader.parse(json.dumps(allowed).encode(), type_)
    with pytest.raises(InvalidRequest, match=r"at most 5 ") as caught:
        reader.parse(json.dumps(refused).encode(), type_)
    assert caught.value.param == path
    if "." in path and bound == "parts":  # many places with one thing each count together
        spread = {path.split(".", maxsplit=1)[0]: [_at(path.split(".")[1:], bound, 1) for _ in range(6)]}
        with pytest.raises(InvalidRequest, match=r"at most 5 "):
            reader.parse(json.dumps(spread).encode(), type_)


@pytest.mark.parametrize(
    ("text", "noun"),
    [
        ("[" + ",".join(["1.5"] * 101) + "]", "values"),
        ("{" + ",".join(f'"k{n}":""' for n in range(101)) + "}", "members"),
        ("[" + ",".join(["[]"] * 101) + "]", "arrays and objects"),
        ('{"a":"' + '\\"' * 1000 + '","b":[' + ",".join(['{"c":"[[{,:"}'] * 101) + "]}", "members"),
    ],
)
def test_small_things_are_counted_before_anything_is_built(text: str, noun: str) -> None:
    limits = BodyLimits(values=100 if noun == "values" else 1000, members=100, containers=100)
    reader = BodyReader(OpenAIRefusals(), limits)
    with pytest.raises(InvalidRequest, match=noun):
        reader.parse(text.encode(), ChatRequest)


@pytest.mark.parametrize("quote", ['\\"', "\\\\", "\\\\\\\\", "x", "\\u0041"])
@pytest.mark.parametrize("pad", range(5))
def test_marks_inside_strings_count_as_nothing(quote: str, pad: int) -> None:
    """At every offset of a piece's end within an escape."""
    text = "a" * (128 * 1024 - 12 + pad) + quote * 20 + "[{,:" * 200
    reader = BodyReader(OpenAIRefusals(), BodyLimits(values=100, members=100, containers=100))
    body = '{"a":"' + text + '","b":' + "[" * 40 + "]" * 40 + "}"
    found = reader.parse(body.encode(), ChatRequest)
    assert found == json.loads(body)


def test_no_pattern_of_ours_grows_faster_than_its_input() -> None:
    assert len(set(pattern_growth.patterns())) > 50
    assert list(pattern_growth.findings()) == []


@pytest.mark.nightly
def test_no_pattern_of_ours_grows_faster_than_its_input_however_long() -> None:
    assert list(pattern_growth.findings(sizes=pattern_growth.LARGE)) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (r'COMMENT = re.compile(r"\{\{((?:-\s+)?/\*.*?\*/)\}\}", re.DOTALL)' + "\nCOMMENT.match(text, at)", True),
        (r'COMMENT = re.compile(r"\{\{((?:-\s+)?/\*.*?\*/)\}\}", re.DOTALL)' + "\nCOMMENT.fullmatch(text)", False),
        (r're.findall(r"\.[\w-]+|\[[^\]]*\]", text)', True),
        (r're.findall(r"\.[\w-]+|\[[^][]*\]", text)', False),
        (r're.compile(rb"([0-9a-f]+)[^\r\n]*\r\n").match(body, at)', True),
        (r'SPACE = r"\s+"' + "\n" + r're.sub(rf"{SPACE}$", "", text)', True),
        (r're.fullmatch("(a|a)*" + "b", text)', True),
    ],
)
def test_the_search_finds_patterns_that_grow(tmp_path: Path, code: str, found: bool) -> None:
    """The first three were ours."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "module.py").write_text(f"import re\n{code}\n")
    assert bool(list(pattern_growth.findings(tmp_path))) is found


SHAPES = ("/v1/responses input many assistant function_call", "/v1/messages messages many assistant")


@pytest.mark.parametrize("shape", [*SHAPES, pytest.param("", marks=pytest.mark.nightly)])
async def test_no_shape_of_body_costs_more_than_its_size(tmp_path: Path, shape: str) -> None:
    rows = await budget.run(tmp_path, base=200, only=shape)
    assert rows
    bad = [row for row in rows if row.growth > 1.9]
    if bad:  # once more: another process may have taken the caches
        again = await budget.run(tmp_path, base=200, only=re.sub(r"\n.*", "", f"{bad[0].path} {bad[0].shape}"))
        bad = [row for row in again if row.growth > 1.9]
    assert not bad, "\n".join(map(budget.line, bad))


def _at(path: list[str], bound: str, n: int) -> Any:
    """Return a body with ``n`` of ``bound`` at ``path``."""
    name, *rest = path
    if rest:
        inner = _at(rest, bound, n)
        return {name: inner if name in ("structured_outputs", "tool_choice", "allowed_tools", "function") else [inner]}
    if bound.endswith("_bytes"):
        return {name: ["x" * n] if name.startswith("stop") else "x" * n}
    if bound == "biases":
        return {name: {str(i): 1 for i in range(n)}}
    return {name: ["x"] * n}
