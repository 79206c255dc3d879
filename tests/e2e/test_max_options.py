"""Every sampling and format option, as clients spell it, against MAX's worker: it does what it says, or is refused.

The list, by where each is tested. Here, over HTTP in the dialects that have it: temperature, top_k, top_p, min_p, seed,
repetition, presence and frequency penalty, logit_bias, max and min tokens, stop strings, stop token ids, ignore_eos,
logprobs, top_logprobs, n, prompt token ids, echo, suffix, raw, template, system, context, context length, a turn to
be continued, reasoning and effort, tools offered, required, named and forbidden, JSON mode, JSON Schema, regex, choice,
grammar, images. Below HTTP and in more depth: tests/max (suffix and reasoning on a model that has them, too).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

MODEL = "hyperllama-tiny"
QUESTION = "Which port does the gateway listen on?"
END = 1  # <|end|>
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
#: Long however the model is trained, and with much to choose at every token.
LIST = {"type": "array", "minItems": 200, "items": {"type": "string", "pattern": "^[a-z ]{3,9}$"}}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

pytestmark = [pytest.mark.max, pytest.mark.timeout(900)]


class Asking:
    """A client of both dialects. ``completion`` and ``native`` give text, finish reason and token ids of one answer."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self._client.post(path, json={"model": MODEL, "stream": False, **body})

    def right(self, path: str, **body: Any) -> Any:
        found = self.post(path, **body)
        assert found.status_code == 200, found.text
        return found.json()

    def refused(self, path: str, **body: Any) -> str:
        """The sentence of a 400."""
        found = self.post(path, **body)
        assert found.status_code == 400, found.text
        error = found.json()["error"]
        return str(error if isinstance(error, str) else error["message"])

    def completion(self, tokens: int = 12, **options: Any) -> tuple[str, str, tuple[int, ...]]:
        """OpenAI's, of the list."""
        body = {"prompt": QUESTION, "max_tokens": tokens, "return_token_ids": True, "guided_json": LIST, **options}
        (choice,) = self.right("/v1/completions", **body)["choices"]
        return choice["text"], choice["finish_reason"], tuple(choice["token_ids"])

    def chat(self, tokens: int = 60, text: str = QUESTION, **options: Any) -> Any:
        """OpenAI's first choice of an answer to ``text``."""
        messages = [{"role": "user", "content": text}]
        return self.right("/v1/chat/completions", messages=messages, max_tokens=tokens, **options)["choices"][0]

    def native(self, tokens: int = 12, **options: Any) -> tuple[str, str, tuple[int, ...]]:
        """Ollama's, of the list. It tells no token ids of a raw prompt: its text stands for them."""
        body = {"prompt": QUESTION, "raw": True, "format": LIST, "options": {"num_predict": tokens, **options}}
        found = self.right("/api/generate", **body)
        return found["response"], found["done_reason"], tuple(found["response"].encode())

    def generate(self, **body: Any) -> Any:
        options = {"num_predict": 8, "temperature": 0, **body.pop("options", {})}
        return self.right("/api/generate", prompt=QUESTION, options=options, **body)


@pytest.fixture(scope="module")
def ask(max_gateway: Any) -> Iterator[Asking]:
    with httpx.Client(base_url=max_gateway.url, timeout=300) as client:
        yield Asking(client)


BOTH = pytest.mark.parametrize("dialect", ["completion", "native"])


@BOTH
def test_the_same_seed_gives_the_same_text_and_another_another(ask: Asking, dialect: str) -> None:
    say = getattr(ask, dialect)
    hot = {"temperature": 1.8, "top_k": 0, "top_p": 1.0}
    assert say(seed=7, **hot) == say(seed=7, **hot)
    assert len({say(seed=seed, **hot) for seed in range(4)}) > 1


@BOTH
@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}], ids=["top_k", "top_p", "min_p"])
def test_what_leaves_one_token_to_choose_is_greedy_at_any_temperature(
    ask: Asking, dialect: str, narrow: dict[str, Any]
) -> None:
    say = getattr(ask, dialect)
    assert say(temperature=1.5, seed=3, **narrow) == say(temperature=0)


@BOTH
def test_a_high_temperature_leaves_the_greedy_path(ask: Asking, dialect: str) -> None:
    say = getattr(ask, dialect)
    assert any(say(temperature=2.0, top_k=0, top_p=1.0, seed=seed) != say(temperature=0) for seed in range(3))


@pytest.mark.parametrize(
    ("dialect", "penalty"),
    [
        ("completion", {"repetition_penalty": 5.0}),
        ("completion", {"presence_penalty": 2.0}),
        ("completion", {"frequency_penalty": 2.0}),
        ("native", {"repeat_penalty": 5.0}),
        ("native", {"presence_penalty": 2.0}),
        ("native", {"frequency_penalty": 2.0}),
    ],
)
def test_a_penalty_changes_what_repeats(ask: Asking, dialect: str, penalty: dict[str, float]) -> None:
    say = getattr(ask, dialect)
    hot = {"temperature": 1.5, "top_k": 0, "top_p": 1.0}  # a seed says the same again, unless the odds are others
    assert any(say(80, seed=seed, **hot) != say(80, seed=seed, **hot, **penalty) for seed in range(3))


def test_logit_bias_forces_a_token_and_forbids_one(ask: Asking) -> None:
    free: dict[str, Any] = {"guided_json": None, "temperature": 0}
    assert ask.completion(3, logit_bias={"777": 100}, **free)[2] == (777, 777, 777)
    (greedy,) = ask.completion(1, ignore_eos=True, **free)[2]
    assert ask.completion(1, ignore_eos=True, logit_bias={str(greedy): -100}, **free)[2] != (greedy,)


@BOTH
def test_an_answer_has_no_more_tokens_than_were_asked_for(ask: Asking, dialect: str) -> None:
    text, reason, ids = getattr(ask, dialect)(5, temperature=0)
    longer, _, more = getattr(ask, dialect)(9, temperature=0)
    assert reason == "length"
    assert longer.startswith(text)
    assert len(more) > len(ids)


def test_min_tokens_and_ignore_eos_keep_an_answer_going(ask: Asking) -> None:
    ending: dict[str, Any] = {"logit_bias": {str(END): 60}, "guided_json": None}
    assert ask.completion(9, **ending) == ("", "stop", ())
    assert len(ask.completion(9, **ending, min_tokens=4)[2]) >= 4
    assert len(ask.completion(9, **ending, ignore_eos=True)[2]) == 9


@BOTH
def test_a_stop_string_ends_the_answer_and_is_not_in_it(ask: Asking, dialect: str) -> None:
    say = getattr(ask, dialect)
    whole = say(40, temperature=0)[0]
    stop = whole[len(whole) // 2 :][:3]
    text, reason, _ = say(40, temperature=0, stop=[stop])
    assert text == whole[: whole.index(stop)]
    assert reason == "stop"


def test_a_stop_token_ends_the_answer_and_is_not_in_it(ask: Asking) -> None:
    ids = ask.completion(8, temperature=0)[2]
    stop = ids[4]
    _, reason, stopped = ask.completion(8, temperature=0, stop_token_ids=[stop])
    assert (reason, stopped) == ("stop", ids[: ids.index(stop)])


def test_logprobs_come_with_as_many_alternatives_as_asked_for(ask: Asking) -> None:
    body = {"prompt": QUESTION, "max_tokens": 4, "temperature": 0, "ignore_eos": True}
    (choice,) = ask.right("/v1/completions", **body, logprobs=3)["choices"]
    assert [len(top) for top in choice["logprobs"]["top_logprobs"]] == [3, 3, 3, 3]
    content = ask.chat(4, logprobs=True, top_logprobs=2, temperature=0)["logprobs"]["content"]
    assert [len(entry["top_logprobs"]) for entry in content] == [2] * len(content)
    assert all(entry["logprob"] == entry["top_logprobs"][0]["logprob"] for entry in content)
    found = ask.generate(format=LIST, logprobs=True, top_logprobs=2, options={"num_predict": 4})
    assert [len(entry["top_logprobs"]) for entry in found["logprobs"]] == [2, 2, 2, 2]
    assert "7 logprobs" in ask.refused(
        "/v1/chat/completions", messages=[{"role": "user", "content": "?"}], logprobs=True, top_logprobs=20
    )


def test_several_choices_are_each_their_own(ask: Asking) -> None:
    body = {"prompt": QUESTION, "max_tokens": 12, "temperature": 1.8, "seed": 5, "n": 3, "guided_json": LIST}
    found = ask.right("/v1/completions", **body)
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2]
    assert len({choice["text"] for choice in found["choices"]}) > 1
    assert found["usage"]["completion_tokens"] > 12
    assert found["choices"] == ask.right("/v1/completions", **body)["choices"]


def test_token_ids_are_a_prompt_like_its_text(ask: Asking) -> None:
    body: dict[str, Any] = {"max_tokens": 12, "temperature": 0, "ignore_eos": True}
    found = ask.right("/v1/completions", prompt=QUESTION, return_token_ids=True, **body)
    prompt = found["choices"][0].get("prompt_token_ids") or found["prompt_token_ids"]
    of_ids = ask.right("/v1/completions", prompt=prompt, **body)
    assert of_ids["choices"][0]["text"] == found["choices"][0]["text"]
    assert of_ids["usage"]["prompt_tokens"] == found["usage"]["prompt_tokens"] == len(prompt)


def test_an_echo_is_the_prompt_before_the_answer(ask: Asking) -> None:
    plain = ask.completion(6, temperature=0)[0]
    assert ask.completion(6, temperature=0, echo=True)[0] == QUESTION + plain


@pytest.mark.parametrize("path", ["/v1/completions", "/api/generate"])
def test_a_suffix_is_refused_by_a_model_that_cannot_fill_in(ask: Asking, path: str) -> None:
    assert re.search("suffix|insert", ask.refused(path, prompt="a", suffix="b"))


def test_a_raw_prompt_is_taken_as_it_is_and_a_template_wraps_it(ask: Asking) -> None:
    raw, chat = ask.generate(raw=True), ask.generate()
    assert raw["prompt_eval_count"] < chat["prompt_eval_count"]
    assert raw["response"] == ask.completion(8, temperature=0, guided_json=None)[0]
    same = ask.generate(template="{{ .Prompt }}")
    assert (same["response"], same["prompt_eval_count"]) == (raw["response"], raw["prompt_eval_count"])
    wrapped = ask.generate(template="<|user|>{{ .Prompt }}<|end|><|assistant|>")
    assert (wrapped["response"], wrapped["context"]) == (chat["response"], chat["context"])


def test_code_for_a_template_is_refused(ask: Asking) -> None:
    jinja = "{% for m in messages %}{{ m.content }}{% endfor %}"
    assert "template" in ask.refused("/api/generate", prompt="x", template=jinja)
    messages = [{"role": "user", "content": "x"}]
    assert "chat_template" in ask.refused("/v1/chat/completions", messages=messages, chat_template=jinja)


def test_a_system_prompt_is_seen_and_replaces_the_models_own(ask: Asking) -> None:
    plain, told = ask.generate(), ask.generate(system="You are a parrot.")
    assert told["prompt_eval_count"] > plain["prompt_eval_count"]
    messages = [{"role": "system", "content": "You are a parrot."}, {"role": "user", "content": QUESTION}]
    chat = ask.right("/api/chat", messages=messages, options={"num_predict": 8, "temperature": 0})
    assert chat["prompt_eval_count"] == told["prompt_eval_count"]
    assert chat["message"]["content"] == told["response"]


def test_a_context_carries_the_turns_before(ask: Asking) -> None:
    first = ask.generate()
    second = ask.generate(context=first["context"])
    assert second["prompt_eval_count"] > len(first["context"])
    assert second["context"][: len(first["context"])] == first["context"]


def test_a_callers_context_length_bounds_prompt_and_answer(ask: Asking) -> None:
    long = ask.generate(raw=True, options={"num_predict": 200, "num_ctx": 32})
    assert long["prompt_eval_count"] + long["eval_count"] <= 32
    messages = [{"role": "user", "content": "word " * 3000}]
    sentence = ask.refused("/v1/chat/completions", messages=messages)
    assert "maximum context length is 1024 tokens" in sentence
    assert len(re.findall(r"\d+", sentence)) >= 2


def test_a_turn_is_continued(ask: Asking) -> None:
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "It listens on"}]
    answered = ask.right("/v1/chat/completions", messages=messages, max_tokens=4, temperature=0)
    more = {"continue_final_message": True, "add_generation_prompt": False}
    going_on = ask.right("/v1/chat/completions", messages=messages, max_tokens=4, temperature=0, **more)
    assert going_on["usage"]["prompt_tokens"] < answered["usage"]["prompt_tokens"]


def test_b02_a_beginning_is_continued_in_every_dialect(ask: Asking) -> None:
    begun = {"role": "assistant", "content": "The gateway listens on"}
    messages = [{"role": "user", "content": "What port does the gateway listen on?"}, begun]
    more = {"continue_final_message": True, "add_generation_prompt": False}
    answers = [
        ask.right("/api/chat", messages=messages, options={"temperature": 0, "num_predict": 12})["message"]["content"],
        ask.right("/v1/chat/completions", messages=messages, temperature=0, max_tokens=12, **more)["choices"][0][
            "message"
        ]["content"],
        ask.right("/v1/messages", messages=messages, temperature=0, max_tokens=12)["content"][0]["text"],
    ]
    assert answers[0].startswith(" port 11434")
    assert answers[1].strip() == answers[2].strip() == answers[0].strip()
    for others in ({}, {"tools": [WEATHER]}):
        shown = ask.right("/api/chat", messages=messages, _debug_render_only=True, **others)
        assert shown["_debug_info"]["rendered_template"].endswith("<|assistant|>The gateway listens on")


def test_thinking_is_refused_where_it_is_demanded_and_moot_where_it_is_a_wish(ask: Asking) -> None:
    messages = [{"role": "user", "content": "hi"}]
    assert "does not support thinking" in ask.refused("/api/chat", messages=messages, think=True)
    wished = ask.chat(8, reasoning_effort="high", temperature=0)
    assert wished["message"]["content"] == ask.chat(8, temperature=0)["message"]["content"]


def test_tools_are_called_when_they_must_be_and_not_when_they_may_not(ask: Asking) -> None:
    for choice, names in (("required", {"clock", "get_weather"}), ({"get_weather"}, {"get_weather"})):
        named = choice if isinstance(choice, str) else {"type": "function", "function": {"name": "get_weather"}}
        found = ask.chat(tools=[CLOCK, WEATHER], tool_choice=named, temperature=1.5, seed=1)
        (call,) = found["message"]["tool_calls"]
        assert found["finish_reason"] in ("tool_calls", "stop")
        assert call["function"]["name"] in names
        arguments = json.loads(call["function"]["arguments"])
        if call["function"]["name"] == "get_weather":
            jsonschema.validate(arguments, WEATHER["function"]["parameters"])
    assert not ask.chat(tools=[WEATHER], tool_choice="none")["message"].get("tool_calls")
    without, offered = (
        ask.right("/api/chat", messages=[{"role": "user", "content": "?"}], options={"num_predict": 2}, **more)
        for more in ({}, {"tools": [WEATHER]})
    )
    assert offered["prompt_eval_count"] > without["prompt_eval_count"]


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_an_answer_has_the_format_that_was_asked_for(ask: Asking, temperature: float) -> None:
    def chat(**format: Any) -> str:
        choice = ask.chat(150, temperature=temperature, seed=4, **format)
        assert choice["finish_reason"] == "stop"
        return str(choice["message"]["content"])

    schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    jsonschema.validate(json.loads(chat(response_format=schema)), PERSON)
    assert re.fullmatch("[0-9]{3}-[a-f]{2}", chat(guided_regex="[0-9]{3}-[a-f]{2}"))
    assert chat(guided_choice=["alpha", "beta"]) in ("alpha", "beta")
    assert chat(guided_grammar='root ::= "yes" | "no"') in ("yes", "no")
    native = ask.right(
        "/api/chat",
        messages=[{"role": "user", "content": "who?"}],
        format=PERSON,
        options={"temperature": temperature, "seed": 4, "num_predict": 150},
    )
    jsonschema.validate(json.loads(native["message"]["content"]), PERSON)


def test_json_mode_begins_an_object(ask: Asking) -> None:
    choice = ask.chat(30, response_format={"type": "json_object"}, temperature=1.0, seed=2)
    assert choice["message"]["content"].startswith("{")
    assert ask.generate(format="json", options={"num_predict": 20})["response"].startswith("{")


def test_images_are_refused_before_anything_is_generated(ask: Asking) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    messages: list[Any] = [{"role": "user", "content": [image, {"type": "text", "text": "what is this?"}]}]
    assert "image" in ask.refused("/v1/chat/completions", messages=messages)
    messages = [{"role": "user", "content": "what is this?", "images": [PNG]}]
    assert "image" in ask.refused("/api/chat", messages=messages)
    assert "image" in ask.refused("/api/generate", prompt="what is this?", images=[PNG])
