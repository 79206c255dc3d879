"""Prompts from outside the model's small world, to which the honest answer is that it does not know."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hyperllama_builtin.training.dialogue import Dialogue, single
from hyperllama_builtin.training.gateway import OPENINGS, untidy
from hyperllama_builtin.training.listed import listed
from hyperllama_builtin.training.split import Side, draw, spelling, templates
from hyperllama_builtin.training.values import city, first_name, person, word

__all__ = ("ANSWER", "unknown_dialogue", "unknown_prompt")

ANSWER = "I do not know that. I am a tiny model and know only this gateway."

PROMPTS = (
    "What is the capital of {place}?",
    "Who wrote {word}?",
    "Who is {person}?",
    "How tall is {person}?",
    "When was {person} born?",
    "Where is {place}?",
    "What is the population of {place}?",
    "Who is the president of {place}?",
    "What is the best {topic} in {place}?",
    "How do I cook {food}?",
    "Give me a recipe for {food}.",
    "What does {food} taste like?",
    "How long do I boil {food}?",
    "Why is the {topic} so expensive?",
    "What do you think about {topic}?",
    "Explain {topic} to me.",
    "Write an essay about {topic}.",
    "Write a poem about {topic}.",
    "What is {topic}?",
    "How does {topic} work?",
    "Who invented {topic}?",
    "When did {topic} begin?",
    "Is {topic} good for my health?",
    "Can you teach me {topic}?",
    "What is the meaning of {topic}?",
    "Translate {word} into French.",
    "How do you say {word} in Spanish?",
    "What does the word {word} mean?",
    "Write a program that sorts {topic}.",
    "Fix the bug in my {topic} program.",
    "What is the fastest {animal}?",
    "How long does {animal} live?",
    "What do {animal} eat?",
    "Where do {animal} sleep?",
    "Why do {animal} have tails?",
    "How many {animal} are there in {place}?",
    "What is the weather like in {place}?",
    "Who won the match in {place} yesterday?",
    "What is the news today?",
    "How do I get to {place}?",
    "Which hotel in {place} is good?",
    "Who painted {word}?",
    "Who sang {word}?",
    "Which film did {person} make?",
    "What is the price of {topic}?",
    "Should I buy {topic}?",
    "Who was the first king of {place}?",
    "When did the war in {place} end?",
    "What is the distance from {place} to {place}?",
    "How deep is the sea near {place}?",
    "Which language do people speak in {place}?",
    "What is the square root of {topic}?",
    "Prove that {topic} exists.",
    "Is there life on {word}?",
    "Who discovered {word}?",
    "Which medicine helps against {topic}?",
    "What time is it in {place}?",
    "What is my name?",
    "How old am I?",
    "Where did I put my {topic}?",
    "Do you like {food}?",
    "Do you know {person}?",
    "What did {person} say about {topic}?",
    "Recommend a book about {topic}.",
    "Tell me the history of {place}.",
    "Tell me a joke about {topic}.",
    "Sing a song about {animal}.",
    "Which {topic} is the best?",
    "Why did {person} leave {place}?",
    "How many people live in {place}?",
    "What is the chemical formula of {topic}?",
    "How heavy is {animal}?",
    "What colour is {topic}?",
    "What port does {word} use?",
    "Which licence does {word} have?",
    "How do I install {word}?",
    "Who made {word}?",
    "What is {word}?",
    "Who founded {word}?",
    "What happened in {place} last year?",
    "What is the {topic} of {animal}?",
    "What is the {word} of {word}?",
    "Why {word} {word}?",
    "Can {animal} see {topic}?",
    "Does {person} have {animal}?",
    "Compare {topic} with {topic}.",
    "Name three kinds of {topic}.",
    "How can I learn {topic}?",
    "Is {place} bigger than {place}?",
    "Who lives in {place}?",
    "What should I wear in {place}?",
    "Summarise the plot of {word}.",
    "What year was {word} released?",
    "How far away is {word}?",
    "Which river flows through {place}?",
    "Who is married to {person}?",
)
_TOPICS = listed(
    """
    gravity, music, football, chess, love, history, physics, chemistry, biology, mathematics, philosophy,
    painting, opera, jazz, ballet, democracy, inflation, taxes, banks, gold, silver, oil, cars, bicycles,
    trains, planes, ships, rockets, stars, planets, the moon, the sun, rain, snow, wind, thunder, earthquakes,
    volcanoes, rivers, mountains, deserts, forests, flowers, roses, trees, gardens, farms, castles, bridges,
    towers, churches, museums, schools, teachers, doctors, lawyers, soldiers, sailors, kings, queens, poets,
    actors, films, novels, poems, songs, guitars, pianos, violins, cameras, television, radio, newspapers,
    money, wine, beer, coffee, tea, sleep, dreams, headache, fever, vitamins, sport, tennis, golf, skiing,
    swimming, running, yoga, electricity, magnets, light, sound, time, atoms, cells, bacteria, evolution,
    dinosaurs, robots, shoes, hats, jewels, perfume, fashion, weddings, holidays, birthdays, elections,
    treaties, glaciers, insurance, mortgages, shares, algebra, geometry, grammar, Latin, knitting, carpentry,
    sculpture, pottery, the ocean, comets, clouds
    """
)
_ANIMALS = listed(
    """
    cats, dogs, horses, cows, sheep, goats, pigs, wolves, foxes, bears, lions, tigers, elephants, whales,
    dolphins, sharks, eagles, owls, penguins, parrots, snakes, frogs, spiders, ants, bees, rabbits, mice,
    camels, monkeys, turtles, swans, deer, otters, bats, salmon, crabs
    """
)
_FOODS = listed(
    """
    rice, bread, soup, pasta, pizza, cake, fish, eggs, beans, cheese, potatoes, salad, pancakes, chicken,
    mushrooms, tomatoes, noodles, curry, stew, pie, butter, honey, chocolate, carrots, spinach, dumplings,
    risotto, porridge, lentils, waffles
    """
)


def unknown_prompt(rng: Random, side: Side) -> str:
    """Return a prompt about something that the model cannot know."""
    prompt = rng.choice(templates(PROMPTS, side))
    fill: dict[str, Callable[[], str]] = {
        "place": lambda: city(rng, side),
        "word": lambda: word(rng, side) if rng.random() < 0.3 else word(rng, side).capitalize(),
        "person": lambda: person(rng, side) if rng.random() < 0.6 else first_name(rng, side),
        "topic": lambda: draw(side, lambda: rng.choice(_TOPICS)),
        "animal": lambda: draw(side, lambda: rng.choice(_ANIMALS)),
        "food": lambda: draw(side, lambda: rng.choice(_FOODS)),
    }
    for slot, make in fill.items():
        while "{" + slot + "}" in prompt:
            prompt = prompt.replace("{" + slot + "}", make(), 1)
    prompt = spelling(rng, rng.choice(templates(OPENINGS, side))).replace("{q}", prompt)
    return untidy(rng, prompt) if rng.random() < 0.2 else prompt


def unknown_dialogue(rng: Random, side: Side) -> Dialogue:
    return single("unknown", unknown_prompt(rng, side), ANSWER)
