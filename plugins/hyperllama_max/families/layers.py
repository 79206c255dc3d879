"""Layers whose weights are of whatever type the file holds. Imported in the host, since MAX is heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from max.dtype import DType
from max.graph import DeviceRef, TensorValue, Weight, ops
from max.graph.quantization import QuantizationEncoding
from max.nn.layer import Module

from hyperllama_max.families.weights import Stored

ENCODINGS = {
    "Q4_0": QuantizationEncoding.Q4_0,
    "Q4_K": QuantizationEncoding.Q4_K,
    "Q6_K": QuantizationEncoding.Q6_K,
}


class Matrix(Module):
    """One weight. ``width`` is that of its input, which is padded with zeros where the file's rows are longer."""

    def __init__(self, stored: Stored, width: int, device: DeviceRef) -> None:
        super().__init__()
        self.encoding = ENCODINGS.get(stored.type)
        self.width = width
        self.rows, length = (int(size) for size in stored.data.shape)
        self.padded = length
        if self.encoding is not None:
            self.padded = length // self.encoding.block_size * self.encoding.elements_per_block
        kind = DType.float32 if self.encoding is None else DType.uint8
        self.weight = Weight("weight", kind, (self.rows, length), device=device, quantization_encoding=self.encoding)

    def __call__(self, x: TensorValue) -> TensorValue:
        if self.padded != self.width:
            x = ops.pad(x, [0, 0, 0, self.padded - self.width])
        if self.encoding is None:
            return x @ TensorValue(self.weight).T
        return ops.qmatmul(self.encoding, None, x, TensorValue(self.weight))

    def gather(self, rows: TensorValue) -> TensorValue:
        found = ops.gather(TensorValue(self.weight), rows, axis=0)
        if self.encoding is not None:
            found = ops.dequantize(self.encoding, found)
        return found[:, : self.width] if self.padded != self.width else found


class Linear(Module):
    """A projection in one or several parts, whose outputs lie side by side."""

    def __init__(self, state: Mapping[str, Stored], name: str, width: int, device: DeviceRef) -> None:
        super().__init__()
        self.parts: list[Matrix] = []
        while (stored := state.get(f"{name}.part_{len(self.parts)}.weight")) is not None:
            part = Matrix(stored, width, device)
            setattr(self, f"part_{len(self.parts)}", part)
            self.parts.append(part)
        bias = state.get(f"{name}.bias")
        self.bias = None if bias is None else Weight("bias", DType.float32, bias.data.shape, device=device)

    def __call__(self, x: TensorValue) -> TensorValue:
        outs = [part(x) for part in self.parts]
        out = outs[0] if len(outs) == 1 else ops.concat(outs, axis=-1)
        return out if self.bias is None else out + TensorValue(self.bias)


class Norm(Module):
    """A root-mean-square norm over the last dimension."""

    def __init__(self, state: Mapping[str, Stored], name: str, eps: float, device: DeviceRef) -> None:
        super().__init__()
        self.width = len(state[f"{name}.weight"].data)
        self.weight = Weight("weight", DType.float32, [self.width], device=device)
        self.eps = eps

    def __call__(self, x: TensorValue) -> TensorValue:
        return ops.rms_norm(x, TensorValue(self.weight), self.eps, weight_offset=0.0, multiply_before_cast=True)


class Table(Module):
    """The cosines and sines of one kind of positions. A weight, so that kinds and lengths share a compiled graph."""

    def __init__(self, stored: Stored, device: DeviceRef) -> None:
        super().__init__()
        self.weight = Weight("weight", DType.float32, stored.data.shape, device=device)

    def __call__(self) -> Any:
        return TensorValue(self.weight)


__all__ = ("ENCODINGS", "Linear", "Matrix", "Norm", "Table")
