"""A training run from a seed to a finished model folder, for either model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from hyperllama_builtin.card import ModelCard, read_card, write_card
from hyperllama_builtin.models import CHAT_MODEL, EMBED_MODEL
from hyperllama_builtin.training.bert import Bert
from hyperllama_builtin.training.cardtext import card_text
from hyperllama_builtin.training.contrast import contrast
from hyperllama_builtin.training.corpus import batches
from hyperllama_builtin.training.corpus_text import text_of
from hyperllama_builtin.training.curve import curve_svg
from hyperllama_builtin.training.export import load_weights, write_chat, write_embed
from hyperllama_builtin.training.learn import Course, learn
from hyperllama_builtin.training.llama import Llama
from hyperllama_builtin.training.mixture import dialogues
from hyperllama_builtin.training.paraphrases import pairs
from hyperllama_builtin.training.rehearsal import rehearse
from hyperllama_builtin.training.shapes import CHAT, EMBED
from hyperllama_builtin.training.tokenizer import chat_tokenizer, embed_tokenizer

__all__ = ("train_chat", "train_embed")

Watch = Callable[[Course], None]
_MINUTES_AT_RISK = 4.0


def train_chat(
    folder: Path, seed: int, minutes: float, watch: Watch, *, workers: int = 2, resume: bool = False
) -> ModelCard:
    """Train the chat model; write tokenizer, weights, card and curve. ``resume`` continues from the folder."""
    torch.manual_seed(seed)
    model = Llama(CHAT)
    before = None
    if resume:
        before = read_card(folder)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        load_weights(folder, model)
    else:
        tokenizer = chat_tokenizer((text_of(item) for item in islice(dialogues(seed), 20_000)), CHAT)
    source = partial(_batches, tokenizer, seed + 1, first=0 if resume else 8_000)

    def write(course: Course) -> ModelCard:
        write_chat(folder, CHAT, model, tokenizer)
        card = ModelCard(
            name=CHAT_MODEL,
            task="chat",
            architecture="LlamaForCausalLM",
            parameters=sum(weight.numel() for weight in model.parameters()),
            context=CHAT.positions,
            seed=seed,
            training_minutes=round(course.minutes + (before.training_minutes if before else 0), 1),
            training_tokens=course.tokens + (before.training_tokens if before else 0),
            checksums={},
        )
        return _finish(folder, card, course)

    written = 0.0

    def look(course: Course) -> None:
        """Score the model and write it every few minutes, so that an interrupted run leaves a result."""
        nonlocal written
        if course.minutes - written > _MINUTES_AT_RISK:
            written = course.minutes
            course.marks = rehearse(model, tokenizer)
            write(course)
        watch(course)

    begun = 0.4 if resume else 0.0
    return write(learn(model, source, minutes=minutes, workers=workers, begun=begun, watch=look))


def train_embed(folder: Path, seed: int, minutes: float, watch: Watch) -> ModelCard:
    """Train the encoder; write tokenizer, weights, card and curve."""
    torch.manual_seed(seed)
    text = (" ".join(row[:2]) for row in islice(pairs(seed), 40_000))
    tokenizer = embed_tokenizer(text, EMBED)
    model = Bert(EMBED)
    course = contrast(model, tokenizer, pairs(seed + 1), minutes=minutes, watch=watch)
    write_embed(folder, EMBED, model, tokenizer)
    card = ModelCard(
        name=EMBED_MODEL,
        task="embedding",
        architecture="BertModel",
        parameters=sum(weight.numel() for weight in model.parameters()),
        context=EMBED.positions,
        seed=seed,
        training_minutes=round(course.minutes, 1),
        checksums={},
    )
    return _finish(folder, card, course)


def _batches(tokenizer: Tokenizer, seed: int, rank: int, *, first: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Return the batches of worker ``rank``, different from any other's."""
    return batches(tokenizer, dialogues(1000 * rank + seed, first=first))


def _finish(folder: Path, card: ModelCard, course: Course) -> ModelCard:
    (folder / "curve.svg").write_text(curve_svg(f"{card.name}: training loss", course.curve), encoding="utf-8")
    (folder / "CARD.md").write_text(card_text(card), encoding="utf-8")
    write_card(folder, card)
    return card
