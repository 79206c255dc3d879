"""The models and devices that MAX 26.7 supports, checked before a load that would crash."""

from __future__ import annotations

from typing import Final

from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec
from hyperllama_max.families import FAMILIES, decoder_of
from hyperllama_max.files import ModelFiles

#: Architectures whose graphs, MAX's or ours, compile and run on a CPU. Others need an accelerator, and some of them
#: crash without one.
CPU_TEXT: Final = frozenset({"Lfm2ForCausalLM", "MambaForCausalLM", "OlmoForCausalLM", *FAMILIES})
EMBEDDING: Final = frozenset({"BertModel", "MPNetForMaskedLM", "MPNetModel"})
#: Made for images, and given positions and grids of their own with every prompt, which nothing here works out yet.
OWN_CONTEXTS: Final = frozenset(
    {
        "Gemma4ForConditionalGeneration",
        "KimiK25ForConditionalGeneration",
        "KimiVLForConditionalGeneration",
        "Qwen2_5_VLForConditionalGeneration",
        "Qwen3VLForConditionalGeneration",
        "Qwen3VLMoeForConditionalGeneration",
    }
)
CPU_ENCODINGS: Final = ("float32", "q4_k", "q4_0", "q6_k")
_GGUF_CPU: Final = frozenset({"F32", "Q4_0", "Q4_K", "Q6_K"})
_GGUF_ENCODINGS: Final = {"F32": "float32", "Q4_0": "q4_0", "Q4_K": "q4_k", "Q6_K": "q6_k"}


def check(spec: ModelSpec, files: ModelFiles) -> None:
    """Raise ConfigError when this model cannot run on its configured device."""
    where = f"models.{spec.name}"
    if not files.architecture:
        raise ConfigError(f"{where}: config.json names no architecture, so MAX cannot tell what to build")
    kind, _, numbers = spec.device.partition(":")
    known = kind in ("cpu", "gpu") and (not numbers or (kind == "gpu" and all(map(str.isdigit, numbers.split(",")))))
    if not known and spec.device != "gpu:all":
        raise ConfigError(f'{where}.device: {spec.device!r} is none of "cpu", "gpu", "gpu:0,1", "gpu:all"')
    if (
        not files.told
        and not (files.folder / "tokenizer.json").is_file()
        and not (files.folder / "tokenizer.model").is_file()
    ):
        raise ConfigError(f"{where}: {files.folder} has no tokenizer.json")
    if files.architecture in OWN_CONTEXTS:
        raise ConfigError(
            f"{where}: the gateway cannot give {files.architecture} its prompts in the form that it needs"
        )
    if kind == "cpu":
        _check_cpu(spec, files, where)
    decoder_of(spec, files)


def encoding(spec: ModelSpec, files: ModelFiles) -> str | None:
    """Return the encoding to request of MAX; None lets it choose."""
    if spec.quantization is not None:
        return spec.quantization
    if files.gguf is not None:
        types = [tensor.type for tensor in files.gguf.tensors if len(tensor.shape) > 1]
        quantized = [name for name in types if name in _GGUF_ENCODINGS and name != "F32"]
        # A mix is named after what most of it is; Q6_K beside Q4_K is how llama.cpp writes Q4_K_M.
        return _GGUF_ENCODINGS[max(set(quantized), key=quantized.count)] if quantized else "float32"
    return "float32" if spec.device.startswith("cpu") else None


def _check_cpu(spec: ModelSpec, files: ModelFiles, where: str) -> None:
    if files.architecture not in CPU_TEXT | EMBEDDING:
        known = ", ".join(sorted(name.removesuffix("ForCausalLM") for name in CPU_TEXT))
        raise ConfigError(
            f'{where}: MAX runs {files.architecture} on GPUs only; set device = "gpu", '
            f"or take a model of {known}, Bert or MPNet"
        )
    if spec.quantization is not None and spec.quantization not in CPU_ENCODINGS:
        raise ConfigError(
            f"{where}.quantization: MAX runs {', '.join(CPU_ENCODINGS)} on CPUs, not {spec.quantization!r}"
        )
    if files.gguf is None:
        return
    for tensor in files.gguf.tensors:
        if len(tensor.shape) > 1 and tensor.type not in _GGUF_CPU:
            raise ConfigError(
                f"{where}: {files.weights[0].name} holds {tensor.type} weights; MAX runs F32, Q4_0, Q4_K and Q6_K "
                "from GGUF files, on CPUs only"
            )
        if tensor.name == "token_embd.weight" and tensor.type == "Q4_0":
            raise ConfigError(
                f"{where}: {files.weights[0].name} stores its token embeddings as Q4_0, which crashes MAX 26.7; "
                "requantize with --token-embedding-type q6_k"
            )


__all__ = ("CPU_ENCODINGS", "CPU_TEXT", "EMBEDDING", "OWN_CONTEXTS", "check", "encoding")
