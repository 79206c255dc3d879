"""The writer of a model folder: config, tokenizer and safetensors, in the files that MAX loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

from hyperllama_builtin.training.shapes import ChatShape, EmbedShape
from hyperllama_builtin.training.tokenizer import chat_tokenizer_config, embed_tokenizer_config

__all__ = ("load_weights", "write_chat", "write_embed")


def write_chat(folder: Path, shape: ChatShape, model: nn.Module, tokenizer: Tokenizer) -> None:
    """Write the chat model, stored in bfloat16."""
    weights = {name: value.detach().to(torch.bfloat16).contiguous() for name, value in model.named_parameters()}
    _write(folder, shape.config(), chat_tokenizer_config(shape), tokenizer, weights)
    _json(
        folder / "generation_config.json", {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "do_sample": False}
    )


def write_embed(folder: Path, shape: EmbedShape, model: nn.Module, tokenizer: Tokenizer) -> None:
    """Write the encoder, stored in float32."""
    weights = {name: value.detach().float().contiguous() for name, value in model.named_parameters()}
    _write(folder, shape.config(), embed_tokenizer_config(shape), tokenizer, weights)


def load_weights(folder: Path, model: nn.Module) -> None:
    """Fill ``model`` from a folder that one of the writers made."""
    model.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})


def _write(
    folder: Path,
    config: dict[str, object],
    tokenizer_config: dict[str, Any],
    tokenizer: Tokenizer,
    weights: dict[str, torch.Tensor],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _json(folder / "config.json", config)
    _json(folder / "tokenizer_config.json", tokenizer_config)
    tokenizer.save(str(folder / "tokenizer.json"))
    path = folder / "model.safetensors"
    save_file(weights, path, {"format": "pt"})
    path.chmod(0o644)  # safetensors leaves it to the owner alone, and other users would miss it in an installation


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
