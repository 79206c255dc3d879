"""The header of a GGUF file: its metadata and the types of its tensors, read without numpy and without the weights."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from hyperllama.errors import ConfigError
from hyperllama.models import TensorInfo

MAGIC: Final = b"GGUF"
MAX_STRING: Final = 16 * 1024 * 1024
MAX_ITEMS: Final = 16 * 1024 * 1024  # of an array, metadata entries or tensors: more is a damaged file
KEPT_ITEMS: Final = 64  # of an array; vocabularies are counted, not kept
MAX_FACTORS: Final = 4096
ALIGNMENT: Final = 32  # of tensors, where the file does not say
#: Tensors that divide the frequencies of positions, read with the header.
_FACTORS: Final = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")

_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_TYPES: Final = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    6: "Q5_0",
    7: "Q5_1",
    8: "Q8_0",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
    30: "BF16",
}
_MIXES: Final = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    14: "Q4_K_S",
    15: "Q4_K_M",
    18: "Q6_K",
    32: "BF16",
}


class GgufHeader(msgspec.Struct, frozen=True):
    """``lengths`` gives the true length of arrays that ``metadata`` may keep only the beginning of."""

    metadata: dict[str, Any]
    lengths: dict[str, int]
    tensors: tuple[TensorInfo, ...]
    rope_factors: tuple[float, ...] = ()  # by which a tensor of that name divides the frequencies of positions
    long_factors: tuple[float, ...] = ()  # the same beyond the length that the model was first made for
    short_factors: tuple[float, ...] = ()  # and up to it

    @property
    def parameter_count(self) -> int:
        total = 0
        for tensor in self.tensors:
            count = 1
            for size in tensor.shape:
                count *= size
            total += count
        return total

    @property
    def quantization(self) -> str:
        """The mix that the file states, such as ``Q4_K_M``; else its commonest tensor type."""
        if (mix := _MIXES.get(self.metadata.get("general.file_type", -1))) is not None:
            return mix
        types = [tensor.type for tensor in self.tensors if len(tensor.shape) > 1]
        return max(set(types), key=types.count) if types else ""


def read_header(path: Path, *, whole: bool = False) -> GgufHeader:
    """Read the header, with ``whole`` its arrays to their end.

    Raises ConfigError with a sentence that names the file's fault and nothing of its content.
    """
    try:
        with path.open("rb") as file:
            return _read(file, MAX_ITEMS if whole else KEPT_ITEMS)
    except (struct.error, EOFError, UnicodeDecodeError, ValueError, OverflowError, MemoryError) as error:
        raise ConfigError(f"{path.name}: not a readable GGUF file: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _read(file: BinaryIO, kept: int) -> GgufHeader:
    if _take(file, 4) != MAGIC:
        raise ValueError("it does not begin with GGUF")
    version = _scalar(file, "I")
    if version not in (2, 3):
        raise ValueError(f"its version is {version}, not 2 or 3")
    tensors, entries = _count(_scalar(file, "Q")), _count(_scalar(file, "Q"))
    metadata: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for _ in range(entries):
        key = _string(file)
        metadata[key] = _value(file, _scalar(file, "I"), key, lengths, kept)
    found = [_tensor(file) for _ in range(tensors)]
    align = metadata.get("general.alignment", ALIGNMENT)
    if not isinstance(align, int) or align < 1:
        raise ValueError("its alignment is no number of bytes")
    start = -(-file.tell() // align) * align
    named = {tensor.name: (tensor, offset) for tensor, offset in found if tensor.name in _FACTORS}
    factors = [_float32s(file, start + named[name][1], named[name][0]) if name in named else () for name in _FACTORS]
    return GgufHeader(metadata, lengths, tuple(tensor for tensor, _ in found), *factors)


def _float32s(file: BinaryIO, at: int, tensor: TensorInfo) -> tuple[float, ...]:
    if tensor.type != "F32" or len(tensor.shape) != 1 or tensor.shape[0] > MAX_FACTORS:
        raise ValueError(f"{tensor.name} is no short vector of F32")
    file.seek(at)
    return struct.unpack(f"<{tensor.shape[0]}f", _take(file, 4 * tensor.shape[0]))


def _tensor(file: BinaryIO) -> tuple[TensorInfo, int]:
    """Read a tensor's description, and the offset of its data from the beginning of all data."""
    name = _string(file)
    dimensions = _scalar(file, "I")
    if dimensions > 8:
        raise ValueError(f"a tensor has {dimensions} dimensions")
    shape = tuple(_scalar(file, "Q") for _ in range(dimensions))
    kind = _scalar(file, "I")
    return TensorInfo(name, _TYPES.get(kind, f"type {kind}"), shape), _scalar(file, "Q")


def _value(file: BinaryIO, kind: int, key: str, lengths: dict[str, int], keep: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _scalar(file, _SCALARS[kind]) if kind in _SCALARS else _unknown(kind)
    item = _scalar(file, "I")
    length = lengths[key] = _count(_scalar(file, "Q"))
    if item == _STRING:
        kept = []
        for index in range(length):
            text = _string(file)
            if index < keep:
                kept.append(text)
        return kept
    if item not in _SCALARS:
        return _unknown(item)
    size = struct.calcsize(f"<{_SCALARS[item]}")
    head = min(length, keep)
    values = list(struct.unpack(f"<{head}{_SCALARS[item]}", _take(file, head * size)))
    file.seek((length - head) * size, 1)
    return values


def _unknown(kind: int) -> Any:
    raise ValueError(f"its metadata has a value of unknown type {kind}")


def _count(number: int) -> int:
    if number > MAX_ITEMS:
        raise ValueError(f"it claims to hold {number} items")
    return number


def _scalar(file: BinaryIO, code: str) -> Any:
    (value,) = struct.unpack(f"<{code}", _take(file, struct.calcsize(f"<{code}")))
    return value


def _string(file: BinaryIO) -> str:
    length = _scalar(file, "Q")
    if length > MAX_STRING:
        raise ValueError(f"it claims a string of {length} bytes")
    return _take(file, length).decode("utf-8", "replace")


def _take(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError("it ends in the middle of its header")
    return data


__all__ = ("GgufHeader", "read_header")
