"""One architecture of our own for decoders of the Llama family on a CPU, in place of MAX's.

``reading`` turns config.json into a :class:`Decoder`, ``names`` and ``weights`` a file's weights into the graph's,
``architecture`` registers the graph. Only ``layers``, ``graph`` and ``architecture`` import MAX.
"""

from __future__ import annotations

from hyperllama_max.families.choice import decoder_of
from hyperllama_max.families.description import Decoder
from hyperllama_max.families.reading import FAMILIES

__all__ = ("FAMILIES", "Decoder", "decoder_of")
