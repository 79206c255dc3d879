"""Places in a schema: JSON pointers, and what references lead to."""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

_SAFE: Final = "/~!$&'()*+;=:@?-._"  # of a fragment, without the comma, which parts places in a header


class Source(NamedTuple):
    """A schema, and its place as a URI fragment ("#/properties/a")."""

    schema: Any
    at: str

    def below(self, *steps: str | int) -> str:
        return self.at + "".join(f"/{quote(_escaped(str(step)), safe=_SAFE)}" for step in steps)


class References:
    """The targets of a document's references. Nothing outside of it is looked up."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._names: dict[str, Source] | None = None
        self._targets: dict[str, Source | None] = {}

    def find(self, reference: object) -> Source | None:
        """Return the target; None: it is elsewhere, or nowhere."""
        if not isinstance(reference, str):
            return None
        if reference not in self._targets:
            self._targets[reference] = self._found(reference)
        return self._targets[reference]

    def _found(self, reference: str) -> Source | None:
        if reference in ("#", ""):
            return Source(self._root, "#")
        base = self._root.get("$id", self._root.get("id"))
        if isinstance(base, str) and base and reference.startswith(base.rstrip("#")):
            rest = reference[len(base.rstrip("#")) :]
            if rest in ("", "#"):
                return Source(self._root, "#")
            reference = rest if rest.startswith("#") else reference
        if not reference.startswith("#/"):
            return self._named().get(reference.removeprefix("#"))
        here: Any = self._root
        for step in unquote(reference[2:]).split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(here, dict) and key in here:
                here = here[key]
            elif isinstance(here, list) and key.isascii() and key.isdigit() and len(key) < 6 and int(key) < len(here):
                here = here[int(key)]
            else:
                return None
        return Source(here, reference) if isinstance(here, dict | bool) else None

    def _named(self) -> dict[str, Source]:
        """Return the schemas that have names of their own: ``$anchor``, ``$dynamicAnchor``, ``$id``, ``id``."""
        if self._names is None:
            self._names = {}
            waiting: list[Source] = [Source(self._root, "#")]
            while waiting:
                source = waiting.pop()
                if isinstance(source.schema, dict):
                    for word in ("$anchor", "$dynamicAnchor", "$id", "id"):
                        if isinstance(name := source.schema.get(word), str):
                            self._names.setdefault(name.removeprefix("#"), source)
                    items: Any = source.schema.items()
                else:
                    items = enumerate(source.schema)
                waiting += [Source(value, source.below(key)) for key, value in items if isinstance(value, dict | list)]
        return self._names


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


__all__ = ("References", "Source")
