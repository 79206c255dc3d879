"""Catalogs over an engine that tests command."""

from __future__ import annotations

from tests.support.calls import make_call
from tests.support.catalogs import engine, make_catalog
