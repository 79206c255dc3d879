"""The decoders' architecture in MAX's registry. Imported in the host, since MAX is heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from max.driver import Buffer
from max.dtype import DType
from max.graph import DeviceRef, Shape
from max.graph.weights import WeightData, WeightsFormat
from max.nn.transformer import ReturnHiddenStates
from max.pipelines.architectures.llama3.batch_processor import Llama3BatchProcessor
from max.pipelines.architectures.llama3.model import LlamaModelBase
from max.pipelines.context import TextContext
from max.pipelines.kv_cache.memory_planner import PagedMemoryPlanner
from max.pipelines.lib import SupportedArchitecture, TextTokenizer
from max.pipelines.lib.graph_specs import GraphRole, GraphSpec
from max.pipelines.lib.interfaces.arch_config import ArchConfigWithKVCache, ArchConfigWithStoredKVParams
from max.pipelines.modeling.types import PipelineTask

from hyperllama_max import compat
from hyperllama_max.families.description import Decoder
from hyperllama_max.families.graph import DecoderGraph
from hyperllama_max.families.layers import ENCODINGS
from hyperllama_max.families.rotation import table
from hyperllama_max.families.weights import Stored, adapt

_TYPES = {DType.float32: "F32", DType.float16: "F16", DType.bfloat16: "BF16"}
_QUANTIZED = {encoding: name for name, encoding in ENCODINGS.items()}


def architecture(name: str, decoder: Decoder) -> SupportedArchitecture:
    """Return the architecture of this one decoder, for the registry under ``name``."""

    @dataclass(kw_only=True)
    class Config(_Config):
        described: ClassVar[Decoder] = decoder

    class Model(_Model):
        model_config_cls: ClassVar[type[Any]] = Config
        described: ClassVar[Decoder] = decoder

    return SupportedArchitecture(
        name=name,
        task=PipelineTask.TEXT_GENERATION,
        example_repo_ids=[],
        default_encoding=Config.DEFAULT_ENCODING,
        supported_encodings=Config.SUPPORTED_ENCODINGS,
        pipeline_model=Model,
        tokenizer=TextTokenizer,
        context_type=TextContext,
        default_weights_format=WeightsFormat.safetensors,
        multi_gpu_supported=False,
        weight_adapters={
            WeightsFormat.safetensors: lambda weights, **_: _weights(decoder, weights, gguf=False),
            WeightsFormat.gguf: lambda weights, **_: _weights(decoder, weights, gguf=True),
        },
        config=Config,
        batching=Llama3BatchProcessor,
        memory_planner=PagedMemoryPlanner,
    )


@dataclass(kw_only=True)
class _Config(ArchConfigWithStoredKVParams, ArchConfigWithKVCache):
    DEFAULT_ENCODING: ClassVar[Any] = "float32"
    SUPPORTED_ENCODINGS: ClassVar[Any] = {"float32", "q4_0", "q4_k", "q6_k"}  # each weight says its own type
    described: ClassVar[Decoder]
    kv_params: Any
    max_seq_len: int
    devices: list[DeviceRef]

    @classmethod
    def initialize(cls, pipeline_config: Any, model_config: Any = None, *, max_seq_len: int) -> Any:
        model = model_config or pipeline_config.model
        devices = [DeviceRef(spec.device_type, spec.id) for spec in model.device_specs]
        kv_params = cls.construct_kv_params(None, pipeline_config, devices, model.kv_cache)
        return cls(kv_params=kv_params, max_seq_len=max_seq_len, devices=devices)

    @classmethod
    def construct_kv_params(
        cls,
        huggingface_config: Any,
        pipeline_config: Any,
        devices: list[DeviceRef],
        kv_cache_config: Any,
        cache_dtype: Any = None,
        **_: Any,
    ) -> Any:
        return kv_cache_config.to_params(
            dtype=DType.float32,  # whatever the weights are
            n_kv_heads=cls.described.kv_heads,
            head_dim=cls.described.head_dim,
            num_layers=cls.described.layers,
            devices=devices,
            data_parallel_degree=1,
        )

    @classmethod
    def calculate_max_seq_len(cls, huggingface_config: Any, model_config: Any) -> int:
        """Return the configured length; the gateway has checked it against the model's own."""
        return int(model_config.max_length or cls.described.positions)


class _Model(LlamaModelBase):
    """A pipeline model with the Llama family's batches and log probabilities around an own graph."""

    batch_processor_cls: ClassVar[Any] = Llama3BatchProcessor
    described: ClassVar[Decoder]
    norm_method = "rms_norm"

    def _create_model_config(self, state_dict: dict[str, Any]) -> Any:
        return self.model_config_cls.initialize(self.pipeline_config, max_seq_len=self.max_seq_len)

    def graph_specs(self, model_config: Any) -> dict[str, GraphSpec]:
        decoder = self.described
        if self.return_hidden_states != ReturnHiddenStates.NONE:
            raise ValueError("this architecture returns logits only")
        state: dict[str, Stored] = self.state_dict
        ropes: list[Any] = [*decoder.ropes, *([None] if -1 in decoder.rope_of else [])]
        for number, rope in enumerate(ropes):
            state[f"rope.{number}.weight"] = Stored(table(rope, decoder.head_dim, model_config.max_seq_len))
        module = DecoderGraph(decoder, state, model_config.kv_params, model_config.devices[0], self.return_logits)
        data = {name: _data(name, stored) for name, stored in state.items()}
        module.load_state_dict(data, weight_alignment=1, strict=True)
        types = compat.bound_inputs(self, module.input_tree())
        return {GraphRole.DECODER: GraphSpec(module, "decoder", types, weights=module.state_dict())}


def _weights(decoder: Decoder, weights: Mapping[str, Any], *, gguf: bool) -> dict[str, Stored]:
    return adapt(decoder, ((name, _stored(weight.data())) for name, weight in weights.items()), gguf=gguf)


def _stored(data: WeightData) -> Stored:
    kind = _QUANTIZED.get(data.quantization_encoding) if data.quantization_encoding else _TYPES.get(data.dtype)
    if kind is None:
        raise ValueError(f"{data.name} is of a type that is not supported: {data.dtype}")
    held = data.data
    if kind == "BF16":  # which numpy does not know
        held = (held if isinstance(held, Buffer) else Buffer.from_dlpack(held)).view(DType.uint16)
    return Stored(held if isinstance(held, np.ndarray) else np.from_dlpack(held), kind)


def _data(name: str, stored: Stored) -> WeightData:
    array = np.ascontiguousarray(stored.data)
    return WeightData(array, name, DType.from_numpy(array.dtype), Shape(array.shape), ENCODINGS.get(stored.type))


__all__ = ("architecture",)
