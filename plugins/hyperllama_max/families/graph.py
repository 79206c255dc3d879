"""The decoder as a graph of MAX, by its description. Imported in the host, since MAX is heavy."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from max import tree
from max.dtype import DType
from max.graph import DeviceRef, Graph, TensorValue, ops
from max.nn.attention import MHAMaskVariant
from max.nn.kernels import flash_attention_ragged, rope_split_store_ragged
from max.nn.kv_cache import KVCacheInputsPerDevice
from max.nn.layer import LayerList, Module
from max.nn.transformer import ReturnLogits
from max.nn.transformer.transformer import LogitsPostprocessMixin
from max.pipelines.lib.interfaces.batch_processor import ragged_kv_symbolic_input_tree

from hyperllama_max.families.description import Decoder
from hyperllama_max.families.layers import Linear, Matrix, Norm, Table
from hyperllama_max.families.weights import Stored

State = Mapping[str, Stored]


def beneath(state: State, prefix: str) -> dict[str, Stored]:
    return {name.removeprefix(prefix): stored for name, stored in state.items() if name.startswith(prefix)}


class Layer(Module):
    """Attention and MLP of one layer, with their norms and residuals."""

    def __init__(self, state: State, decoder: Decoder, window: int, kv_params: Any, device: DeviceRef) -> None:
        super().__init__()
        self.decoder, self.window, self.kv_params = decoder, window, kv_params
        self.qkv = Linear(state, "qkv", decoder.hidden, device)
        self.out = Linear(state, "out", decoder.q_rows, device)
        self.gate_up = Linear(state, "gate_up", decoder.hidden, device)
        self.down = Linear(state, "down", decoder.inner, device)
        for name in ("before_attention", "after_attention", "before_mlp", "after_mlp", "q_norm", "k_norm"):
            setattr(self, name, Norm(state, name, decoder.eps, device) if f"{name}.weight" in state else None)

    def __call__(
        self, index: TensorValue, x: TensorValue, kv: Any, table: TensorValue, offsets: TensorValue
    ) -> TensorValue:
        x = self._add(x, self._normed("after_attention", self._attend(index, x, kv, table, offsets)))
        return self._add(x, self._normed("after_mlp", self._mlp(self._normed("before_mlp", x))))

    def _add(self, x: TensorValue, more: TensorValue) -> TensorValue:
        scale = self.decoder.residual_scale
        return x + (more if scale == 1.0 else more * scale)

    def _normed(self, name: str, x: TensorValue) -> TensorValue:
        norm = getattr(self, name)
        return x if norm is None else norm(x)

    def _attend(
        self, index: TensorValue, x: TensorValue, kv: Any, table: TensorValue, offsets: TensorValue
    ) -> TensorValue:
        d = self.decoder
        qkv = self.qkv(self._normed("before_attention", x))
        if d.qk_norm != "none":
            q, k, v = ops.split(qkv, [d.q_rows, d.kv_rows, d.kv_rows], axis=-1)
            q, k = self._head_norm("q_norm", q, d.heads), self._head_norm("k_norm", k, d.kv_heads)
            qkv = ops.concat((q, k, v), axis=-1)
        q = rope_split_store_ragged(self.kv_params, qkv, offsets, table, kv, index, n_heads=d.heads, interleaved=False)
        out = flash_attention_ragged(
            self.kv_params,
            input=q.reshape((-1, d.heads, d.head_dim)),
            kv_collection=kv,
            layer_idx=index,
            input_row_offsets=offsets,
            mask_variant=MHAMaskVariant.SLIDING_WINDOW_CAUSAL_MASK if self.window else MHAMaskVariant.CAUSAL_MASK,
            scale=d.attention_scale,
            local_window_size=self.window or -1,
        )
        return self.out(out.reshape((x.shape[0], d.q_rows)))

    def _head_norm(self, name: str, x: TensorValue, heads: int) -> TensorValue:
        if self.decoder.qk_norm == "full":
            return self._normed(name, x)
        width = self.decoder.head_dim
        return self._normed(name, x.reshape((-1, heads, width))).reshape((-1, heads * width))

    def _mlp(self, x: TensorValue) -> TensorValue:
        gate, up = ops.split(self.gate_up(x), [self.decoder.inner, self.decoder.inner], axis=-1)
        match self.decoder.activation:
            case "silu":
                gate = ops.silu(gate)
            case "gelu":
                gate = ops.gelu(gate)
            case "gelu_tanh":
                gate = ops.gelu(gate, approximate="tanh")
        return self.down(gate * up)


class DecoderGraph(LogitsPostprocessMixin, Module):
    """Tokens to logits, with a paged cache of keys and values. One subgraph serves all layers of a kind."""

    def __init__(
        self, decoder: Decoder, state: State, kv_params: Any, device: DeviceRef, return_logits: ReturnLogits
    ) -> None:
        super().__init__()
        self.decoder, self.kv_params, self.device, self.return_logits = decoder, kv_params, device, return_logits
        self.logits_scaling = decoder.logit_divisor
        self.embed = Matrix(state["embed.weight"], decoder.hidden, device)
        self.head = None if decoder.tied else Linear(state, "head", decoder.hidden, device)
        self.norm = Norm(state, "norm", decoder.eps, device)
        self.rope = LayerList(
            [Table(state[f"rope.{number}.weight"], device) for number in range(len(beneath(state, "rope.")))]
        )
        self.layers = LayerList(
            [
                Layer(beneath(state, f"layers.{number}."), decoder, window, kv_params, device)
                for number, window in enumerate(decoder.windows)
            ]
        )

    def lm_head(self, x: TensorValue) -> TensorValue:
        out = self.embed(x) if self.head is None else self.head(x)
        cap = self.decoder.logit_cap
        return out if cap is None else ops.tanh(out / cap) * cap

    def __call__(
        self, tokens: TensorValue, kv: Any, return_n_logits: TensorValue, offsets: TensorValue
    ) -> tuple[TensorValue, ...]:
        x = self.embed.gather(tokens)
        if self.decoder.embedding_scale != 1.0:
            x = x * self.decoder.embedding_scale
        tables = [table() for table in self.rope]
        graphs: dict[Any, Graph] = {}
        for number, layer in enumerate(self.layers):
            index = ops.constant(number, DType.uint32, device=DeviceRef.CPU())
            # The last table is that of layers without positions, where there are any.
            values = [index, x, kv, tables[self.decoder.rope_of[number]], offsets]
            kind = (self.decoder.windows[number], _kinds(layer))
            if kind not in graphs:
                graphs[kind] = layer.build_subgraph(
                    name=f"layer_{len(graphs)}", inputs=values, weight_prefix=f"layers.{number}."
                )
            x = ops.call(graphs[kind], *tree.leaves(values), prefix=f"layers.{number}.")[0].tensor
        return self._postprocess_logits(x, offsets, return_n_logits)

    def input_tree(self) -> OrderedDict[str, object]:
        return ragged_kv_symbolic_input_tree(
            kv_params=self.kv_params, device_refs=[self.device], include_signal_buffers=False
        )

    def trace(
        self,
        *input_types: Any,
        name: str | None = None,
        module: Any = None,
        custom_extensions: Sequence[Any] = (),
        is_device_graph: bool = False,
    ) -> Graph:
        def forward(tokens: Any, offsets: Any, n_logits: Any, *kv_inputs: Any) -> tuple[TensorValue, ...]:
            kv = tree.leaves(self.kv_params.unflatten_kv_inputs(iter(kv_inputs)), leaf=KVCacheInputsPerDevice)[0]
            return self(tokens.tensor, kv, n_logits.tensor, offsets.tensor)

        return Graph(
            name or "decoder",
            forward,
            input_types=input_types,
            custom_extensions=list(custom_extensions),
            module=module,
            is_device_graph=is_device_graph,
        )


def _kinds(layer: Any) -> tuple[Any, ...]:
    return tuple(
        (name, weight.dtype, str(weight.quantization_encoding), tuple(map(int, weight.shape)))
        for name, weight in layer.raw_state_dict().items()
    )


__all__ = ("DecoderGraph", "Layer", "beneath")
