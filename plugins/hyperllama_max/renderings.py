"""The renderings of the names that share a loaded model: own template, system prompt and default sampling for each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from hyperllama.errors import InvalidRequest
from hyperllama.generation import Rendering
from hyperllama_max.sampling import Defaults
from hyperllama_max.template import ChatTemplate

KEPT: Final = 16  # compiled templates


class Renderings:
    """The compiled templates of one host, the latest used kept. May be used on any thread."""

    def __init__(
        self, own: Rendering, *, compile: Callable[[str], ChatTemplate], defaults: Callable[[Rendering], Defaults]
    ) -> None:
        """Compile nothing yet. ``own``: the rendering of requests that bring none."""
        self.own = own
        self._compile = compile
        self._defaults = defaults
        self._own_defaults = defaults(own)
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, ChatTemplate] = OrderedDict()

    def of(self, rendering: Rendering | None) -> Rendering:
        return self.own if rendering is None else rendering

    def defaults(self, rendering: Rendering | None) -> Defaults:
        """Return the sampling of requests that set none. Raise InvalidRequest for parameters of a wrong kind."""
        if rendering is None:
            return self._own_defaults
        try:
            return self._defaults(rendering)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"The model's parameters cannot be used: {error}", param="model") from error

    def compiled(self, text: str) -> bool:
        """Return whether ``template`` would return at once."""
        return text in self._compiled

    def template(self, text: str) -> ChatTemplate:
        """Return the compiled template. Blocks. Raise InvalidRequest for one that cannot be read."""
        import jinja2

        with self._lock:
            found = self._compiled.get(text)
            if found is not None:
                self._compiled.move_to_end(text)
                return found
        try:
            found = self._compile(text)
        except (jinja2.TemplateError, RecursionError) as error:
            raise InvalidRequest(f"The model's chat template cannot be read: {error}", param="model") from error
        with self._lock:
            self._compiled[text] = found
            while len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        return found


__all__ = ("KEPT", "Renderings")
