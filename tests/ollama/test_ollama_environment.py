"""Ollama's own variables, where they mean something here."""

from __future__ import annotations

import pytest

from hyperllama.config import load


@pytest.mark.parametrize(("said", "waiting"), [("7", 7), (' "9" ', 9), ("0", 0), ("-1", 512), ("many", 512), ("", 512)])
def test_the_queue_is_as_long_as_ollamas(said: str, waiting: int) -> None:
    assert load(None, {"OLLAMA_MAX_QUEUE": said}).queue.max_waiting == waiting


def test_models_in_memory_are_as_many_as_ollamas_and_ours_wins() -> None:
    assert load(None, {"OLLAMA_MAX_LOADED_MODELS": "2"}).server.max_loaded_models == 2
    both = {"OLLAMA_MAX_LOADED_MODELS": "2", "HYPERLLAMA_SERVER_MAX_LOADED_MODELS": "3"}
    assert load(None, both).server.max_loaded_models == 3
