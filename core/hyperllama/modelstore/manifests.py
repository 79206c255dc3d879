"""The models of the store: one JSON file for each name, written once every blob it names is there."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from typing import Any

import msgspec
import structlog

from hyperllama.errors import InvalidRequest, StoreFailed
from hyperllama.models import ModelSpec
from hyperllama.modelstore.blobs import TEMPORARY, Blobs
from hyperllama.modelstore.confined import ConfinedDirectory
from hyperllama.modelstore.names import StoredName, stored_name

log = structlog.get_logger(__name__)

FOLDER = "manifests"
SUFFIX = ".json"
LARGEST = 64 * 2**20


class Layer(msgspec.Struct, frozen=True):
    """A file of a model."""

    filename: str
    digest: str
    size: int
    media_type: str = "application/octet-stream"


class Turn(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message that every conversation with the model begins with."""

    role: str
    content: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored model. ``spec`` has no name: several may share a manifest. Without layers, its source has the files."""

    version: int = 1
    layers: tuple[Layer, ...] = ()
    spec: ModelSpec = ModelSpec()
    template: str = ""  # Jinja, in place of the files' own
    messages: tuple[Turn, ...] = ()
    license: tuple[str, ...] = ()
    parent: str = ""
    origin: str = ""  # the configured model without files that it is a copy of
    source: str = ""  # where it came from: "hf:org/repo@commit"
    extra: dict[str, Any] = {}  # a dialect's own, in its words

    def encode(self) -> bytes:
        return msgspec.json.encode(self, order="deterministic")


class Stored(msgspec.Struct, frozen=True):
    """A manifest as it was found. ``digest`` is 64 hex digits, ``modified`` unix seconds."""

    name: StoredName
    manifest: Manifest
    digest: str
    modified: float


class Manifests:
    """The manifests of a store. Blocks: use in threads, except :meth:`all` at start."""

    def __init__(self, directory: ConfinedDirectory, blobs: Blobs) -> None:
        self._directory = directory
        self._blobs = blobs

    def all(self) -> list[Stored]:
        """Return every model; a file that cannot be read is logged and left out."""
        found = []
        for name in self.names():
            try:
                if (stored := self._read(name)) is not None:
                    found.append(stored)
            except (OSError, msgspec.MsgspecError, ValueError) as error:
                log.error("manifest cannot be read", model=name.short, reason=type(error).__name__)
        return found

    def find(self, name: StoredName) -> Stored | None:
        """Return the model of this name, in upper or lower case; None when there is none."""
        spelt = next((other for other in self.names() if other.key == name.key), None)
        return self._read(spelt) if spelt is not None else None

    def names(self) -> Iterator[StoredName]:
        for host in self._directory.names(FOLDER):
            if host.startswith("."):
                continue
            for namespace in self._directory.names(FOLDER, host):
                for model in self._directory.names(FOLDER, host, namespace):
                    for file in self._directory.names(FOLDER, host, namespace, model):
                        if not file.endswith(SUFFIX) or file.startswith("."):
                            continue
                        try:
                            name = stored_name(f"{host}/{namespace}/{model}:{file.removesuffix(SUFFIX)}")
                        except InvalidRequest:
                            continue  # not ours
                        yield name

    def write(self, name: StoredName, manifest: Manifest) -> tuple[Stored, Stored | None]:
        """Write a manifest atomically; return it and the one it replaced. Raises StoreFailed when a blob is absent."""
        data = manifest.encode()
        with self._directory.locked():
            for layer in manifest.layers:
                if self._blobs.size(layer.digest) != layer.size:
                    raise StoreFailed(f"{layer.filename} was removed meanwhile; try again")
            old = self.find(name)
            spelt = old.name if old is not None else name
            folder = (FOLDER, spelt.host, spelt.namespace, spelt.model)
            temporary = f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            try:
                with os.fdopen(self._directory.open(*folder, temporary, flags=flags, create=True), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                self._directory.rename(folder, temporary, spelt.tag + SUFFIX)
                self._directory.mark()
            except BaseException:
                self._directory.unlink(*folder, temporary)
                raise
            stored = self._read(spelt)
        if stored is None:
            raise StoreFailed(f"model '{name.short}' was removed meanwhile")
        return stored, old

    def remove(self, name: StoredName) -> Stored | None:
        """Remove a manifest and return it; None when there was none."""
        with self._directory.locked():
            old = self.find(name)
            if old is not None:
                spelt = old.name
                self._directory.unlink(FOLDER, spelt.host, spelt.namespace, spelt.model, spelt.tag + SUFFIX)
                self._directory.mark()
        return old

    def release(self, layers: tuple[Layer, ...], *, pinned: frozenset[str]) -> None:
        """Drop the blobs of ``layers`` that no manifest names any more and that are not ``pinned``."""
        with self._directory.locked():
            kept = self.used() | pinned
            for layer in layers:
                if layer.digest not in kept:
                    self._blobs.remove(layer.digest)

    def used(self) -> frozenset[str]:
        """Return the digests that manifests name. Raises the error of one that cannot be read: nothing is safe then."""
        found = set()
        for name in self.names():
            if (stored := self._read(name)) is not None:
                found |= {layer.digest for layer in stored.manifest.layers}
        return frozenset(found)

    def collect(self) -> None:
        """Drop temporary files. Call with the store locked, so that none is being written."""
        for host in self._directory.names(FOLDER):
            for namespace in self._directory.names(FOLDER, host):
                for model in self._directory.names(FOLDER, host, namespace):
                    for file in self._directory.names(FOLDER, host, namespace, model):
                        if file.startswith(TEMPORARY):
                            self._directory.unlink(FOLDER, host, namespace, model, file)

    def _read(self, name: StoredName) -> Stored | None:
        try:
            fd = self._directory.open(FOLDER, name.host, name.namespace, name.model, name.tag + SUFFIX)
        except FileNotFoundError:
            return None
        with os.fdopen(fd, "rb") as file:
            data = file.read(LARGEST + 1)
            modified = os.fstat(file.fileno()).st_mtime
        if len(data) > LARGEST:
            raise ValueError("the manifest is too long")
        manifest = msgspec.json.decode(data, type=Manifest)
        return Stored(name, manifest, hashlib.sha256(data).hexdigest(), modified)


__all__ = ("FOLDER", "SUFFIX", "Layer", "Manifest", "Manifests", "Stored", "Turn")
