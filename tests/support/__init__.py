"""Helpers that the tests of several rooms share; run ``pytest`` at the top and ``tests`` is importable."""
