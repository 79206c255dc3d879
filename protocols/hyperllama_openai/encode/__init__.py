"""Generations of the core as OpenAI's JSON and server-sent events. Pure: no I/O."""

from __future__ import annotations
