"""One kill of an engine under many streams: no request is held responsible, and all of them run afterwards."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.support.live import chat, until

CONFIG = """
[models.frail]
engine = "sim"
max_batch_size = 64
[models.frail.options]
placement = "host"
tokens_per_second = 20
answer_tokens = 40
"""
PATH = "/v1/chat/completions"


def test_equal_prompts_that_die_together_are_answered_ever_after(serving: Any) -> None:
    """Thirty streams of three texts, two kills: more than a count per call would ban after the first."""
    live = serving(CONFIG)
    texts = [f"the same question {number}" for number in range(3)]
    for _ in range(2):
        assert live.ask("/api/generate", {"model": "frail"})[0] == 200
        pid = live.engine("frail").pid
        clients = [live.post(PATH, chat("frail", texts[number % 3])) for number in range(30)]
        for client in clients:
            until(client, b'"content"')
        os.kill(pid, signal.SIGKILL)
        for client in clients:
            until(client, b'"error"')
            client.close()
        live.until(lambda pid=pid: live.engine("frail") is not None and live.engine("frail").pid != pid)
    for text in texts:
        assert live.ask(PATH, chat("frail", text, stream=False, max_tokens=1))[0] == 200


def test_a_request_that_kills_the_engine_by_itself_is_refused_the_third_time(serving: Any) -> None:
    live = serving(CONFIG + 'poison = "die"\n')
    found = []
    for _ in range(3):
        live.until(lambda: live.app.catalog.find("frail").instance is None or not live.active("frail"))
        found.append(live.ask(PATH, chat("frail", "please die", stream=False))[0])
    assert found == [502, 502, 400]
    assert live.ask(PATH, chat("frail", "please live", stream=False, max_tokens=1))[0] == 200
