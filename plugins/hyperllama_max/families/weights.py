"""The weights of a file as the graph takes them: stacked, in the order of halves, float32 or quantized as they were."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from hyperllama_max.families.description import Decoder
from hyperllama_max.families.names import Place, place

QUANTIZED: Final = frozenset({"Q4_0", "Q4_K", "Q6_K"})
_STACKS: Final = {"qkv": ("q", "k", "v"), "gate_up": ("gate", "up")}


@dataclasses.dataclass(frozen=True)
class Stored:
    """A weight: ``data`` is an array, of bytes where ``type`` is a quantized one, of uint16 where it is BF16."""

    data: Any
    type: str = "F32"


def adapt(decoder: Decoder, tensors: Iterable[tuple[str, Stored]], *, gguf: bool) -> dict[str, Stored]:
    """Return the weights by the graph's names. Norms and biases come as float32."""
    held: dict[Place, Stored] = {}
    for name, tensor in tensors:
        found = place(decoder, name, gguf=gguf)
        if found is not None and not (decoder.tied and found.role == "head"):
            held[found] = _ordered(decoder, found, _plain(tensor), gguf=gguf)
    if not gguf and decoder.norm_offset:
        held = {where: _offset(where, tensor, decoder.norm_offset) for where, tensor in held.items()}
    names: dict[str, Stored] = {}
    for layer in sorted({where.layer for where in held}):
        own = {where: tensor for where, tensor in held.items() if where.layer == layer}
        begin = f"layers.{layer}." if layer >= 0 else ""
        names |= {begin + name: tensor for name, tensor in _layer(own, layer)}
    return names


def _plain(tensor: Stored) -> Stored:
    """Widen 16-bit numbers to float32, which is what a CPU computes with."""
    import numpy as np

    match tensor.type:
        case "BF16":
            wide = np.asarray(tensor.data).astype(np.uint32)
            wide <<= 16
            return Stored(wide.view(np.float32))
        case "F16":
            return Stored(np.asarray(tensor.data).astype(np.float32))
    return tensor


def _ordered(decoder: Decoder, found: Place, tensor: Stored, *, gguf: bool) -> Stored:
    """Put the rows of queries and keys in the order in which the graph turns them; blocks of quants are in one row."""
    if found.role in ("q", "k", "qkv"):
        heads = {"q": decoder.heads, "k": decoder.kv_heads}.get(found.role, decoder.heads + decoder.kv_heads)
    elif found.role in ("q_norm", "k_norm"):
        heads = 1 if decoder.qk_norm == "head" else decoder.heads if found.role == "q_norm" else decoder.kv_heads
    else:
        return tensor
    order = _order(decoder, gguf=gguf)
    if order is None:
        return tensor
    rows = heads * decoder.head_dim
    turned = tensor.data[:rows].reshape(heads, decoder.head_dim, -1)[:, order].reshape(rows, *tensor.data.shape[1:])
    if len(tensor.data) > rows:
        import numpy as np

        turned = np.concatenate([turned, tensor.data[rows:]])
    return Stored(turned, tensor.type)


def _order(decoder: Decoder, *, gguf: bool) -> Any:
    """Return the row of a head that comes to each place; None if all are where they belong.

    The graph turns the first half against the second. Where only some dimensions turn, their halves come first in both.
    """
    import numpy as np

    width = decoder.head_dim
    dims = max(rope.dims for rope in decoder.ropes)
    if gguf and decoder.paired:
        halves = np.arange(dims).reshape(-1, 2).T  # neighbours turn together there
    elif dims < width:
        halves = np.arange(dims).reshape(2, -1)
    else:
        return None
    rest = np.arange(dims, width).reshape(2, -1)
    return np.concatenate([halves[0], rest[0], halves[1], rest[1]])


def _offset(where: Place, tensor: Stored, offset: float) -> Stored:
    import numpy as np

    norm = where.role == "norm" or where.role.endswith("_norm") or where.role.startswith(("before_", "after_"))
    return Stored(tensor.data + np.float32(offset)) if norm else tensor


def _layer(own: Mapping[Place, Stored], layer: int) -> Iterator[tuple[str, Stored]]:
    stacked: set[str] = set()
    for stack, roles in _STACKS.items():
        parts = [Place(layer, role) for role in (roles if Place(layer, roles[0]) in own else (stack,))]
        if layer < 0 or parts[0] not in own:
            continue
        stacked |= {part.role for part in parts}
        for number, tensor in enumerate(_stack([own[part] for part in parts])):
            yield f"{stack}.part_{number}.weight", tensor
        if (bias := _biases(own, parts)) is not None:
            yield f"{stack}.bias", bias
    for where, tensor in own.items():
        if where.role in stacked:
            continue
        if where.bias:
            yield f"{where.role}.bias", tensor
        elif where.role in ("out", "down", "head"):
            yield f"{where.role}.part_0.weight", tensor
        else:
            yield f"{where.role}.weight", tensor


def _stack(parts: list[Stored]) -> list[Stored]:
    """Return one weight where all parts are of one type, else the parts: one multiplication is faster than three."""
    import numpy as np

    if len(parts) == 1 or len({(part.type, part.data.shape[1]) for part in parts}) > 1:
        return parts
    return [Stored(np.concatenate([part.data for part in parts]), parts[0].type)]


def _biases(own: Mapping[Place, Stored], parts: list[Place]) -> Stored | None:
    import numpy as np

    biases = [own.get(Place(part.layer, part.role, bias=True)) for part in parts]
    if all(bias is None for bias in biases):
        return None
    rows = [len(own[part].data) for part in parts]
    filled = [np.zeros(n, np.float32) if b is None else b.data for n, b in zip(rows, biases, strict=True)]
    return Stored(np.concatenate(filled))


__all__ = ("QUANTIZED", "Stored", "adapt")
