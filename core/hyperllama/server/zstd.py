"""Request bodies compressed with zstd, within bounds: a few bytes may expand to gigabytes."""

from __future__ import annotations

import zstandard

from hyperllama.errors import InvalidRequest, PayloadTooLarge

_WINDOW = 8 * 2**20  # bytes that decompressing may look back to


def inflated(raw: bytes, max_bytes: int) -> bytes:
    """Return the decompressed body. Blocks in proportion to its length. Raise InvalidRequest for invalid zstd.

    Raise PayloadTooLarge for a body over ``max_bytes``, of which at most one byte more is ever unpacked.
    """
    try:
        with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(raw, read_across_frames=True) as reader:
            found: bytes = reader.read(max_bytes + 1)
    except zstandard.ZstdError as error:
        raise InvalidRequest("The request body is not valid zstd, or needs too much memory to decompress.") from error
    if len(found) > max_bytes:
        raise PayloadTooLarge(f"The request body is larger than {max_bytes} bytes once decompressed.")
    return found


__all__ = ("inflated",)
