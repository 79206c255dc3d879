"""The names of weights in safetensors and GGUF files, in one set of roles, and the shapes that a decoder expects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from hyperllama.errors import ConfigError
from hyperllama_max.families.description import Decoder

BLOCK: Final = 256  # numbers of a K-quant: rows may be padded with zeros up to a multiple of it

_LAYER: Final = re.compile(r"(?:layers|blk)\.(\d{1,5})\.(.+)", re.ASCII)
_SAFETENSORS: Final[Mapping[str, str]] = {
    "embed_tokens": "embed",
    "norm": "norm",
    "self_attn.q_proj": "q",
    "self_attn.k_proj": "k",
    "self_attn.v_proj": "v",
    "self_attn.qkv_proj": "qkv",
    "self_attn.o_proj": "out",
    "self_attn.q_norm": "q_norm",
    "self_attn.k_norm": "k_norm",
    "mlp.gate_proj": "gate",
    "mlp.up_proj": "up",
    "mlp.gate_up_proj": "gate_up",
    "mlp.down_proj": "down",
    "input_layernorm": "before_attention",
    "pre_feedforward_layernorm": "before_mlp",
    "post_feedforward_layernorm": "after_mlp",
}
_GGUF: Final[Mapping[str, str]] = {
    "token_embd": "embed",
    "output_norm": "norm",
    "output": "head",
    "attn_q": "q",
    "attn_k": "k",
    "attn_v": "v",
    "attn_qkv": "qkv",
    "attn_output": "out",
    "attn_q_norm": "q_norm",
    "attn_k_norm": "k_norm",
    "ffn_gate": "gate",
    "ffn_up": "up",
    "ffn_down": "down",
    "attn_norm": "before_attention",
    "ffn_norm": "before_mlp",
    "post_attention_norm": "after_attention",
    "post_ffw_norm": "after_mlp",
}
#: Tables that can be computed from the config, which files may hold nevertheless.
_COMPUTED: Final = ("rotary_emb.inv_freq", "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
#: Weights of a model that also sees; the decoder is in files of these under another prefix.
_VISION: Final = ("vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector.")
_PREFIXES: Final = ("model.language_model.", "language_model.model.", "model.")


class Place(msgspec.Struct, frozen=True):
    """A weight's place in the decoder; ``layer`` is -1 outside the layers."""

    layer: int
    role: str
    bias: bool = False


def place(decoder: Decoder, name: str, *, gguf: bool) -> Place | None:
    """Return the place of the weight that a file calls ``name``; None for what no decoder needs.

    Raises KeyError for a name that has no place.
    """
    if name.endswith(_COMPUTED) or name.startswith(_VISION):
        return None
    body, _, kind = name.rpartition(".")
    if kind not in ("weight", "bias"):
        raise KeyError(name)
    if gguf:
        layer, own = _split(body)
        role = _GGUF[own]
        if role == "up" and decoder.stacked_up:
            role = "gate_up"
        return Place(layer, role, kind == "bias")
    if body in ("lm_head", "language_model.lm_head"):
        return Place(-1, "head", kind == "bias")
    layer, own = _split(next((body.removeprefix(prefix) for prefix in _PREFIXES if body.startswith(prefix)), body))
    if own == "post_attention_layernorm":
        return Place(layer, "before_mlp" if decoder.norms == "pre" else "after_attention", kind == "bias")
    return Place(layer, _SAFETENSORS[own], kind == "bias")


def _split(body: str) -> tuple[int, str]:
    found = _LAYER.fullmatch(body)
    return (int(found[1]), found[2]) if found else (-1, body)


def expected(decoder: Decoder, held: Iterable[Place]) -> dict[Place, tuple[int, ...]]:
    """Return the shape of every weight that the decoder needs. ``held`` tells which of them a file keeps stacked."""
    stacked = {item.role for item in held}
    shapes: dict[Place, tuple[int, ...]] = {
        Place(-1, "embed"): (decoder.vocab, decoder.hidden),
        Place(-1, "norm"): (decoder.hidden,),
    }
    if not decoder.tied:
        shapes[Place(-1, "head")] = (decoder.vocab, decoder.hidden)
    for layer in range(decoder.layers):
        for role, rows, width, bias in _matrices(decoder, stacked):
            shapes[Place(layer, role)] = (rows, width)
            if bias:
                shapes[Place(layer, role, bias=True)] = (rows,)
        for role, width in _norms(decoder):
            shapes[Place(layer, role)] = (width,)
    return shapes


def _matrices(decoder: Decoder, stacked: set[str]) -> Iterator[tuple[str, int, int, bool]]:
    hidden, inner, q, kv = decoder.hidden, decoder.inner, decoder.q_rows, decoder.kv_rows
    if "qkv" in stacked:
        yield "qkv", q + 2 * kv, hidden, decoder.qkv_bias
    else:
        yield from (("q", q, hidden, decoder.qkv_bias), ("k", kv, hidden, decoder.qkv_bias))
        yield "v", kv, hidden, decoder.qkv_bias
    yield "out", hidden, q, decoder.out_bias
    if "gate_up" in stacked:
        yield "gate_up", 2 * inner, hidden, decoder.mlp_bias
    else:
        yield from (("gate", inner, hidden, decoder.mlp_bias), ("up", inner, hidden, decoder.mlp_bias))
    yield "down", hidden, inner, decoder.mlp_bias


def _norms(decoder: Decoder) -> Iterator[tuple[str, int]]:
    roles = {
        "pre": ("before_attention", "before_mlp"),
        "post": ("after_attention", "after_mlp"),
        "both": ("before_attention", "after_attention", "before_mlp", "after_mlp"),
    }[decoder.norms]
    yield from ((role, decoder.hidden) for role in roles)
    if decoder.qk_norm != "none":
        whole = decoder.qk_norm == "full"
        yield "q_norm", decoder.q_rows if whole else decoder.head_dim
        yield "k_norm", decoder.kv_rows if whole else decoder.head_dim


def check(decoder: Decoder, shapes: Mapping[str, tuple[int, ...]], where: str, *, gguf: bool) -> None:
    """Raise ConfigError unless a file has the weights of the decoder: none missing, none over, each of its shape."""
    held: dict[Place, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        try:
            found = place(decoder, name, gguf=gguf)
        except KeyError:
            raise ConfigError(f"{where}: {name[:200]} has no place in a model as its config.json describes.") from None
        if found is not None and not (decoder.tied and found.role == "head"):
            held[found] = shape
    wanted = expected(decoder, held)
    for found, shape in wanted.items():
        if found not in held:
            if found.bias:  # which is nothing then, as at Hugging Face
                continue
            raise ConfigError(f"{where}: the weights of {_named(found)} are missing.")
        if not _fits(held[found], shape):
            raise ConfigError(f"{where}: the weights of {_named(found)} are {held[found]}; config.json says {shape}.")
    for found in held:
        if found not in wanted:
            raise ConfigError(f"{where}: the weights of {_named(found)} have no place in a model of its config.json.")


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    if shape == wanted:
        return True
    return len(shape) == 2 == len(wanted) and shape[0] == wanted[0] and shape[1] == -(-wanted[1] // BLOCK) * BLOCK


def _named(found: Place) -> str:
    kind = "the bias " if found.bias else ""
    return f"{kind}{found.role}" + (f" in layer {found.layer}" if found.layer >= 0 else "")


__all__ = ("BLOCK", "Place", "check", "expected", "place")
