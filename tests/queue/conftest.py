"""Calls to send through gates."""

from __future__ import annotations

from tests.support.calls import end, make_call
