"""The process that converts a GGUF file's weights: ``SOURCE TARGET KIND``, a line of JSON for each step."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gguf

_PLAIN = ("F32", "F16", "BF16")


def main(source: str, target: str, kind: str) -> None:
    import gguf

    try:
        reader = gguf.GGUFReader(source)
        before = _kind_of(reader)
        if kind != "F32" and before not in _PLAIN:
            _tell({"error": "source"})
            return
        _write(reader, target, kind, before)
    except (NotImplementedError, ValueError) as error:
        _tell({"error": str(error) or type(error).__name__})


def _write(reader: gguf.GGUFReader, target: str, kind: str, before: str) -> None:
    import gguf

    types = gguf.GGMLQuantizationType
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
    file_type = gguf.LlamaFileType.MOSTLY_Q4_0 if kind == "Q4_0" else gguf.LlamaFileType.ALL_F32
    writer.add_file_type(file_type)
    wanted = [types.Q4_0 if kind == "Q4_0" and _is_linear(tensor) else types.F32 for tensor in reader.tensors]
    total = 0
    for tensor, type_ in zip(reader.tensors, wanted, strict=True):
        shape = tuple(int(size) for size in reversed(tensor.shape))
        bytes_ = gguf.quant_shape_to_byte_shape(shape, type_) if type_ != types.F32 else shape
        size = _product(bytes_) * (1 if type_ != types.F32 else 4)
        writer.add_tensor_info(tensor.name, bytes_, _dtype(type_ == types.F32), size, raw_dtype=type_)
        total += size
    _tell({"from": before, "total": total})
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    completed = 0
    for tensor, type_ in zip(reader.tensors, wanted, strict=True):
        data = gguf.quants.quantize(gguf.quants.dequantize(tensor.data, tensor.tensor_type), type_)
        writer.write_tensor_data(data)
        completed += data.nbytes
        _tell({"completed": completed})
    writer.close()


def _is_linear(tensor: Any) -> bool:
    """Return True if rows of ``tensor`` can be cut into blocks. Not embeddings: MAX does not survive them in Q4_0."""
    return tensor.name.startswith("blk.") and len(tensor.shape) == 2 and tensor.shape[0] % 32 == 0


def _kind_of(reader: gguf.GGUFReader) -> str:
    """Return the encoding of most of its matrices."""
    kinds = [tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) > 1]
    return max(set(kinds), key=kinds.count, default="F32")


def _dtype(plain: bool) -> Any:
    import numpy as np

    return np.dtype(np.float32 if plain else np.uint8)


def _product(sizes: tuple[int, ...]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def _tell(said: dict[str, Any]) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

__all__ = ("main",)
