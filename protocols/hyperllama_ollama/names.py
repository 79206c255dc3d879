"""Model names as Ollama writes them: ``[host/][namespace/]model[:tag]``, with the suffix of where the model runs."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import msgspec

from hyperllama.names import HOST, NAMESPACE, TAG, split

Source: TypeAlias = Literal["local", "cloud", "conflict"]

_DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")


class Name(msgspec.Struct, frozen=True):
    """A valid name, every part filled in."""

    model: str
    tag: str = TAG
    namespace: str = NAMESPACE
    host: str = HOST
    scheme: str = "https"

    @property
    def short(self) -> str:
        """The name in lists: default host and namespace left out, the tag always present."""
        if self.host.casefold() != HOST:
            return self.full
        if self.namespace.casefold() != NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def full(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"


class Reference(msgspec.Struct, frozen=True):
    """The model that a request names: the name without its source suffix, and the suffix's source or None."""

    text: str
    source: Source | None = None


def parse(text: str) -> Name | None:
    """Return the parts of ``text``; None: it is no name."""
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "https", text
    parts = split(rest)
    if parts is None or not scheme:
        return None
    return Name(parts.model, parts.tag, parts.namespace, parts.host, scheme)


def reference(text: str) -> Reference:
    """Part ``text`` from ``:cloud``, ``-cloud`` (in a tag) or ``:local``; both kinds at once are a conflict."""
    first = _source(text)
    if first is None:
        return Reference(text)
    second = _source(first.text)
    if second is not None:
        return Reference(text, "conflict" if second.source != first.source else first.source)
    return first


def stored(reference: Reference) -> Name | None:
    """Return the name in the store, where a model of the cloud has its own; None if it is no valid name."""
    text = reference.text
    if reference.source == "cloud":
        text = f"{text}-cloud" if ":" in text.rpartition("/")[2] else f"{text}:cloud"
    return parse(text)


def shown(name: str) -> str:
    """Return an installed model's name for lists; one outside the grammar unchanged, with a tag."""
    parsed = parse(name)
    if parsed is not None:
        return parsed.short
    return name if ":" in name.rpartition("/")[2] else f"{name}:{TAG}"


def full(name: str) -> str:
    """Return the fully qualified form that two of the capability errors show."""
    parsed = parse(name)
    return parsed.full if parsed is not None else f"{HOST}/{NAMESPACE}/{name}"


def lookup(text: str) -> str:
    """Return the name to look up in the gateway: as written, without the parts that repeat Ollama's defaults."""
    parsed = parse(text)
    if parsed is None or "/" not in text:
        return text
    short = parsed.short
    return short if ":" in text.rpartition("/")[2] else short.removesuffix(f":{TAG}")


def digest(text: str) -> str | None:
    """Return ``sha256:`` and 64 lower-case hex digits; None if ``text`` is no digest."""
    return "sha256:" + text[7:].lower() if text.isascii() and _DIGEST.fullmatch(text) else None


def of_cloud(text: str) -> str | None:
    """Return ``m`` of a name that asks for ollama.com, ``m:cloud`` or ``m:20b-cloud``; None: it does not ask."""
    head, colon, suffix = text.rpartition(":")
    if not colon or "/" in suffix:
        return None
    if suffix.lower() == "cloud":
        return head
    return text[: -len("-cloud")] if suffix.lower().endswith("-cloud") else None


def _source(text: str) -> Reference | None:
    head, _, suffix = text.rpartition(":")
    if head and suffix.lower() == "local":
        return Reference(head, "local")
    base = of_cloud(text)
    return Reference(base, "cloud") if base is not None else None


__all__ = (
    "HOST",
    "NAMESPACE",
    "TAG",
    "Name",
    "Reference",
    "Source",
    "digest",
    "full",
    "lookup",
    "of_cloud",
    "parse",
    "reference",
    "shown",
    "stored",
)
