"""OpenAI's words for what the core calls a generation. Pure: no I/O, no clock."""

from __future__ import annotations
