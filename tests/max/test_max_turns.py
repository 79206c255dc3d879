"""Conversations as agents send them, through templates that check their order."""

from __future__ import annotations

import pytest

from hyperllama.errors import InvalidRequest
from hyperllama.messages import Chat, Message, Role, Text, ToolCall
from hyperllama.turns import placed
from tests.support.strict_templates import GUARDS

SHOW = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}({{ c.function.name }}){% endfor %}{% endfor %}"
)


def turn(role: Role, text: str = "", *calls: str, of: str | None = None) -> Message:
    made = tuple(ToolCall(name, "look", "{}") for name in calls)
    return Message(
        role=role, parts=(Text(text),) if text else (), tool_calls=made, tool_call_id=of, name="look" if of else None
    )


CHATS = {
    "late system": (turn("system", "W0"), turn("user", "W1"), turn("system", "W2")),
    "later system": (turn("user", "W0"), turn("assistant", "W1"), turn("system", "W2"), turn("user", "W3")),
    "two questions": (turn("user", "W0"), turn("user", "W1")),
    "result and words": (
        turn("user", "W0"),
        turn("assistant", "W1", "toolu_01234567"),
        turn("tool", "W2", of="toolu_01234567"),
        turn("user", "W3"),
    ),
    "result and system": (
        turn("user", "W0"),
        turn("assistant", "", "toolu_01234567"),
        turn("tool", "W1", of="toolu_01234567"),
        turn("system", "W2"),
    ),
    "two calls at once": (
        turn("system", "W0"),
        turn("user", "W1"),
        turn("assistant", "", "toolu_01234567", "toolu_01234568"),
        turn("tool", "W2", of="toolu_01234567"),
        turn("tool", "W3", of="toolu_01234568"),
    ),
    "no result": (turn("user", "W0"), turn("assistant", "W1", "toolu_01234567"), turn("user", "W2")),
    "a greeting first": (turn("system", "W0"), turn("assistant", "W1"), turn("user", "W2")),
}


def rendered(guard: str, *messages: Message, system: str | None = None) -> str:
    pytest.importorskip("transformers")
    from hyperllama_max.template import ChatTemplate

    template = ChatTemplate(guard + SHOW, {"bos_token": ""}, ("<|end|>",))
    chat = placed(Chat(messages))
    assert isinstance(chat, Chat)
    return "".join(template.render(chat, (), system=system, reasoning=None).pieces)


@pytest.mark.parametrize("messages", CHATS.values(), ids=CHATS)
@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
def test_f02_f13_every_order_passes_every_check_and_keeps_every_word(guard: str, messages: tuple[Message, ...]) -> None:
    for system in (None, "WS"):
        shown = rendered(guard, *messages, system=system)
        words = [part.text for message in messages for part in message.parts if isinstance(part, Text)]
        assert [word for word in words if word not in shown] == []
        if system and all(message.role != "system" for message in messages):
            assert "WS" in shown


def test_f13_a_template_without_a_check_sees_the_turns_as_they_came() -> None:
    assert rendered("", *CHATS["two questions"]) == "<user>W0<user>W1"


def test_f13_text_of_special_tokens_stays_text_in_every_order() -> None:
    assert "a<|end|>b" in rendered(GUARDS["gemma"], turn("system", "a<|end|>b"), turn("user", "q"))


def test_f13_the_first_refusal_is_the_one_that_is_heard() -> None:
    with pytest.raises(InvalidRequest, match="no 2"):
        rendered("{{ raise_exception('no ' ~ messages | length) }}", *CHATS["two questions"])


def test_f13_calls_made_at_once_are_shown_one_by_one_with_their_results() -> None:
    shown = rendered(GUARDS["llama-tools"], *CHATS["two calls at once"])
    assert shown == "<system>W0<user>W1<assistant>(look)<tool>W2<assistant>(look)<tool>W3"
