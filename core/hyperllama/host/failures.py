"""Failures of a host: errors across the wire and back as the same class, and the sentences of its end."""

from __future__ import annotations

from typing import Final

from hyperllama import errors
from hyperllama.errors import EngineFailed, GatewayError, LoadInterrupted
from hyperllama.host.frames import Refused

_LOAD_RETRY: Final = 5.0  # seconds; a process that was killed while it loaded may load the next time


def refusal(id: int, error: GatewayError) -> Refused:
    """Return ``error`` as a frame."""
    return Refused(id, type(error).__name__, error.message, error.param, error.retry_after)


def error(refused: Refused) -> GatewayError:
    """Return the error of a frame; EngineFailed when this version knows no such class."""
    kind = getattr(errors, refused.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, GatewayError)) or kind is errors.MethodNotAllowed:
        return EngineFailed(refused.message)
    return kind(refused.message, param=refused.param, retry_after=refused.retry_after)


def lost(reason: str) -> EngineFailed:
    """Return the error of a request that was in the host when it ended."""
    return EngineFailed(f"The engine failed: {reason}. The request was lost; send it again.")


def gone(reason: str) -> EngineFailed:
    """Return the error of a request that came after the host had ended."""
    return EngineFailed(f"The engine failed: {reason}.")


def not_loaded(name: str, reason: str) -> LoadInterrupted:
    """Return the error of a load whose host ended; ``retry_after`` is set, since the next load may succeed."""
    return LoadInterrupted(f"the engine of model {name!r} ended while loading: {reason}", retry_after=_LOAD_RETRY)


__all__ = ("error", "gone", "lost", "not_loaded", "refusal")
