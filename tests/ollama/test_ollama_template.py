"""Go prompt templates, rendered."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from hyperllama.messages import Chat, Prompt
from hyperllama_ollama import template
from hyperllama_ollama.decode import prompting
from hyperllama_ollama.decode.prompting import Turn
from hyperllama_ollama.errors import Failure
from hyperllama_ollama.template import TooMuchWork

MESSAGES = [
    {"Role": "system", "Content": "Be brief."},
    {"Role": "user", "Content": "Hi {{ x }}"},
    {"Role": "assistant", "Content": "Yes?"},
    {"Role": "user", "Content": "Go on"},
]


def _render(text: str, **data: Any) -> str:
    known = {"System": "Be brief.", "Prompt": "Go on", "Response": "", "Messages": MESSAGES, "Tools": [], **data}
    return template.render(template.parse(text), known)


def test_a_turn_is_filled_in_up_to_the_answer() -> None:
    text = (
        "{{ if .System }}<|system|>\n{{ .System }}</s>\n{{ end }}"
        "<|user|>\n{{ .Prompt }}</s>\n<|assistant|>\n{{ .Response }}</s>\n"
    )
    assert _render(text) == "<|system|>\nBe brief.</s>\n<|user|>\nGo on</s>\n<|assistant|>\n"
    assert _render(text, System="") == "<|user|>\nGo on</s>\n<|assistant|>\n"


def test_messages_are_ranged_over() -> None:
    text = (
        "{{- range $i, $_ := .Messages }}\n{{- $last := eq (len (slice $.Messages $i)) 1 }}\n"
        '{{- if or (eq .Role "user") (eq .Role "system") }}<|{{ .Role }}|>{{ .Content }}\n'
        '{{ else if eq .Role "assistant" }}<|a|>{{ .Content }}{{ if not $last }}<|end|>{{ end }}\n'
        '{{ end }}{{- if and (ne .Role "assistant") $last }}<|a|>{{ end }}\n{{- end }}'
    )
    assert _render(text) == "<|system|>Be brief.\n<|user|>Hi {{ x }}\n<|a|>Yes?<|end|>\n<|user|>Go on\n<|a|>"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{{ .Prompt }}", "Go on"),
        ("a  {{- /* it's a \"note */ -}}  b\n {{ .Prompt }} \n c", "ab\n Go on \n c"),
        ("{{ .Prompt -}}   \n x", "Go onx"),
        ("{{ range .Tools }}x{{ else }}none{{ end }}", "none"),
        ("{{ with .System }}[{{ . }}]{{ end }}{{ with .Tools }}x{{ else }}-{{ end }}", "[Be brief.]-"),
        ("{{ range .Messages }}{{ if eq .Role `system` }}{{ continue }}{{ end }}{{ .Role }}{{ break }}{{ end }}",
         "user"),
        ('{{ $x := "a" }}{{ range .Messages }}{{ $x = print $x "b" }}{{ end }}{{ $x }}', "abbbb"),
        ('{{ $x := "a" }}{{ if true }}{{ $x := "b" }}{{ $x }}{{ end }}{{ $x }}', "ba"),
        ("{{ (index .Messages 1).Role }}{{ len .Messages }}{{ len .Prompt }}", "user45"),
        ('{{ eq .Prompt "x" "Go on" }} {{ lt 1 2 }} {{ ge "a" "b" }} {{ not 0 }} {{ nil }} {{ -1.5 }}',
         "true true false true <no value> -1.5"),
        ('{{ or .Tools "none" }} {{ and .System .Prompt }} {{ "a}}b" }}', "none Go on a}}b"),
        ("{{ .System | json }} {{ json .Tools }}", '"Be brief." []'),
        ("{# not a comment #} { { }} {", "{# not a comment #} { { }} {"),
        ('{{ "tab\\t\\u00e9" }}', "tab\té"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_language(text: str, written: str) -> None:
    assert _render(text) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ if .System }}x", "unexpected EOF"),
        ("{{ end }}", "unexpected {{end}}"),
        ("x{{ else }}y", "unexpected {{else}}"),
        ("{{ .Prompt", "unclosed action"),
        ('{{ "x }}', "unclosed action"),
        ("{{ if }}x{{ end }}", "missing value for command"),
        ("{{ }}", "missing value for command"),
        ("{{ eq .Role }}", "wrong number of args for eq: got 1"),
        ("{{ (.Prompt }}", "unclosed left paren"),
        ('{{ nofunc "x" }}', 'function "nofunc" not defined'),
        ("{{ .Prompt .System }}", 'unexpected ".System" in operand'),
        ("{{ .Nope }}", "can't evaluate field Nope"),
        ("{{ $x }}", "undefined variable: $x"),
        ("{{ index .Messages 9 }}", "index out of range"),
        ("{{ slice .Messages 9 }}", "slice index out of range"),
        ("{{ range .Prompt }}{{ end }}", "range can't iterate over a value that is no list"),
        ("{{ lt 1 .Prompt }}", "incompatible types for comparison"),
        ("{{ break }}", "{{break}} or {{continue}} outside {{range}}"),
        ("{{ 9223372036854775808 }}", 'integer overflow: "9223372036854775808"'),
        ("{{ " + "1" * 5000 + " }}", f'integer overflow: "{"1" * 80}..."'),
        ("{{ " + "x" * 5000 + " }}", f'function "{"x" * 80}..." not defined'),
    ],
)
def test_a_bad_template_is_a_failure_of_the_server(text: str, message: str) -> None:
    with pytest.raises(Failure) as error:
        _render(text)
    assert (error.value.message, error.value.status) == (f"template: :1: {message}", 500)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ if 1 }}" * 60 + "{{ end }}" * 60, "exceeded maximum template depth"),
        ("{{ if 1 }}" + "{{ else if 1 }}" * 60 + "{{ end }}", "exceeded maximum template depth"),
        ("{{ " + "(" * 60 + "1" + ")" * 60 + " }}", "exceeded maximum expression depth"),
        ("{{ 1" + " | not" * 3000 + " }}", "exceeded maximum expression depth"),
        ("{{ " + "(" * 40 + "1" + " | not | not)" * 40 + " }}", "exceeded maximum expression depth"),
        ("x" * 300_000, "too long for a template"),
    ],
)
def test_bounds_that_are_not_ollamas_blame_the_request(text: str, message: str) -> None:
    with pytest.raises(TooMuchWork) as error:
        _render(text)
    assert (error.value.message, error.value.status) == (f"template: :1: {message}", 400)


def test_a_template_cannot_take_the_server_with_it() -> None:
    loops = "{{ range $.Messages }}" * 40 + "x" + "{{ end }}" * 40
    with pytest.raises(TooMuchWork, match="too much work"):
        _render(loops)
    doubling = '{{ $x := "aaaaaaaa" }}' + "{{ $x = print $x $x }}" * 60
    with pytest.raises(TooMuchWork, match="too much text"):
        _render(doubling)
    for text in ("{{" * 50_000, "{{ " + '"' * 50_001, "{{ " + "`}" * 50_000, "{{-" * 40_000):
        with pytest.raises(Failure):
            _render(text)


def test_a_template_for_one_request_reaches_the_model_rendered(http: httpx.Client, gateway: Any) -> None:
    body = {
        "model": "llama3.2",
        "prompt": "x",
        "system": "s",
        "template": "{{ .System }}: {{ .Prompt }}\nA: {{ .Response }}",
    }
    assert http.post("/api/generate", json=body).status_code == 200
    assert gateway.asked[-1].input == Prompt("s: x\nA: ")
    assert gateway.asked[-1].template is None
    assert http.post("/api/generate", json={**body, "context": [1, 7]}).status_code == 200
    assert gateway.asked[-1].input.ids == (1, 7, 102, 101, 102)
    jinja = {**body, "template": "{% for m in messages %}{{ m.content }}{% endfor %}"}
    assert http.post("/api/generate", json=jinja).status_code == 200
    assert gateway.asked[-1].template == jinja["template"]
    bad = http.post("/api/generate", json={**body, "template": "{{ .Nope }}"})
    assert (bad.status_code, bad.json()) == (500, {"error": "template: :1: can't evaluate field Nope"})


TURNS = (
    Turn("system", "S"),
    Turn("user", "one"),
    Turn("assistant", "1"),
    Turn("user", "two"),
    Turn("assistant", "2"),
    Turn("user", "three"),
)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("{{ if .System }}<s>{{ .System }} {{ end }}<u>{{ .Prompt }} <a>{{ .Response }}.\n",
         "<s>S <u>one <a>1.\n<u>two <a>2.\n<u>three <a>"),
        ("{{ .System }}[{{ .Prompt }}]", "S[one]1[two]2[three]"),
        ("{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}<assistant>",
         "<system>S<user>one<assistant>1<user>two<assistant>2<user>three<assistant>"),
    ],
)  # fmt: skip
def test_a_conversation_is_one_text_whatever_the_template_knows_of_it(written: str, text: str) -> None:
    assert prompting.prompt(written, TURNS, think=None) == text


def test_who_speaks_twice_in_a_row_has_spoken_once() -> None:
    turns = (Turn("user", "a"), Turn("user", "b"))
    for written in ("<{{ .Prompt }}>", "{{ range .Messages }}<{{ .Content }}>{{ end }}"):
        assert prompting.prompt(written, turns, think=None) == "<a\n\nb>"


def test_what_the_model_has_begun_to_say_is_its_beginning() -> None:
    turns = (Turn("user", "q"), Turn("assistant", "Once"))
    assert prompting.prompt("<{{ .Prompt }}>{{ .Response }}</a>", turns, think=None) == "<q>Once"


def test_a_model_made_with_a_go_template_is_prompted_by_it(http: httpx.Client, gateway: Any) -> None:
    written = "{{ if .System }}{{ .System }}: {{ end }}{{ .Prompt }} => {{ .Response }}"
    gateway.infos = [msgspec.structs.replace(gateway.infos[0], system="be kind", extra={"template": written})]
    said = [{"role": "user", "content": "hi"}]
    assert http.post("/api/chat", json={"model": "llama3.2", "messages": said}).status_code == 200
    assert gateway.asked[-1].input == Prompt("be kind: hi => ")
    assert http.post("/api/generate", json={"model": "llama3.2", "prompt": "x", "system": "s"}).status_code == 200
    assert gateway.asked[-1].input == Prompt("s: x => ")
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert http.post("/api/chat", json={"model": "llama3.2", "messages": said, "tools": tools}).status_code == 200
    assert isinstance(gateway.asked[-1].input, Chat)
    raw = http.post("/api/generate", json={"model": "llama3.2", "prompt": "x", "raw": True})
    assert raw.status_code == 200 and gateway.asked[-1].input == Prompt("x")
    assert http.post("/api/show", json={"model": "llama3.2"}).json()["template"] == written
