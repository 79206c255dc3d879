"""Engines in a process of their own: the frames both sides speak, the gateway's side and the child's.

Engine plugins use what is handed on here; the modules are private.
"""

from __future__ import annotations

from hyperllama.host.process import HostOptions, launch
from hyperllama.host.worker import Line, Pulse

__all__ = ("HostOptions", "Line", "Pulse", "launch")
