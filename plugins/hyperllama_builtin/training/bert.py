"""A compact BERT in torch whose weights carry Hugging Face's names; its embedding is the mean over tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperllama_builtin.training.shapes import EmbedShape

__all__ = ("Bert",)


class Layer(nn.Module):  # type: ignore[misc]  # torch is an extra, unseen by mypy
    def __init__(self, shape: EmbedShape) -> None:
        super().__init__()
        self.heads = shape.heads
        size = shape.hidden
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({key: nn.Linear(size, size) for key in ("query", "key", "value")}),
                "output": nn.ModuleDict(
                    {"dense": nn.Linear(size, size), "LayerNorm": nn.LayerNorm(size, eps=shape.eps)}
                ),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(size, shape.inner)})
        self.output = nn.ModuleDict(
            {"dense": nn.Linear(shape.inner, size), "LayerNorm": nn.LayerNorm(size, eps=shape.eps)}
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, length, size = x.shape
        inner, outer = self.attention["self"], self.attention["output"]
        q, k, v = (
            inner[key](x).view(batch, length, self.heads, -1).transpose(1, 2) for key in ("query", "key", "value")
        )
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        y = y.transpose(1, 2).reshape(batch, length, size)
        x = outer["LayerNorm"](x + outer["dense"](y))
        y = self.output["dense"](functional.gelu(self.intermediate["dense"](x)))
        out: Tensor = self.output["LayerNorm"](x + y)
        return out


class Bert(nn.Module):  # type: ignore[misc]  # torch is an extra, unseen by mypy
    """Token ids and a mask in, one unit vector a row out."""

    def __init__(self, shape: EmbedShape) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(shape.vocab, shape.hidden),
                "position_embeddings": nn.Embedding(shape.positions, shape.hidden),
                "token_type_embeddings": nn.Embedding(2, shape.hidden),
                "LayerNorm": nn.LayerNorm(shape.hidden, eps=shape.eps),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList([Layer(shape) for _ in range(shape.layers)])})
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.02 if "position" in name or "type" in name else 0.05)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        parts = self.embeddings
        positions = torch.arange(ids.shape[1])
        x = parts["word_embeddings"](ids) + parts["position_embeddings"](positions)
        x = parts["LayerNorm"](x + parts["token_type_embeddings"].weight[0])
        for layer in self.encoder["layer"]:
            x = layer(x, mask)
        weights = mask.unsqueeze(-1).to(x.dtype)
        pooled = (x * weights).sum(1) / weights.sum(1)
        return functional.normalize(pooled, dim=-1)
