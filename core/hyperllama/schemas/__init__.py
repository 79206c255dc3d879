"""JSON schemas of answers: what an engine holds an answer to, and what is checked afterwards."""

from __future__ import annotations

from hyperllama.schemas.checking import Verdict, check
from hyperllama.schemas.limits import MAX_BYTES, MAX_DEPTH, MAX_REPEAT, MAX_WEIGHT
from hyperllama.schemas.loosening import Enforced, Loosened, enforced
from hyperllama.schemas.patterns import MAX_PATTERN, example_of
from hyperllama.schemas.requests import enforced_calls, enforced_output, forced_tools
from hyperllama.schemas.shapes import FORMATS

__all__ = (
    "FORMATS",
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_PATTERN",
    "MAX_REPEAT",
    "MAX_WEIGHT",
    "Enforced",
    "Loosened",
    "Verdict",
    "check",
    "enforced",
    "enforced_calls",
    "enforced_output",
    "example_of",
    "forced_tools",
)
