"""The shapes of both networks; MAX compiles by shape, so a change here costs every user a compile."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ("CHAT", "EMBED", "ChatShape", "EmbedShape")


@dataclass(frozen=True)
class ChatShape:
    """A Llama decoder with tied embeddings."""

    vocab: int = 2048
    hidden: int = 192
    layers: int = 5
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 32
    inner: int = 512
    positions: int = 2048
    rope_theta: float = 10000.0
    eps: float = 1e-5

    def config(self) -> dict[str, object]:
        """Return the ``config.json`` that MAX and transformers read."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "attention_bias": False,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 2,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "initializer_range": 0.02,
            "intermediate_size": self.inner,
            "max_position_embeddings": self.positions,
            "mlp_bias": False,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": self.eps,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "use_cache": True,
            "vocab_size": self.vocab,
        }


@dataclass(frozen=True)
class EmbedShape:
    """A BERT encoder, mean-pooled."""

    vocab: int = 1536
    hidden: int = 96
    layers: int = 3
    heads: int = 6
    inner: int = 192
    positions: int = 256
    eps: float = 1e-12

    def config(self) -> dict[str, object]:
        """Return the ``config.json`` that MAX and transformers read."""
        return {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "layer_norm_eps": self.eps,
            "max_position_embeddings": self.positions,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "pad_token_id": 0,
            "position_embedding_type": "absolute",
            "torch_dtype": "float32",
            "type_vocab_size": 2,
            "vocab_size": self.vocab,
        }


CHAT = ChatShape()
EMBED = EmbedShape()
