"""Go prompt templates as Jinja, rendered as engines render them."""

from __future__ import annotations

import pytest

from hyperllama_ollama import gotemplate
from hyperllama_ollama.errors import Failure

jinja2 = pytest.importorskip("jinja2")

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi {{ x }}"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "Go on"},
]


def _render(template: str, messages: list[dict[str, object]] | None = None, **variables: object) -> str:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    found = environment.from_string(gotemplate.jinja(template))
    rendered: str = found.render(messages=MESSAGES if messages is None else messages, **variables)
    return rendered


def test_a_turn_is_filled_in_up_to_the_answer() -> None:
    template = (
        "{{ if .System }}<|system|>\n{{ .System }}</s>\n{{ end }}"
        "<|user|>\n{{ .Prompt }}</s>\n<|assistant|>\n{{ .Response }}</s>\n"
    )
    assert _render(template) == "<|system|>\nBe brief.</s>\n<|user|>\nGo on</s>\n<|assistant|>\n"
    assert _render(template, [{"role": "user", "content": "x"}]) == "<|user|>\nx</s>\n<|assistant|>\n"


def test_a_bare_prompt() -> None:
    assert _render("{{ .Prompt }}") == "Go on"
    assert _render("[INST] {{ .System }} {{ .Prompt }} [/INST]") == "[INST] Be brief. Go on [/INST]"


def test_messages_are_ranged_over() -> None:
    template = (
        "{{- range $i, $_ := .Messages }}\n{{- $last := eq (len (slice $.Messages $i)) 1 }}\n"
        '{{- if or (eq .Role "user") (eq .Role "system") }}<|{{ .Role }}|>{{ .Content }}\n'
        '{{ else if eq .Role "assistant" }}<|a|>{{ .Content }}{{ if not $last }}<|end|>{{ end }}\n'
        '{{ end }}{{- if and (ne .Role "assistant") $last }}<|a|>{{ end }}\n{{- end }}'
    )
    # .Role is the turn's when a loop names its value, and here it does: the dot still is the message.
    assert _render(template) == "<|system|>Be brief.\n<|user|>Hi {{ x }}\n<|a|>Yes?<|end|>\n<|user|>Go on\n<|a|>"


def test_trim_markers_and_comments_and_whitespace() -> None:
    assert _render("a  {{- /* note */ -}}  b\n {{ .Prompt }} \n c") == "ab\n Go on \n c"


def test_tools_are_written_as_json() -> None:
    template = "{{ if .Tools }}{{ range .Tools }}{{ . | json }};{{ end }}{{ end }}"
    assert _render(template, tools=[{"b": 1}, {"a": 2}]) == '{"b": 1};{"a": 2};'
    assert _render("{{ json .Tools }}", tools=[]) == "[]"


def test_text_that_looks_like_jinja_stays_text() -> None:
    assert _render("{# not a comment #}{{ .Prompt }}") == "{# not a comment #}Go on"


@pytest.mark.parametrize(
    "template",
    ["{% for m in messages %}{{ m.content }}{% endfor %}", "{{ messages[0]['content'] }}", "{{ bos_token }}x"],
)
def test_jinja_is_left_as_it_is(template: str) -> None:
    assert gotemplate.jinja(template) == template


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ if .System }}x", "template: :1: unexpected EOF"),
        ("{{ end }}", "template: :1: unexpected {{end}}"),
        ("{{ .Prompt", "template: :1: unclosed action"),
        ("{{ if }}x{{ end }}", "template: :1: missing value for command"),
        ("{{ eq .Role }}", "template: :1: wrong number of args for eq"),
        ("{{ (.Prompt }}", "template: :1: unclosed left paren"),
        ('{{ if eq .Role (nofunc "x") }}{{ end }}', 'template: :1: function "nofunc" not defined'),
    ],
)
def test_a_bad_template_is_a_failure_of_the_server(template: str, message: str) -> None:
    with pytest.raises(Failure) as error:
        gotemplate.jinja(template)
    assert (error.value.message, error.value.status) == (message, 500)
