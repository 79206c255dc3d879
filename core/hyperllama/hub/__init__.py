"""The Hugging Face Hub: references to its repositories, and its own client, made to give up. Imports nothing slow.

The model store pulls through it, and so does the plugin of ``hf:`` sources, which uses what is handed on here.
"""

from __future__ import annotations

from hyperllama.hub.compat import prepare
from hyperllama.hub.reference import HubReference, parse

__all__ = ("HubReference", "parse", "prepare")
