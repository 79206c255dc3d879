"""Readers of config.json, one a family, into the one description of decoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from hyperllama_max.families import positions
from hyperllama_max.families.description import Activation, Decoder, Rope
from hyperllama_max.families.values import Values

_ACTIVATIONS: Final[Mapping[str, Activation]] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
}
_SLIDING: Final = "sliding_attention"
_WHOLE: Final = "full_attention"


def read(config: Mapping[str, Any], where: str) -> Decoder:
    """Return the description of a model by its config.json.

    Raises ConfigError, which begins with ``where``, for settings that are missing, or that no graph here honours.
    """
    name = str((config.get("architectures") or [""])[0])
    values = Values(config, where)
    values.ignore("architectures", "model_type")
    found = FAMILIES[name](values)
    values.finish()
    return found


def _llama(values: Values) -> Decoder:
    bias = values.flag("attention_bias")
    return _decoder(values, paired=True, qkv_bias=bias, out_bias=bias, mlp_bias=values.flag("mlp_bias"))


def _mistral(values: Values) -> Decoder:
    # Where the key is missing its default holds; null means that there is no window.
    window = values.whole("sliding_window", 0 if "sliding_window" in values else 4096)
    return _decoder(values, paired=True, positions_=131072, windows=_windows(values, window, every=True))


def _qwen2(values: Values) -> Decoder:
    return _decoder(values, qkv_bias=True, windows=_qwen_windows(values))


def _qwen3(values: Values) -> Decoder:
    bias = values.flag("attention_bias")
    windows = _qwen_windows(values)
    return _decoder(values, head_dim=128, qk_norm="head", qkv_bias=bias, out_bias=bias, windows=windows)


def _qwen_windows(values: Values) -> tuple[int, ...]:
    window = values.whole("sliding_window", 4096) if values.flag("use_sliding_window") else 0
    values.ignore("sliding_window")
    first = values.whole("max_window_layers", 28, least=0)
    return _windows(values, window, lambda layer: layer >= first)


def _olmo2(values: Values) -> Decoder:
    bias = values.flag("attention_bias")
    return _decoder(values, norms="post", qk_norm="full", qkv_bias=bias, out_bias=bias, eps=1e-5)


def _smollm3(values: Values) -> Decoder:
    bias = values.flag("attention_bias")
    layers = values.whole("num_hidden_layers")
    step = values.whole("no_rope_layer_interval", 4)
    turns = values.items("no_rope_layers") or [int((layer + 1) % step != 0) for layer in range(layers)]
    if len(turns) < layers:
        raise values.refusal("no_rope_layers", f"must have {layers} items")
    window = values.whole("sliding_window", 0, least=0) if values.flag("use_sliding_window") else 0
    values.ignore("sliding_window")
    return _decoder(
        values, paired=True, tied=True, theta=2000000.0, qkv_bias=bias, out_bias=bias, mlp_bias=values.flag("mlp_bias"),
        rope_of=tuple(0 if turn else -1 for turn in turns[:layers]),
        windows=_windows(values, window, lambda layer: not turns[layer]),
    )  # fmt: skip


def _phi3(values: Values) -> Decoder:
    window = values.whole("sliding_window", 0)
    values.ignore("embd_layer")  # how to read the embeddings, in the models' own code
    return _decoder(values, eps=1e-5, stacked_up=True, windows=_windows(values, window, every=True))


def _granite(values: Values) -> Decoder:
    bias = values.flag("attention_bias")
    return _decoder(
        values, paired=True, qkv_bias=bias, out_bias=bias, mlp_bias=values.flag("mlp_bias"),
        embedding_scale=values.number("embedding_multiplier", 1.0),
        residual_scale=values.number("residual_multiplier", 1.0),
        logit_divisor=values.number("logits_scaling", 1.0),
        attention_scale=values.number("attention_multiplier", 1.0),
    )  # fmt: skip


def _gemma3(values: Values) -> Decoder:
    if values.flag("use_bidirectional_attention"):
        raise values.refusal("use_bidirectional_attention", "makes it an encoder, which does not run here")
    bias = values.flag("attention_bias")
    layers, head_dim = values.whole("num_hidden_layers"), values.whole("head_dim", 256)
    step = values.whole("sliding_window_pattern", values.whole("_sliding_window_pattern", 6))
    windows = _windows(values, values.whole("sliding_window", 4096), lambda layer: (layer + 1) % step != 0)
    both = values.below("rope_parameters")
    scaled = values.below("rope_scaling")
    theta, local = values.number("rope_theta", 1000000.0), values.number("rope_local_base_freq", 10000.0)
    if both is not None and (both.below(_WHOLE) is not None or both.below(_SLIDING) is not None):
        far = positions.one(values, both.below(_WHOLE) or scaled, head_dim, theta)
        near = positions.one(values, both.below(_SLIDING), head_dim, local)
        both.finish(strict=True)
    else:
        far = positions.one(values, both or scaled, head_dim, theta)
        near = Rope(dims=far.dims, theta=local)
    scale = values.number("query_pre_attn_scalar", 256.0)
    return _decoder(
        values, head_dim=head_dim, activation="gelu_pytorch_tanh", norms="both", norm_offset=1.0, qk_norm="head",
        tied=True, qkv_bias=bias, out_bias=bias, attention_scale=scale**-0.5, positions_=131072,
        embedding_scale=float(values.whole("hidden_size")) ** 0.5, ropes=(far, near), windows=windows,
        rope_of=tuple(int(window > 0) for window in windows[:layers]),
    )  # fmt: skip


def _gemma3_text(values: Values) -> Decoder:
    return _text(values, _gemma3, "mm_tokens_per_image", "boi_token_index", "eoi_token_index")


def _mistral3_text(values: Values) -> Decoder:
    return _text(values, _mistral, "multimodal_projector_bias", "spatial_merge_size", "vision_feature_layer")


def _text(values: Values, read_text: Callable[[Values], Decoder], *seeing: str) -> Decoder:
    """Read the text half of a model that also sees; images are not taken."""
    text = values.below("text_config")
    if text is None:
        raise values.refusal("text_config", "is missing")
    values.ignore("vision_config", "image_token_index", *seeing)
    text.ignore("model_type", "architectures")
    found = read_text(text)
    text.finish()
    return found


def _windows(
    values: Values, window: int, sliding: Callable[[int], bool] = lambda layer: True, *, every: bool = False
) -> tuple[int, ...]:
    """Return the window of each layer: by ``layer_types`` where the config has them, else where ``sliding`` is true."""
    layers = values.whole("num_hidden_layers")
    kinds = None if every and values.raw("model_type") == "mistral" else values.items("layer_types")
    values.ignore("layer_types")
    if kinds is None:
        return tuple(window if window and sliding(layer) else 0 for layer in range(layers))
    for kind in kinds:
        if kind not in (_SLIDING, _WHOLE):
            raise values.refusal("layer_types", f"names {str(kind)[:40]!r}; supported are {_WHOLE} and {_SLIDING}")
    if len(kinds) != layers:
        raise values.refusal("layer_types", f"must have {layers} items")
    if not window and _SLIDING in kinds:
        raise values.refusal("layer_types", "names sliding_attention, but no sliding_window is in use")
    return tuple(window if kind == _SLIDING else 0 for kind in kinds)


def _decoder(
    values: Values,
    *,
    eps: float = 1e-6,
    theta: float = 10000.0,
    head_dim: int | None = None,
    activation: str = "silu",
    tied: bool = False,
    attention_scale: float | None = None,
    positions_: int = 0,
    ropes: tuple[Rope, ...] | None = None,
    rope_of: tuple[int, ...] | None = None,
    windows: tuple[int, ...] | None = None,
    **own: Any,
) -> Decoder:
    """Read what all families have in common. The arguments are a family's own, or its defaults."""
    hidden, layers, heads = (values.whole(k) for k in ("hidden_size", "num_hidden_layers", "num_attention_heads"))
    if values.raw("head_dim") is None and head_dim is None and hidden % heads:
        raise values.refusal("num_attention_heads", "does not divide hidden_size, and there is no head_dim")
    width = values.whole("head_dim", head_dim or hidden // heads)
    kv_heads = values.whole("num_key_value_heads", heads)
    if heads % kv_heads:
        raise values.refusal("num_key_value_heads", "does not divide num_attention_heads")
    if values.raw("attn_logit_softcapping"):
        raise values.refusal("attn_logit_softcapping", "caps attention scores, which MAX's kernels cannot do on CPUs")
    named = values.text("hidden_act", values.text("hidden_activation", activation))
    named = values.text("hidden_activation", named)
    if named not in _ACTIVATIONS:
        raise values.refusal("hidden_act", f"is {named[:40]!r}; supported are {', '.join(_ACTIVATIONS)}")
    cap = values.raw("final_logit_softcapping")
    return Decoder(
        hidden=hidden,
        inner=values.whole("intermediate_size"),
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=width,
        vocab=values.whole("vocab_size"),
        positions=values.whole("max_position_embeddings", positions_, least=0),
        eps=values.number("rms_norm_eps", eps),
        activation=_ACTIVATIONS[named],
        tied=values.flag("tie_word_embeddings", tied),
        attention_scale=attention_scale if attention_scale is not None else width**-0.5,
        logit_cap=values.number("final_logit_softcapping") if cap else None,
        ropes=ropes if ropes is not None else (positions.read(values, width, theta),),
        rope_of=rope_of if rope_of is not None else (0,) * layers,
        windows=windows if windows is not None else (0,) * layers,
        **own,
    )


#: The readers by the architecture that config.json names.
FAMILIES: Final[Mapping[str, Callable[[Values], Decoder]]] = {
    "Gemma3ForCausalLM": _gemma3,
    "Gemma3ForConditionalGeneration": _gemma3_text,
    "GraniteForCausalLM": _granite,
    "LlamaForCausalLM": _llama,
    "MinistralForCausalLM": _mistral,
    "Mistral3ForConditionalGeneration": _mistral3_text,
    "MistralForCausalLM": _mistral,
    "Olmo2ForCausalLM": _olmo2,
    "Phi3ForCausalLM": _phi3,
    "Qwen2ForCausalLM": _qwen2,
    "Qwen3ForCausalLM": _qwen3,
    "SmolLM3ForCausalLM": _smollm3,
}

__all__ = ("FAMILIES", "read")
