"""Finding plugins, and a typed face on pluggy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, TypeVar

import msgspec
import pluggy

from hyperllama import hookspecs
from hyperllama.config import Config
from hyperllama.errors import ConfigError
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

T = TypeVar("T")


class PluginFact(msgspec.Struct, frozen=True):
    """Facts about one plugin; ``problem`` is empty when it loaded."""

    name: str
    distribution: str
    version: str
    module: str
    hooks: tuple[str, ...]
    enabled: bool
    problem: str = ""


class Plugins:
    """Every hook, called once, with its results typed.

    Raises :class:`ConfigError` naming the culprit and its distribution when a plugin does not import, implements an
    unknown hook, or two offer one name.
    """

    def __init__(self, config: Config, *extra: object) -> None:
        """Load the plugins. ``extra`` ones (modules or objects with hooks) are registered as if installed."""
        self._config = config
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for plugin in extra:
            self._manager.register(plugin)
        for entry in installed():
            if enabled(config, entry.name):
                self._load(entry)
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise ConfigError(f"plugin {_plugin_name(error.plugin)!r}: {error}") from error
        self._check_sections(extra)

    def engines(self) -> dict[str, Engine]:
        return self._named(self._manager.hook.hyperllama_engines, lambda engine: engine.name)

    def protocols(self) -> dict[str, WireProtocol]:
        return self._named(self._manager.hook.hyperllama_protocols, lambda protocol: protocol.name)

    def auth_providers(self) -> list[AuthProvider]:
        return self._all(self._manager.hook.hyperllama_auth_providers)

    def gates(self) -> list[Gate]:
        gates: list[Gate] = self._all(self._manager.hook.hyperllama_gates)
        return sorted(gates, key=lambda gate: gate.order)

    def stages(self) -> list[Stage]:
        stages: list[Stage] = self._all(self._manager.hook.hyperllama_stages)
        return sorted(stages, key=lambda stage: stage.order)

    def observers(self) -> list[Observer]:
        return self._all(self._manager.hook.hyperllama_observers)

    def model_sources(self) -> dict[str, ModelSource]:
        return self._named(self._manager.hook.hyperllama_model_sources, lambda source: source.scheme)

    def transforms(self) -> dict[str, TransformFactory]:
        found: dict[str, TransformFactory] = {}
        offered: Sequence[Mapping[str, TransformFactory]] = self._manager.hook.hyperllama_transforms(
            config=self._config
        )
        for mapping in reversed(offered):
            for name, factory in mapping.items():
                if name in found:
                    raise ConfigError(f"Two plugins offer the parser {name!r}: {found[name]!r} and {factory!r}.")
                found[name] = factory
        return found

    def lifespans(self, gateway: Gateway) -> list[AbstractAsyncContextManager[None]]:
        offered: Sequence[Iterable[AbstractAsyncContextManager[None]]] = self._manager.hook.hyperllama_lifespan(
            gateway=gateway
        )
        return [item for items in reversed(offered) for item in items]

    def commands(self) -> list[Command]:
        offered: Sequence[Iterable[Command]] = self._manager.hook.hyperllama_commands()
        return [item for items in reversed(offered) for item in items]

    def _load(self, entry: EntryPoint) -> None:
        try:
            self._manager.register(entry.load(), name=entry.name)
        except Exception as error:
            raise ConfigError(
                f"plugin {entry.name!r} of distribution {_distribution(entry)[0]!r} did not load: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _check_sections(self, extra: Sequence[object]) -> None:
        known = {name for name, _ in self._manager.list_name_plugin()}
        known |= {entry.name for entry in installed()}  # a disabled one may keep its table
        known |= {_plugin_name(plugin) for plugin in extra}
        for section in self._config.plugin:
            if section not in known:
                raise ConfigError(
                    f"[plugin.{section}]: There is no plugin of that name; there are {', '.join(sorted(known))}."
                )

    def _all(self, hook: Callable[..., list[Iterable[T]]]) -> list[T]:
        # pluggy calls the last registered first; ours come in order of registration.
        return [item for items in reversed(hook(config=self._config)) for item in items]

    def _named(self, hook: Callable[..., list[Iterable[T]]], name: Callable[[Any], str]) -> dict[str, T]:
        found: dict[str, T] = {}
        for item in self._all(hook):
            if name(item) in found:
                raise ConfigError(f"Two plugins offer {name(item)!r}: {found[name(item)]!r} and {item!r}.")
            found[name(item)] = item
        return found


def installed() -> list[EntryPoint]:
    """Return the entry points of the group, by name."""
    return sorted(entry_points(group=hookspecs.PROJECT), key=lambda entry: entry.name)


def enabled(config: Config, name: str) -> bool:
    return config.plugins.chooses(name)


def inspect(config: Config) -> list[PluginFact]:
    """Return the facts for ``plugins list`` and ``doctor``. Imports each enabled plugin; never raises for a bad one."""
    facts: list[PluginFact] = []
    for entry in installed():
        distribution, version = _distribution(entry)
        hooks: tuple[str, ...] = ()
        on, problem = enabled(config, entry.name), ""
        if on:
            try:
                hooks = _hooks(entry.load())
            except Exception as error:  # noqa: BLE001 - whatever a stranger's module raises is what we report
                problem = f"{type(error).__name__}: {error}"
            else:
                unknown = [hook for hook in hooks if not hasattr(hookspecs, hook)]
                if unknown:
                    problem = f"unknown hook {unknown[0]}"
        facts.append(PluginFact(entry.name, distribution, version, entry.value, hooks, on, problem))
    return facts


def _hooks(plugin: object) -> tuple[str, ...]:
    return tuple(sorted(name for name in dir(plugin) if hasattr(getattr(plugin, name), f"{hookspecs.PROJECT}_impl")))


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist else ("?", "?")


def _plugin_name(plugin: object) -> str:
    return plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__name__


__all__ = ("PluginFact", "Plugins", "enabled", "inspect", "installed")
