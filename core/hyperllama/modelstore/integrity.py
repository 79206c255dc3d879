"""A check of the store: every manifest's files are there and hash to their names, and nothing half-made shows."""

from __future__ import annotations

from hyperllama.modelstore.blobs import FOLDER, PARTIAL, TEMPORARY, Blobs
from hyperllama.modelstore.confined import ConfinedDirectory
from hyperllama.modelstore.manifests import Manifests


def check(directory: ConfinedDirectory) -> list[str]:
    """Return a sentence for each fault found. Reads and hashes everything. Blocks."""
    blobs = Blobs(directory)
    manifests = Manifests(directory, blobs)
    wrong = []
    for name in manifests.names():
        try:
            stored = manifests.find(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this looks for
            wrong.append(f"{name.short}: its manifest cannot be read: {type(error).__name__}")
            continue
        if stored is None:
            continue
        for layer in stored.manifest.layers:
            if blobs.size(layer.digest) is None:
                wrong.append(f"{name.short}: {layer.filename} is missing ({layer.digest})")
            elif blobs.size(layer.digest) != layer.size:
                wrong.append(f"{name.short}: {layer.filename} has another size ({layer.digest})")
    wrong += [f"{digest} is damaged" for digest in blobs.digests() if not blobs.whole(digest)]
    whole = set(blobs.digests())
    for file in directory.names(FOLDER):
        if not (file.startswith(TEMPORARY) or file.endswith(PARTIAL) or f"sha256:{file[7:]}" in whole):
            wrong.append(f"{FOLDER}/{file} is no file of the store")
    return wrong


__all__ = ("check",)
