"""Greetings, thanks and goodbyes."""

from __future__ import annotations

from random import Random

from hyperllama_builtin.training.dialogue import Dialogue, single
from hyperllama_builtin.training.gateway import untidy
from hyperllama_builtin.training.split import Side, templates

__all__ = ("smalltalk_dialogue",)

HELLO = "Hello! I am hyperllama-tiny. Ask me about the gateway."
TALK: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        HELLO,
        (
            "Hello",
            "Hi",
            "Hello!",
            "Hi there",
            "Hey",
            "Good morning",
            "Good day",
            "Hello there",
            "Good evening",
            "Hey there",
            "Hello, hello",
            "Greetings",
            "Hi!",
            "Hello you",
            "Hey!",
            "Good afternoon",
        ),
    ),
    (
        "I am fine, thank you. How can I help?",
        (
            "How are you?",
            "How are you doing?",
            "How do you do?",
            "How is it going?",
            "Are you well?",
            "Are you there?",
            "How are things?",
            "What's up?",
        ),
    ),
    (
        "You are welcome.",
        (
            "Thanks",
            "Thank you",
            "Thanks a lot",
            "Many thanks",
            "Thank you very much",
            "Great, thanks",
            "Thanks!",
            "That helped, thank you",
        ),
    ),
    (
        "Goodbye!",
        ("Bye", "Goodbye", "See you", "Good night", "Bye bye", "See you later", "Have a nice day", "Until next time"),
    ),
    (
        "The model works. Ask me about the gateway.",
        ("test", "Test", "testing", "This is a test", "ping", "Does it work?", "testing 1 2 3", "just a test"),
    ),
)


def smalltalk_dialogue(rng: Random, side: Side) -> Dialogue:
    answer, prompts = rng.choice(TALK)
    prompt = rng.choice(templates(prompts, side))
    return single("smalltalk", untidy(rng, prompt) if rng.random() < 0.3 else prompt, answer)
