"""Facts about processes for measurements: their time, memory, threads, ports and addresses."""

from __future__ import annotations

from hyperllama.system.memory import resident
from hyperllama.system.network import address_is_local
from hyperllama.system.processes import children, cpu_seconds, listening, threads

__all__ = ("address_is_local", "children", "cpu_seconds", "listening", "resident", "threads")
