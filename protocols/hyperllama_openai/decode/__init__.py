"""OpenAI's requests as the core's. Pure: no I/O, no clock."""

from __future__ import annotations
