"""The hooks. Called once, at start-up.

Rules that keep this file stable:

* an argument may be added to a hook, never renamed or removed;
* a hook returns an iterable of objects typed in ``hyperllama.spi``;
* a hook does no I/O and is never ``async``: I/O belongs to the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from hyperllama.config import Config
    from hyperllama.spi import (
        AuthProvider,
        Command,
        Engine,
        Gate,
        Gateway,
        ModelSource,
        Observer,
        Stage,
        TransformFactory,
        WireProtocol,
    )

PROJECT = "hyperllama"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def hyperllama_environment(environ: Mapping[str, str]) -> Mapping[str, object]:
    """Return settings that this plugin reads from environment variables of its own: ``{"server.port": 8080}``.

    Called while the configuration is read, before any other hook, and only for a plugin with variables that begin with
    its entry point's name and an underscore (``ACME_PORT`` for ``acme``). A value replaces the file's, a list is
    added to the file's, and ``HYPERLLAMA_<TABLE>_<KEY>`` wins over both.

    :param environ: the environment; read your own variables only.

    .. versionadded:: 0.1
    """
    return {}


@hookspec
def hyperllama_engines(config: Config) -> Iterable[Engine]:
    """Return the engines this plugin offers, by unique ``name``.

    :param config: the whole configuration; read your part with
        ``config.section("max", MaxSettings)``.

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def hyperllama_protocols(config: Config) -> Iterable[WireProtocol]:
    """Return the wire protocols this plugin serves, by unique ``name``.

    :param config: the whole configuration.

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def hyperllama_auth_providers(config: Config) -> Iterable[AuthProvider]:
    """Return providers that identify callers, in order. The first answer wins.

    :param config: the whole configuration.

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def hyperllama_gates(config: Config) -> Iterable[Gate]:
    """Return gates that admit, delay or refuse calls, sorted by ``Gate.order``.

    :param config: the whole configuration.

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def hyperllama_stages(config: Config) -> Iterable[Stage]:
    """Return steps around every generation, sorted by ``Stage.order``.

    :param config: the whole configuration.

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def hyperllama_observers(config: Config) -> Iterable[Observer]:
    """Return observers, which are notified of every finished call.

    :param config: the whole configuration.

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def hyperllama_model_sources(config: Config) -> Iterable[ModelSource]:
    """Return the sources of models this plugin offers, by unique ``scheme``.

    :param config: the whole configuration.

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def hyperllama_transforms(config: Config) -> Mapping[str, TransformFactory]:
    """Return parsers of tool calls and reasoning by the names that ``tool_parser`` and ``reasoning_parser`` take.

    :param config: the whole configuration.

    .. versionadded:: 0.1
    """
    return {}


@hookspec
def hyperllama_lifespan(gateway: Gateway) -> Iterable[AbstractAsyncContextManager[None]]:
    """Return contexts that are entered before the first request and left after the last.

    :param gateway: the running gateway.

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def hyperllama_commands() -> Iterable[Command]:
    """Return sub-commands of ``hyperllama-gateway``.

    .. versionadded:: 0.1
    """
    return ()


__all__ = (
    "PROJECT",
    "hookimpl",
    "hookspec",
    "hyperllama_auth_providers",
    "hyperllama_commands",
    "hyperllama_engines",
    "hyperllama_environment",
    "hyperllama_gates",
    "hyperllama_lifespan",
    "hyperllama_model_sources",
    "hyperllama_observers",
    "hyperllama_protocols",
    "hyperllama_stages",
    "hyperllama_transforms",
)
