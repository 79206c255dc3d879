"""The frozen description of one decoder: every number that shapes its graph, under one set of names."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

RopeKind: TypeAlias = Literal["default", "linear", "dynamic", "llama3", "yarn", "longrope"]
Activation: TypeAlias = Literal["silu", "gelu", "gelu_tanh"]
#: The norms around attention and MLP: before each, after each, or both.
Norms: TypeAlias = Literal["pre", "post", "both"]
#: The norms of queries and keys: per head, or over all heads at once.
QkNorm: TypeAlias = Literal["none", "head", "full"]


class Rope(msgspec.Struct, frozen=True, kw_only=True):
    """One table of rotary positions. ``dims`` of each head turn; the others stay as they are."""

    dims: int
    theta: float
    kind: RopeKind = "default"
    factor: float = 1.0
    original: int = 0  # tokens that the model was first made for
    attention: float = 1.0  # factor of cosines and sines
    low: float = 1.0  # Llama 3's frequency factors
    high: float = 4.0
    beta_fast: float = 32.0  # YaRN's rotations
    beta_slow: float = 1.0
    truncate: bool = True
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()


class Decoder(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder of the Llama family. All tuples but ``ropes`` have one item a layer."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    positions: int  # the longest sequence; 0: unknown
    eps: float
    activation: Activation = "silu"
    norms: Norms = "pre"
    norm_offset: float = 0.0  # what safetensors leave out of the norms' weights; GGUF files hold it
    qk_norm: QkNorm = "none"
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    tied: bool = False
    attention_scale: float
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_divisor: float = 1.0
    logit_cap: float | None = None
    ropes: tuple[Rope, ...]
    rope_of: tuple[int, ...]  # index into ropes; -1: the layer knows no positions
    windows: tuple[int, ...]  # tokens that a layer sees, the current one included; 0: all of them
    paired: bool = False  # in GGUF files, neighbours of a head turn together instead of its halves
    stacked_up: bool = False  # in GGUF files, ffn_up holds gate and up

    @property
    def q_rows(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_rows(self) -> int:
        return self.kv_heads * self.head_dim


__all__ = ("Activation", "Decoder", "Norms", "QkNorm", "Rope", "RopeKind")
