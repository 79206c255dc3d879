"""Gateway errors across the wire: the class by its name, and back again as the same class."""

from __future__ import annotations

from hyperllama import errors
from hyperllama.errors import EngineFailed, GatewayError
from hyperllama.host.frames import Refused


def refusal(id: int, error: GatewayError) -> Refused:
    """``error`` as a frame."""
    return Refused(id, type(error).__name__, error.message, error.param, error.retry_after)


def error(refused: Refused) -> GatewayError:
    """The error a frame stands for; EngineFailed when this version knows no such class."""
    kind = getattr(errors, refused.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, GatewayError)) or kind is errors.MethodNotAllowed:
        return EngineFailed(refused.message)
    return kind(refused.message, param=refused.param, retry_after=refused.retry_after)


__all__ = ("error", "refusal")
