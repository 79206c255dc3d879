"""Short template stories about the subject of the prompt."""

from __future__ import annotations

from random import Random

from hyperllama_builtin.training.dialogue import Dialogue, single
from hyperllama_builtin.training.gateway import untidy
from hyperllama_builtin.training.listed import listed
from hyperllama_builtin.training.split import Side, templates
from hyperllama_builtin.training.values import city, first_name

__all__ = ("story_dialogue",)

PROMPTS = (
    "Tell me a story about {hero}.",
    "Tell me a short story about {hero}.",
    "Write a story about {hero}.",
    "A story about {hero} please",
    "I want to hear a story about {hero}.",
    "Can you tell a story about {hero}?",
    "Make up a story about {hero}.",
    "Please write a short story about {hero}.",
)
PLAIN = (
    "Tell me a story.",
    "Tell me a short story.",
    "Write a story.",
    "A story please",
    "Can you tell a story?",
    "I want to hear a story.",
    "Tell a story.",
    "Please write a short story.",
)
_HEROES = listed(
    """
    a fox, a llama, a cat, a dog, a bear, a mouse, an owl, a horse, a robot, a sailor, a baker, a king, a girl,
    a boy, a frog, a wolf, a duck, a goat, a dragon, a miller, a fisher, a child, a bird, a donkey
    """
)
_PLACES = listed(
    """
    a small village, a dark forest, a green valley, an old castle, a house by the sea, a high mountain, a quiet
    farm
    """
)
_FINDS = listed("a golden key, a lost letter, an old map, a small lamp, a silver coin, a blue stone, a wooden box")
_ENDS = (
    "From that day on, nobody was lonely any more.",
    "And they all ate soup together.",
    "In the end everybody went home happy.",
    "And that is the end of the story.",
)
_TURNS = (
    "It was hidden under a tree.",
    "It was shining in the grass.",
    "The wind had brought it there.",
    "Nobody knew where it came from.",
)


def story_dialogue(rng: Random, side: Side) -> Dialogue:
    """Return a story of five sentences about the hero that the prompt names."""
    hero = first_name(rng, side) if rng.random() < 0.5 else rng.choice(_HEROES)
    if rng.random() < 0.25:
        prompt, hero = rng.choice(templates(PLAIN, side)), "a llama"
    else:
        prompt = rng.choice(templates(PROMPTS, side)).format(hero=hero)
    short = "the " + hero.split(" ", 1)[1] if " " in hero else hero
    find = rng.choice(_FINDS)
    there = rng.choice(_PLACES) if rng.random() < 0.7 else city(rng, side)
    thing = "the " + find.split(" ", 1)[1]
    story = (
        f"Once upon a time {hero} lived in {there}. One morning {short} found {find}. {rng.choice(_TURNS)}"
        f" {short[:1].upper()}{short[1:]} took {thing} and showed it to a friend. {rng.choice(_ENDS)}"
    )
    return single("stories", untidy(rng, prompt) if rng.random() < 0.2 else prompt, story)
