"""Engines in a process of their own: the frames both sides speak, the gateway's side and the child's.

Engine plugins use what is handed on here; the modules are private.
"""

from __future__ import annotations

from hyperllama.host.jobs import Deadline, Jobs
from hyperllama.host.process import HostOptions, launch
from hyperllama.host.worker import Channel, Pulse
from hyperllama.system.memory import available as available_memory
from hyperllama.system.memory import mapped as mapped_memory

__all__ = ("Channel", "Deadline", "HostOptions", "Jobs", "Pulse", "available_memory", "launch", "mapped_memory")
