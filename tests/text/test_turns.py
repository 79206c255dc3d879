"""The places of system messages, and orders of turns for strict templates."""

from __future__ import annotations

import itertools
import random

import pytest

from hyperllama.messages import Chat, Image, Message, Prompt, Role, Text, ToolCall
from hyperllama.turns import arrangements, combined, placed

ROLES: dict[str, Role] = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def turns(spelled: str) -> tuple[Message, ...]:
    """Return messages as "u:text" words spell them; "a:text!id" calls a tool, "t:text!id" answers."""
    found = []
    for word in spelled.split():
        role, _, rest = word.partition(":")
        text, _, call = rest.partition("!")
        found.append(
            Message(
                role=ROLES[role],
                parts=(Text(text),) if text else (),
                tool_calls=(ToolCall(call, "f", "{}"),) if role == "a" and call else (),
                tool_call_id=call if role == "t" else None,
            )
        )
    return tuple(found)


def spelled(messages: tuple[Message, ...]) -> str:
    return " ".join(f"{message.role[0]}:{message.text.replace(chr(10) * 2, '/')}" for message in messages)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("u:q", "u:q"),
        ("s:1 u:q", "s:1 u:q"),
        ("u:q s:1", "s:1 u:q"),
        ("s:1 u:q s:2", "s:1/2 u:q"),
        ("s:1 s:2 u:q s:3 u:r s:4", "s:1/2/3/4 u:q u:r"),
        ("s:1 s:2", "s:1/2"),
        ("s:1 u:q a:x s:2 u:r", "s:1 u:q a:x u:2/r"),
        ("s:1 u:q a:x s:2 s:3 u:r", "s:1 u:q a:x u:2/3/r"),
        ("s:1 u:q a:x u:r s:2", "s:1 u:q a:x u:2/r"),
        ("s:1 u:q a:x u:r s:2 a:y u:z", "s:1 u:q a:x u:2/r a:y u:z"),
        ("u:q a:x s:2", "u:q a:x u:2"),
        ("u:q a:x s:2 a:y", "u:q a:x u:2 a:y"),
        ("u:q a:!1 t:r!1 s:2", "u:q a: t:r u:2"),
        ("u:q a:!1 t:r!1 s:2 a:x", "u:q a: t:r u:2 a:x"),
        ("u:q a:!1 s:2 t:r!1 u:z", "u:q a: u:2 t:r u:z"),
    ],
)
def test_f02_a_late_system_message_stands_where_templates_take_it(given: str, expected: str) -> None:
    chat = Chat(turns(given), continue_last=True)
    found = placed(chat)
    assert isinstance(found, Chat)
    assert (spelled(found.messages), found.continue_last) == (expected, True)
    assert placed(found) is found


def test_f02_a_later_system_message_leaves_the_beginning_as_it_was() -> None:
    before = turns("s:1 u:q s:2 a:x u:r a:y")
    after = placed(Chat((*before, *turns("s:3 u:z"))))
    assert isinstance(after, Chat)
    found = placed(Chat(before))
    assert isinstance(found, Chat)
    assert after.messages[: len(found.messages)] == found.messages


def test_what_is_no_conversation_is_as_it_was() -> None:
    prompt = Prompt("p")
    assert placed(prompt) is prompt


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("u:q u:r a:x a:y u:z", "u:q/r a:x/y u:z"),
        ("u:q a:!1 t:r!1 t:s!2 u:z u:y", "u:q a: t:r t:s u:z/y"),
        ("s:1 s:2 u:q", "s:1 s:2 u:q"),
    ],
)
def test_f13_a_run_of_one_role_is_one_turn(given: str, expected: str) -> None:
    assert spelled(combined(turns(given))) == expected


def test_f13_a_combined_turn_has_all_of_each() -> None:
    first = Message(role="assistant", parts=(Text("a"),), reasoning="r", tool_calls=(ToolCall("1", "f", "{}"),))
    second = Message(
        role="assistant", parts=(Image(b"i"), Text("b")), reasoning="s", tool_calls=(ToolCall("2", "g", ""),)
    )
    (found,) = combined((first, second))
    assert found.parts == (Text("a"), Image(b"i"), Text("b"))
    assert found.reasoning == "r\n\ns"
    assert [call.id for call in found.tool_calls] == ["1", "2"]


def strict(messages: tuple[Message, ...]) -> bool:
    """Tell whether Mistral's check passes: the user and answers without calls in turn, ids of nine characters."""
    counted = [message.role for message in messages if message.role in ("user", "assistant") and not message.tool_calls]
    ids = [message.tool_call_id for message in messages if message.tool_call_id is not None]
    return all(len(found) == 9 and found.isalnum() for found in ids) and all(
        role == ("user", "assistant")[at % 2] for at, role in enumerate(counted)
    )


def plain(messages: tuple[Message, ...]) -> bool:
    """Tell whether Gemma's check passes: the user and the model in turn, and nothing else."""
    return all(message.role == ("user", "assistant")[at % 2] for at, message in enumerate(messages))


@pytest.mark.parametrize("seed", range(40))
def test_f13_each_conversation_has_an_order_for_each_guard_and_loses_no_word(seed: int) -> None:
    rng = random.Random(seed)
    words = itertools.count()
    given = ["u:begin"]
    for _ in range(rng.randrange(1, 9)):
        match rng.choice("uuaasct"):
            case "c":
                given += [f"a:w{next(words)}!toolu_{seed}", f"t:w{next(words)}!toolu_{seed}"]
            case "t":
                given += [f"a:w{next(words)}!left_{seed}"]
            case role:
                given.append(f"{role}:w{next(words)}")
    chat = placed(Chat(turns(" ".join([*given, "u:end"]))))
    assert isinstance(chat, Chat)
    orders = list(arrangements(chat.messages))
    assert orders[0] == chat.messages
    assert any(map(strict, orders)), list(map(spelled, orders))
    assert any(map(plain, orders)), list(map(spelled, orders))
    written = [f"w{number}" for number in range(next(words))]
    for order in orders:
        assert [word for word in written if word not in spelled(order)] == []


def test_f13_an_answer_before_any_question_gets_one() -> None:
    assert any(map(strict, arrangements(turns("s:1 a:hello u:q"))))
    assert any(map(plain, arrangements(turns("s:1 a:hello u:q"))))
