"""The choice between MAX's own graph of a model and ours."""

from __future__ import annotations

from typing import Final

import msgspec

from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec
from hyperllama_max.families import names, reading
from hyperllama_max.families.description import Decoder
from hyperllama_max.files import ModelFiles

_SIZES: Final = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
#: Types of weights that MAX's own Llama takes together.
_STOCK_TYPES: Final = (
    frozenset({"F32", "BF16"}),
    frozenset({"F32", "Q4_K", "Q6_K"}),
    frozenset({"F32", "Q4_0", "Q6_K"}),
)
#: Architectures that MAX does not have for any device.
_OURS_ONLY: Final = frozenset({"MinistralForCausalLM", "SmolLM3ForCausalLM"})
_GPU_ROPES: Final = frozenset({"default", "llama3", "longrope"})


def decoder_of(spec: ModelSpec, files: ModelFiles) -> Decoder | None:
    """Return the description of a model that runs on our graph; None for one that runs on MAX's.

    Raises ConfigError for a model whose settings or weights would give wrong answers, or none, on its device.
    """
    where = f"models.{spec.name}"
    if files.architecture not in reading.FAMILIES:
        return None
    cpu = spec.device.startswith("cpu")
    if not cpu and files.architecture in _OURS_ONLY:
        raise ConfigError(f'{where}: MAX 26.7 has no {files.architecture}; it runs with device = "cpu" only.')
    if (not cpu or files.architecture == "LlamaForCausalLM") and not all(files.config.get(key) for key in _SIZES):
        return None  # MAX takes the sizes that are missing from transformers
    if not cpu:
        _check_gpu(files, where)
        return None
    decoder = reading.read(files.config, where)
    shapes = {name: shape for name, (_, shape) in files.stored.items()}
    gguf = files.gguf is not None
    if not decoder.tied and not any(name.removesuffix(".weight").endswith(("lm_head", "output")) for name in shapes):
        decoder = msgspec.structs.replace(decoder, tied=True)  # whatever the config says, there is nothing else
    names.check(decoder, shapes, where, gguf=gguf)
    return None if files.architecture == "LlamaForCausalLM" and _stock(decoder, files) else decoder


def _stock(decoder: Decoder, files: ModelFiles) -> bool:
    """Return whether MAX's own Llama computes the same, which the built-in models were compiled for."""
    rope, types = decoder.ropes[0], {kind for kind, shape in files.stored.values() if len(shape) > 1}
    return (
        decoder.head_dim * decoder.heads == decoder.hidden
        and rope.kind in ("default", "llama3")
        and rope.dims == decoder.head_dim
        and decoder.activation == "silu"
        and not (decoder.qkv_bias or decoder.out_bias or decoder.mlp_bias)
        and decoder.tied == files.config.get("tie_word_embeddings", False)
        and any(types <= together for together in _STOCK_TYPES)
        and not (files.gguf is None and types - {"F32", "BF16"})
    )


def _check_gpu(files: ModelFiles, where: str) -> None:
    """Raise ConfigError for what MAX's graphs would leave out without a word."""
    if files.architecture.startswith("Gemma3"):
        return  # whose settings MAX reads itself
    decoder = reading.read(files.config, where)
    rope = decoder.ropes[0]
    if rope.kind not in _GPU_ROPES or rope.dims != decoder.head_dim:
        raise ConfigError(
            f"{where}: config.json: MAX on GPUs leaves out positions of the kind {rope.kind!r} over {rope.dims} of "
            f'{decoder.head_dim} dimensions, and answers would be wrong; set device = "cpu".'
        )
    if files.architecture == "LlamaForCausalLM" and decoder.head_dim * decoder.heads != decoder.hidden:
        raise ConfigError(
            f"{where}: config.json: head_dim is not hidden_size / num_attention_heads, for which MAX's Llama computes "
            'wrong answers on GPUs; set device = "cpu".'
        )


__all__ = ("decoder_of",)
