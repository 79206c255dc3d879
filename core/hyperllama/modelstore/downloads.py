"""The download of a model: every file of its repository becomes a verified blob."""

from __future__ import annotations

from hyperllama.modelstore.blobs import Blobs
from hyperllama.modelstore.hub import Hub, Repository, runs_code
from hyperllama.modelstore.manifests import Layer
from hyperllama.modelstore.shared_work import SharedWork
from hyperllama.spi import Progress, TransferFailed


def download(
    hub: Hub, blobs: Blobs, repository: Repository, *, shared: SharedWork, pins: set[str]
) -> tuple[Layer, ...]:
    """Fetch the missing files of ``repository``, reporting to ``shared``, and add their digests to ``pins``.

    Blocks until all are there. Raises Stopped when ``shared`` is stopped, StoreFailed when the disk is too small, and
    TransferFailed when a file cannot be fetched or asks to run code of the repository.
    """
    missing = 0
    for file in repository.files:
        digest = f"sha256:{file.sha256}" if file.sha256 is not None else None
        if digest is None or blobs.size(digest) != file.size:
            missing += file.size - (blobs.partial_size(digest) if digest is not None else 0)
    blobs.need(missing)
    layers = []
    for file in repository.files:
        shared.check()
        layer = hub.fetch(repository, file, blobs, report=shared.report, check=shared.check)
        pins.add(layer.digest)
        with blobs.open(layer.digest) as opened:
            if runs_code(layer.filename, opened):
                raise TransferFailed(f"{layer.filename} asks to run code of the repository (auto_map)")
        layers.append(layer)
    shared.report(Progress("verifying"))  # each was, from the disk, when it got its name
    return tuple(layers)


__all__ = ("download",)
