"""One compaction pass: the model's summary of a conversation."""

from __future__ import annotations

from hyperllama.errors import EngineFailed
from hyperllama.generation import GenerationRequest, Usage
from hyperllama.identity import Caller
from hyperllama.spi import Gateway


async def summary(gateway: Gateway, generation: GenerationRequest, who: Caller) -> tuple[str, Usage]:
    """Return the text of a summary, and what it cost. Raise GatewayError.

    A summary without text is an error: the client would drop its conversation for nothing.
    """
    text, usage = [], None
    stream = await gateway.generate(generation, who)
    try:
        while chunks := await stream.batch():
            text += [chunk.text for chunk in chunks]
            usage = chunks[-1].usage or usage
    finally:
        await stream.aclose()
    found = "".join(text).strip()
    if usage is None or not found:
        raise EngineFailed("The model wrote no summary.")
    return found, usage


__all__ = ("summary",)
