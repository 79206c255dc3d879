"""OpenAI's paths, each with and without ``/v1``, since many set the base URL to the bare host."""

from __future__ import annotations
