"""OpenAI's JSON, field for field. Every optional field takes null for absent."""

from __future__ import annotations
