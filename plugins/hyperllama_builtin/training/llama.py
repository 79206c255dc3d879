"""A compact Llama in torch whose weights carry Hugging Face's names, so that export is a plain save."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperllama_builtin.training.shapes import ChatShape

__all__ = ("Cache", "Llama")

Cache = list[tuple[Tensor, Tensor]]


class RMSNorm(nn.Module):  # type: ignore[misc]  # torch is an extra, unseen by mypy
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class Attention(nn.Module):  # type: ignore[misc]  # torch is an extra, unseen by mypy
    def __init__(self, shape: ChatShape) -> None:
        super().__init__()
        self.shape = shape
        width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden, width, bias=False)
        self.k_proj = nn.Linear(shape.hidden, kv_width, bias=False)
        self.v_proj = nn.Linear(shape.hidden, kv_width, bias=False)
        self.o_proj = nn.Linear(width, shape.hidden, bias=False)

    def forward(
        self, x: Tensor, rope: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        batch, length, _ = x.shape
        shape = self.shape
        q = self.q_proj(x).view(batch, length, shape.heads, shape.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, shape.kv_heads, shape.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, shape.kv_heads, shape.head_dim).transpose(1, 2)
        q, k = _rotate(q, rope), _rotate(k, rope)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        present = (k, v)
        repeat = shape.heads // shape.kv_heads
        k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        y = _attend(q, k, v, causal=past is None)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1)), present


class MLP(nn.Module):  # type: ignore[misc]  # torch is an extra, unseen by mypy
    def __init__(self, shape: ChatShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.inner, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.inner, bias=False)
        self.down_proj = nn.Linear(shape.inner, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Block(nn.Module):  # type: ignore[misc]  # torch is an extra, unseen by mypy
    def __init__(self, shape: ChatShape) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = MLP(shape)
        self.input_layernorm = RMSNorm(shape.hidden, shape.eps)
        self.post_attention_layernorm = RMSNorm(shape.hidden, shape.eps)

    def forward(
        self, x: Tensor, rope: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, present = self.self_attn(self.input_layernorm(x), rope, past)
        x = x + y
        return x + self.mlp(self.post_attention_layernorm(x)), present


class Llama(nn.Module):  # type: ignore[misc]  # torch is an extra, unseen by mypy
    """The Llama network. ``forward`` returns hidden states; ``logits`` are computed only where it learns."""

    def __init__(self, shape: ChatShape) -> None:
        super().__init__()
        self.shape = shape
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(shape.vocab, shape.hidden),
                "layers": nn.ModuleList([Block(shape) for _ in range(shape.layers)]),
                "norm": RMSNorm(shape.hidden, shape.eps),
            }
        )
        frequencies = shape.rope_theta ** (-torch.arange(0, shape.head_dim, 2) / shape.head_dim)
        angles = torch.outer(torch.arange(shape.positions), frequencies).repeat(1, 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=0.02 * 2 if not residual else 0.04 / (2 * shape.layers) ** 0.5)

    def forward(
        self, ids: Tensor, *, positions: Tensor | None = None, past: Cache | None = None
    ) -> tuple[Tensor, Cache]:
        """Return hidden states and cache of ``ids``, or of one more token after ``past``. ``positions``: 0, 1, 2..."""
        cos, sin = self.get_buffer("cos"), self.get_buffer("sin")
        if positions is None:
            rope = (cos[: ids.shape[1]], sin[: ids.shape[1]])
        else:
            rope = (cos[positions].unsqueeze(1), sin[positions].unsqueeze(1))
        x = self.model["embed_tokens"](ids)
        cache: Cache = []
        for index, block in enumerate(self.model["layers"]):
            x, present = block(x, rope, past[index] if past is not None else None)
            cache.append(present)
        return self.model["norm"](x), cache

    def logits(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self.model["embed_tokens"].weight)


def _attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    """Compute attention step by step: twice as fast as torch's fused kernel for short rows on a CPU."""
    scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(future, -1e9)
    return scores.softmax(-1).to(v.dtype) @ v


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), -1)
    return x * rope[0] + turned * rope[1]
