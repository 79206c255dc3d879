"""Uploaded files as the layers of a model: checked for what they are, pickles and code refused."""

from __future__ import annotations

from collections.abc import Mapping

from hyperllama.errors import ConfigError, InvalidRequest, StoreFailed
from hyperllama.hub.reference import refused
from hyperllama.modelstore.blobs import Blobs
from hyperllama.modelstore.hub import runs_code
from hyperllama.modelstore.manifests import Layer
from hyperllama.modelstore.model_directories import file_name
from hyperllama.modelstore.names import hex_of
from hyperllama.spi import Refused

_TEXT = (".json", ".jinja", ".txt", ".md", ".model")


def layers_of(files: Mapping[str, str], blobs: Blobs) -> tuple[Layer, ...]:
    """Return the layers of uploaded files, each verified from the bytes on disk. Blocks. Raises InvalidRequest."""
    layers = []
    for name, digest in sorted(files.items()):
        layer = _layer(name, f"sha256:{hex_of(digest.lower())}", blobs)
        layers.append(layer)
    names = [layer.filename.lower() for layer in layers]
    if not any(name.endswith((".gguf", ".safetensors")) for name in names):
        raise Refused("There are no weights among the files.", reason="no_weights", param="files")
    if len(set(names)) != len(names):
        raise InvalidRequest("two files have one name", param="files")
    return tuple(layers)


def _layer(name: str, digest: str, blobs: Blobs) -> Layer:
    try:
        file_name(name)
    except ConfigError as error:
        raise Refused(
            f"A file of a model must have a plain name: {error}",
            reason="file_name",
            param="files",
            details=(str(error),),
        ) from error
    kind = name.lower()
    plain = kind.endswith((".gguf", ".safetensors", *_TEXT)) or kind.startswith("license")
    if refused(kind) or not plain:
        raise Refused("A file is of a type that no model has.", reason="file_type", param="files")
    size = blobs.size(digest)
    if size is None:
        raise InvalidRequest(f"blob {digest} not found", param="files")
    if not blobs.whole(digest):
        raise InvalidRequest(f"blob {digest} is damaged; upload it again", param="files")
    with blobs.open(digest) as file:
        if kind.endswith(".gguf") and file.read(4) != b"GGUF":
            raise Refused("The file is not in GGUF format.", reason="not_gguf", param="files")
        file.seek(0)
        try:
            code = runs_code(name, file)
        except StoreFailed as error:
            raise InvalidRequest(error.message, param="files") from error
        if code:
            raise InvalidRequest(f"{name} asks to run code (auto_map)", param="files")
    return Layer(name, digest, size)


__all__ = ("layers_of",)
