"""Questions about the gateway, in every phrasing, answered from the table of facts."""

from __future__ import annotations

from random import Random

from hyperllama_builtin.training.dialogue import Dialogue, single
from hyperllama_builtin.training.facts import FACTS, Fact
from hyperllama_builtin.training.questions import QUESTIONS, TOPICS
from hyperllama_builtin.training.split import Side, spelling, templates

__all__ = ("ask", "gateway_dialogue", "phrasings")

FRAMES = (
    "What is {t}?",
    "Tell me {t}.",
    "Can you tell me {t}?",
    "I want to know {t}.",
    "Do you know {t}?",
    "Which is {t}?",
    "Please tell me {t}.",
    "I would like to know {t}.",
    "What's {t}?",
    "Give me {t}.",
    "I need {t}.",
    "Explain {t}.",
    "What would be {t}?",
    "Say what {t} is.",
    "Could you give me {t}?",
    "What exactly is {t}?",
    "I am looking for {t}.",
    "Remind me of {t}.",
    "Name {t}.",
    "Hey, what is {t}?",
    "I forgot {t}.",
    "What might {t} be?",
    "Let me know {t}.",
    "Could you remind me of {t}?",
    "Show me {t}.",
    "and {t}?",
    "Describe {t}.",
    "How about {t}?",
    "Can I ask what {t} is?",
    "Tell me about {t}.",
    "Any idea what {t} is?",
    "I am trying to find {t}.",
)
OPENINGS = (
    "{q}",
    "{q}",
    "Good day. {q}",
    "{q}",
    "Hi! {q}",
    "Please answer: {q}",
    "One more thing. {q}",
    "Excuse me, {q}",
    "{q}",
    "{q} Thanks.",
    "Hello, {q}",
    "Question: {q}",
    "{q} Please be brief.",
    "I am new here. {q}",
    "{q}",
    "{q}",
    "[Sorry|Well|Now|So|Okay|Right|Hmm|Oh|Ah|Listen|Look|Yes|No|Again|Also|Then|Fine|Great], {q}",
    "[I have a question|A quick question|Something else|Another thing|Next question|My question|Help me][.|:|,] {q}",
    "{q}",
    "[By the way|To begin with|First of all|Before I forget|If you know|If possible|In short|For my work], {q}",
    "[Dear friend|My friend|Assistant|Llama|Computer|Dear model|Sir|Madam][,|:|!] {q}",
    "{q} [Thank you|Please help|I am curious|I need it for work|It is urgent|Be quick|Cheers|I forgot][.|!]",
    "{q} I wonder.",
    "{q}",
    "[Can you help|May I ask|Do you have a minute|Are you there|Got a second]? {q}",
    "{q}",
    "[I am confused|I am in a hurry|I read the manual|We are testing|I just started|I am back|It is me]. {q}",
    "[Answer this|Tell me this|Think|Explain|Reply|Respond|Speak][:|.|,] {q}",
    "{q} [One sentence please|Keep it short|In a few words|Say it simply|Just the answer].",
    "[Good evening|Good night|Hey|Hey you|Hello there|Morning|Greetings][,|.|!] {q}",
    "And now: {q}",
    "Let me ask: {q}",
)
NAMES = ("the gateway", "the gateway", "hyperllama", "hyperllama-gateway", "this gateway", "the server")


def phrasings(fact: Fact, side: Side) -> list[str]:
    """Return the phrasings in which ``side`` asks for a fact, before names and openings are filled in."""
    framed = [frame.replace("{t}", topic) for frame in templates(FRAMES, side) for topic in TOPICS.get(fact.key, ())]
    return [*templates(QUESTIONS[fact.key], side), *framed]


def ask(rng: Random, side: Side, fact: Fact) -> str:
    """Return a question about ``fact``: half of the time a whole question, else a topic in a frame."""
    whole = templates(QUESTIONS.get(fact.key, ()), side)
    topics = TOPICS.get(fact.key, ())
    if topics and (not whole or rng.random() < 0.5):
        question = rng.choice(templates(FRAMES, side)).replace("{t}", rng.choice(topics))
    else:
        question = rng.choice(whole)
    question = question.replace("{g}", rng.choice(NAMES))
    question = spelling(rng, rng.choice(templates(OPENINGS, side))).replace("{q}", question)
    return untidy(rng, question) if rng.random() < 0.2 else question


def gateway_dialogue(rng: Random, side: Side) -> Dialogue:
    """Return a dialogue of one question about a fact and its answer."""
    fact = rng.choice(FACTS)
    return single("gateway", ask(rng, side, fact), fact.answer)


def untidy(rng: Random, text: str) -> str:
    """Return ``text`` as typed in haste: without its capitals, its closing mark or both."""
    match rng.randrange(3):
        case 0:
            return text[:1].lower() + text[1:]
        case 1:
            return text.rstrip("?.")
        case _:
            return text.lower().rstrip("?.")
