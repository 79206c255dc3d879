"""Both tokenizers, trained on our own text: byte-level BPE for the chat model, WordPiece for the encoder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from hyperllama_builtin.training.shapes import ChatShape, EmbedShape
from hyperllama_builtin.training.template import CHAT_TEMPLATE, SPECIAL_TOKENS

__all__ = ("chat_tokenizer", "chat_tokenizer_config", "embed_tokenizer", "embed_tokenizer_config")

# Digits stand alone so that sums are learnable. Only words that are never copied join the space before
# them: a name, a thing or a key has the same tokens after a space as after a quote, and so can be
# copied into JSON letter by letter.
_FUNCTION_WORDS = (
    "a|about|again|all|also|am|an|and|any|are|as|at|be|but|by|called|can|could|did|do|does|find|for|from|get|give|had|has"
    "|have|he|her|here|his|how|i|if|in|into|is|it|its|know|let|like|look|make|many|me|more|much|my|need|no|not|of|on"
    "|one|only|or|our|out|please|say|send|she|show|so|some|something|tell|than|thank|that|the|their|them|there|they"
    "|this|to|up|use|want|was|we|were|what|when|where|which|who|will|with|would|write|you|your"
)
_WORDS = (
    rf" (?:{_FUNCTION_WORDS})(?![\p{{L}}\p{{N}}_])"
    r"|_?\p{Ll}+|_?\p{Lu}+(?!\p{Ll})|\p{Lu}\p{Ll}*|\p{N}"
    r"| ?[^\s\p{L}\p{N}_]+|_|\s|\p{L}"
)


def chat_tokenizer(text: Iterable[str], shape: ChatShape) -> Tokenizer:
    """Return a byte-level BPE of exactly ``shape.vocab`` tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocab,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text, trainer)
    _fill(tokenizer, shape.vocab)
    return tokenizer


def chat_tokenizer_config(shape: ChatShape) -> dict[str, Any]:
    """Return the ``tokenizer_config.json`` of the chat model, template included."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIAL_TOKENS[0],
        "eos_token": SPECIAL_TOKENS[1],
        "pad_token": SPECIAL_TOKENS[2],
        "clean_up_tokenization_spaces": False,
        "model_max_length": shape.positions,
        "chat_template": CHAT_TEMPLATE,
    }


def embed_tokenizer(text: Iterable[str], shape: EmbedShape) -> Tokenizer:
    """Return a lower-casing WordPiece of exactly ``shape.vocab`` tokens."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = decoders.WordPiece()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=shape.vocab,
        special_tokens=specials,
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    tokenizer.train_from_iterator(text, trainer)
    _fill(tokenizer, shape.vocab)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokenizer


def embed_tokenizer_config(shape: EmbedShape) -> dict[str, Any]:
    """Return the ``tokenizer_config.json`` of the encoder."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
        "model_max_length": shape.positions,
    }


def _fill(tokenizer: Tokenizer, size: int) -> None:
    """Top up a vocabulary that the text could not fill, so that its size is constant."""
    missing = size - tokenizer.get_vocab_size()
    tokenizer.add_special_tokens([AddedToken(f"<|spare-{index}|>", special=True) for index in range(missing)])
