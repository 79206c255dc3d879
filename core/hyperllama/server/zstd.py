"""Request bodies that come compressed with zstd, within bounds: a few bytes may say they are gigabytes."""

from __future__ import annotations

import zstandard

from hyperllama.errors import InvalidRequest, PayloadTooLarge

LARGEST = 20 * 2**20  # bytes of a body as it was before
_WINDOW = 8 * 2**20  # bytes that decompressing may look back to


def inflated(raw: bytes) -> bytes:
    """Raises InvalidRequest for what is no zstd, PayloadTooLarge for more than is taken."""
    try:
        with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(raw, read_across_frames=True) as reader:
            found: bytes = reader.read(LARGEST + 1)
    except zstandard.ZstdError as error:
        raise InvalidRequest("The request body is not valid zstd, or needs too much memory to decompress.") from error
    if len(found) > LARGEST:
        raise PayloadTooLarge(f"The request body is larger than {LARGEST} bytes once decompressed.")
    return found


__all__ = ("LARGEST", "inflated")
