"""Bytes to wire requests, one function an endpoint. Pure; raises InvalidRequest with the sentence Ollama would send."""

from __future__ import annotations

from typing import Any

from hyperllama.config import BodyLimits
from hyperllama_ollama import wire
from hyperllama_ollama.decode import fields
from hyperllama_ollama.decode.images import image
from hyperllama_ollama.decode.scan import Json
from hyperllama_ollama.decode.shape import (
    LIMITS,
    Body,
    Fields,
    Walk,
    anything,
    boolean,
    integer,
    list_of,
    mapping,
    members,
    read,
    string,
)


def generate(raw: bytes, *, limits: BodyLimits = LIMITS) -> tuple[wire.GenerateRequest, Body]:
    body = read(raw, "GenerateRequest", _GENERATE, limits=limits)
    return wire.GenerateRequest(**_renamed(body)), body


def chat(raw: bytes, *, limits: BodyLimits = LIMITS) -> tuple[wire.ChatRequest, Body]:
    body = read(raw, "ChatRequest", _CHAT, limits=limits)
    return wire.ChatRequest(**_renamed(body)), body


def embed(raw: bytes, *, limits: BodyLimits = LIMITS) -> wire.EmbedRequest:
    return wire.EmbedRequest(**read(raw, "EmbedRequest", _EMBED, limits=limits).fields)


def embeddings(raw: bytes, *, limits: BodyLimits = LIMITS) -> wire.EmbeddingRequest:
    return wire.EmbeddingRequest(**read(raw, "EmbeddingRequest", _EMBEDDING, limits=limits).fields)


def show(raw: bytes, *, limits: BodyLimits = LIMITS) -> wire.ShowRequest:
    return wire.ShowRequest(**read(raw, "ShowRequest", _SHOW, limits=limits).fields)


def delete(raw: bytes, *, limits: BodyLimits = LIMITS) -> wire.DeleteRequest:
    return wire.DeleteRequest(**read(raw, "DeleteRequest", _NAMED, limits=limits).fields)


def pull(raw: bytes, *, limits: BodyLimits = LIMITS) -> wire.TransferRequest:
    return wire.TransferRequest(**read(raw, "PullRequest", _TRANSFER, limits=limits).fields)


def push(raw: bytes, *, limits: BodyLimits = LIMITS) -> wire.TransferRequest:
    return wire.TransferRequest(**read(raw, "PushRequest", _TRANSFER, limits=limits).fields)


def copy(raw: bytes, *, limits: BodyLimits = LIMITS) -> wire.CopyRequest:
    return wire.CopyRequest(**read(raw, "CopyRequest", _COPY, limits=limits).fields)


def create(raw: bytes, *, limits: BodyLimits = LIMITS) -> wire.CreateRequest:
    found = dict(read(raw, "CreateRequest", _CREATE, limits=limits).fields)
    if "from" in found:
        found["from_"] = found.pop("from")
    return wire.CreateRequest(**found)


def _renamed(body: Body) -> dict[str, Any]:
    found = dict(body.fields)
    if "_debug_render_only" in found:
        found["debug_render_only"] = found.pop("_debug_render_only")
    return found


def _licenses(walk: Walk, value: Json) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    found: tuple[str, ...] = list_of(string, "[]string", zero="")(walk, value)
    return found


def _digests(walk: Walk, value: Json) -> dict[str, str]:
    if not isinstance(value, dict):
        walk.mismatch(value, "map[string]string")
        return {}
    return {key: string(walk, item) for key, item in value.items()}


def _info(walk: Walk, value: Json) -> dict[str, Any]:
    if not isinstance(value, dict):
        walk.mismatch(value, "map[string]interface {}")
        return {}
    return members(walk, value, dict.fromkeys(_INFO, anything), f"api.{walk.struct}")


_INFO = (
    "capabilities",
    "model_family",
    "base_name",
    "quantization_level",
    "parameter_size",
    "context_length",
    "embedding_length",
)
_GENERATION: Fields = {
    "model": string,
    "stream": boolean,
    "format": fields.schema,
    "keep_alive": fields.keep_alive,
    "options": mapping,
    "think": fields.think,
    "truncate": boolean,
    "shift": boolean,
    "logprobs": boolean,
    "top_logprobs": integer,
    "_debug_render_only": boolean,
}
_GENERATE: Fields = {
    **_GENERATION,
    "prompt": string,
    "suffix": string,
    "system": string,
    "template": string,
    "context": list_of(integer, "[]int", zero=0),
    "raw": boolean,
    "images": list_of(image, "[]api.ImageData", zero=b"", counted="images"),
}
_CHAT: Fields = {
    **_GENERATION,
    "messages": list_of(fields.message, "[]api.Message", zero=wire.Message(), counted="messages"),
    "tools": list_of(fields.tool, "api.Tools", zero=wire.Tool(), counted="tools"),
}
_EMBED: Fields = {
    "model": string,
    "input": fields.texts,
    "truncate": boolean,
    "dimensions": integer,
    "keep_alive": fields.keep_alive,
    "options": mapping,
}
_EMBEDDING: Fields = {"model": string, "prompt": string, "keep_alive": fields.keep_alive, "options": mapping}
_NAMED: Fields = {"model": string, "name": string}
_SHOW: Fields = {**_NAMED, "verbose": boolean, "system": string, "options": mapping}
_TRANSFER: Fields = {**_NAMED, "insecure": boolean, "stream": boolean}
_COPY: Fields = {"source": string, "destination": string}
_CREATE: Fields = {
    **_NAMED,
    "stream": boolean,
    "from": string,
    "files": _digests,
    "adapters": _digests,
    "draft_files": _digests,
    "draft_quantize": string,
    "template": string,
    "license": _licenses,
    "system": string,
    "parameters": mapping,
    "messages": list_of(fields.message, "[]api.Message", zero=wire.Message(), counted="messages"),
    "quantize": string,
    "quantization": string,
    "renderer": string,
    "parser": string,
    "requires": string,
    "remote_host": string,
    "info": _info,
}

__all__ = ("chat", "copy", "create", "delete", "embed", "embeddings", "generate", "pull", "push", "show")
