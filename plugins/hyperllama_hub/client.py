"""The download of a repository into huggingface_hub's cache. Imports huggingface_hub, which takes long."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download

from hyperllama.hub import HubReference, prepare


def snapshot(reference: HubReference, *, only_local: bool, timeout: float) -> Path:
    """Return the folder of ``reference``, downloaded unless ``only_local``. Blocks; raises what the client raises.

    ``timeout``: seconds of silence, or of a trickle, after which a request is given up.
    """
    prepare(timeout)
    folder = snapshot_download(
        reference.repo,
        revision=reference.revision,
        allow_patterns=reference.patterns,
        local_files_only=only_local,
        etag_timeout=timeout,
    )
    return Path(folder)


__all__ = ("snapshot",)
