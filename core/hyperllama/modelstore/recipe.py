"""What a request to create a model says, whichever dialect it came in; and the base it starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from hyperllama.errors import InvalidRequest, UnsupportedFeature
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.modelstore import quantization as encodings
from hyperllama.modelstore.manifests import Manifest, Turn


class Said(Protocol):
    @property
    def role(self) -> str: ...
    @property
    def content(self) -> str: ...


class Recipe(Protocol):
    """Empty means not said; of ``parameters`` None does."""

    @property
    def from_(self) -> str: ...
    @property
    def files(self) -> Mapping[str, str]: ...
    @property
    def adapters(self) -> Mapping[str, str]: ...
    @property
    def draft_files(self) -> Mapping[str, str]: ...
    @property
    def template(self) -> str: ...
    @property
    def license(self) -> Sequence[str]: ...
    @property
    def system(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, Any] | None: ...
    @property
    def messages(self) -> Sequence[Said]: ...
    @property
    def quantize(self) -> str: ...
    @property
    def quantization(self) -> str: ...
    @property
    def remote_host(self) -> str: ...
    @property
    def extra(self) -> Mapping[str, Any]:
        """What is kept with the model for the dialect to show again."""
        ...


class Base(msgspec.Struct, frozen=True):
    """A model of the catalog to build upon; ``manifest`` is None for one that the configuration names."""

    spec: ModelSpec
    info: ModelInfo
    manifest: Manifest | None


def check(recipe: Recipe) -> None:
    """Raises InvalidRequest for what this store cannot make."""
    if not recipe.from_ and not recipe.files:
        raise InvalidRequest("neither 'from' or 'files' was specified", param="from")
    if recipe.remote_host:
        raise InvalidRequest("bad remote", param="remote_host")
    if recipe.adapters:
        raise UnsupportedFeature(
            "adapters are not supported: MAX runs LoRA on GPUs only, from a model's options in the configuration",
            param="adapters",
        )
    if recipe.draft_files:
        raise UnsupportedFeature(
            "draft models are not supported: MAX runs them on GPUs only, from a model's options in the configuration",
            param="draft_files",
        )
    quantization(recipe)


def quantization(recipe: Recipe) -> str:
    """What the weights are to be encoded in; empty: as they are. Raises InvalidRequest."""
    asked = recipe.quantize or recipe.quantization
    return encodings.kind_of(asked) if asked else ""


def manifest_of(base: Base) -> Manifest:
    """``base`` as a manifest: a stored one's own, else one that points to where the configuration finds its files."""
    if base.manifest is not None:
        return base.manifest
    spec = msgspec.structs.replace(base.spec, name="", aliases=(), preload=False, template=None)
    if spec.source and ":" not in spec.source:
        spec = msgspec.structs.replace(spec, source=str(Path(spec.source).expanduser().absolute()))
    template = base.info.template if base.spec.template is not None else ""
    return Manifest(spec=spec, template=template)


def applied(recipe: Recipe, start: Manifest, parent: str) -> Manifest:
    """``start`` with what ``recipe`` says in place of its own."""
    spec = start.spec
    if recipe.system:
        spec = msgspec.structs.replace(spec, system=recipe.system)
    if recipe.parameters is not None:
        spec = msgspec.structs.replace(spec, parameters={**spec.parameters, **recipe.parameters})
    found = msgspec.structs.replace(start, spec=spec, parent=parent or start.parent)
    if recipe.template:
        found = msgspec.structs.replace(found, template=recipe.template)
    if recipe.messages:
        turns = tuple(Turn(message.role, message.content) for message in recipe.messages)
        found = msgspec.structs.replace(found, messages=turns)
    if recipe.extra:
        found = msgspec.structs.replace(found, extra={**found.extra, **recipe.extra})
    if recipe.license:
        found = msgspec.structs.replace(found, license=tuple(recipe.license))
    return found


__all__ = ("Base", "Recipe", "Said", "applied", "check", "manifest_of", "quantization")
