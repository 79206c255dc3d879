"""A recipe applied to the manifest of its base."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hyperllama.errors import UnsupportedFeature
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.modelstore import quantization as encodings
from hyperllama.modelstore.manifests import Manifest, Turn
from hyperllama.spi import Recipe, Refused


class Base(msgspec.Struct, frozen=True):
    """A model of the catalog to build upon; ``manifest`` is None for one that the configuration names."""

    spec: ModelSpec
    info: ModelInfo
    manifest: Manifest | None


def check(recipe: Recipe) -> None:
    """Raise InvalidRequest for what this store cannot make."""
    if not recipe.base and not recipe.files:
        raise Refused("A model must be made from a base or from files.", reason="no_source", param="from")
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
    """Return the encoding for the weights; empty: they stay as they are. Raise Refused."""
    return encodings.kind_of(recipe.quantization) if recipe.quantization else ""


def manifest_of(base: Base) -> Manifest:
    """Return ``base`` as a manifest: a stored one's own, else one with the source that the configuration names."""
    if base.manifest is not None:
        return base.manifest
    spec = msgspec.structs.replace(base.spec, name="", aliases=(), preload=False, template=None)
    if spec.source and ":" not in spec.source:
        spec = msgspec.structs.replace(spec, source=str(Path(spec.source).expanduser().absolute()))
    template = base.info.template if base.spec.template is not None else ""
    return Manifest(spec=spec, template=template, origin="" if spec.source else base.spec.name)


def applied(recipe: Recipe, start: Manifest, parent: str) -> Manifest:
    """Return ``start`` changed by ``recipe``."""
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


__all__ = ("Base", "applied", "check", "manifest_of", "quantization")
