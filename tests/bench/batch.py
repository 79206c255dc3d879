"""Whether 32 streams share MAX's batch: their time together against one after another, through the real command.

python tests/bench/batch.py [streams] [tokens]
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec

from hyperllama.testing import child
from hyperllama_bench.load import Target, shoot

CONFIG = """
[server]
port = 0
[models.bench]
engine = "max"
source = "builtin:hyperllama-tiny"
max_length = 1024
max_batch_size = {streams}
preload = true
"""


def main(streams: int = 32, tokens: int = 64) -> None:
    with child.gateway(CONFIG.format(streams=streams)) as server:
        print(f"listening after {server.started_in:.2f} s, before any model is loaded")
        child.wait_for(server.log, r'("event": ?"model loaded")', server.pid)
        body = {"model": "bench", "messages": [{"role": "user", "content": "Tell a story."}], "stream": True}
        body |= {"max_tokens": tokens, "ignore_eos": True, "temperature": 0}
        target = Target("127.0.0.1", server.port, "/v1/chat/completions", msgspec.json.encode(body))
        asyncio.run(shoot(target, clients=streams))
        shares = []
        for _ in range(3):
            began = time.monotonic()
            asyncio.run(shoot(target, clients=1, shots=streams))
            alone = time.monotonic() - began
            began = time.monotonic()
            shots = asyncio.run(shoot(target, clients=streams))
            together = time.monotonic() - began
            assert all(shot.status == 200 and shot.ended for shot in shots)
            shares.append(together / alone)
            print(
                f"{streams} streams of {tokens} tokens: {together:.2f} s together, {alone:.2f} s one after another, "
                f"share {together / alone:.3f}"
            )
        print(f"median share {sorted(shares)[1]:.3f}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
