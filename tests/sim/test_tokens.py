"""The tokenizer's promises."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperllama_sim import tokens

quick = settings(database=None, deadline=None)


@quick
@given(st.text())
def test_every_text_comes_back_from_its_ids(text: str) -> None:
    ids = tokens.encode(text)
    assert tokens.decode(ids) == text
    assert all(0 < number < tokens.VOCABULARY for number in ids)


@quick
@given(st.text())
def test_pieces_are_the_text_and_each_is_one_token(text: str) -> None:
    pieces = tokens.pieces(text)
    assert "".join(pieces) == text
    assert tuple(tokens.token_id(piece) for piece in pieces) == tokens.encode(text)
    assert all(len(piece) <= tokens.LONGEST for piece in pieces)


@quick
@given(st.lists(st.integers(1, tokens.VOCABULARY - 1)))
def test_no_two_tokens_share_an_id(ids: list[int]) -> None:
    pieces = [tokens.decode([number]) for number in ids]
    assert [tokens.token_id(piece) for piece in pieces] == ids


def test_words_are_a_few_tokens() -> None:
    assert tokens.pieces("the gateway opens") == ["the", " gate", "way", " open", "s"]


@pytest.mark.parametrize("number", [-1, tokens.VOCABULARY])
def test_an_id_outside_the_vocabulary_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="outside the vocabulary"):
        tokens.decode([number])


def test_long_texts_split_as_short_ones_do() -> None:
    for text in ("abcde" * 40_000, "ab cd, " * 20_000, " " * 70_000 + "a", "x" * 65_535 + " yz", "é\n" * 50_000):
        assert tokens.pieces(text) == tokens._PIECE.findall(text)
