"""The step from the name in a request to its model, or to the error of the endpoint if there is none."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hyperllama.errors import GatewayError, InvalidRequest, ModelNotFound
from hyperllama.identity import Principal
from hyperllama.models import ModelInfo
from hyperllama.spi import Gateway
from hyperllama_ollama import names
from hyperllama_ollama.encode.text import quote
from hyperllama_ollama.errors import cloud_disabled


class Words(msgspec.Struct, frozen=True):
    """The wording of the same mistakes in one endpoint. ``missing`` gets the name as it was sent."""

    empty: Callable[[], GatewayError]
    missing: Callable[[str], str]
    malformed: Callable[[str], str] = lambda _: "invalid model name"
    cloud: str = "remote model is unavailable"


def _required() -> GatewayError:
    return InvalidRequest("model is required", param="model")


def _single(name: str) -> str:
    return f"model '{name}' not found"


def _hint(name: str) -> str:
    return f"model {quote(name)} not found, try pulling it first"


def _canonical(name: str) -> str:
    return f"model '{names.shown(names.reference(name.strip()).text)}' not found"


GENERATE = Words(empty=lambda: ModelNotFound("model '' not found", param="model"), missing=_single)
CHAT = Words(empty=_required, missing=_single)
EMBED = Words(empty=lambda: ModelNotFound("model '' not found", param="model"), missing=_hint)
EMBEDDINGS = Words(empty=_required, missing=_hint)
SHOW = Words(empty=_required, missing=_canonical, cloud="remote model details are unavailable")
DELETE = Words(empty=_required, missing=_single, malformed=lambda name: f"name {quote(name)} is invalid")
PULL = Words(empty=lambda: InvalidRequest("invalid model name", param="model"), missing=_single)


def resolve(gateway: Gateway, text: str, principal: Principal, words: Words) -> ModelInfo:
    """Return the model that ``text`` names. Raise the endpoint's error if the caller may use no such model."""
    reference = parse(text, words)
    asked = text.strip() if reference.source == "cloud" else reference.text
    try:
        return gateway.model(names.lookup(asked), principal)
    except ModelNotFound as error:
        # A configured name may break Ollama's rules; only one that does not exist is called malformed, or the cloud's.
        if reference.source == "cloud":
            raise cloud_disabled(words.cloud) from error
        if names.parse(reference.text) is None:
            raise InvalidRequest(words.malformed(text), param="model") from error
        raise ModelNotFound(words.missing(text), param="model") from error


def parse(text: str, words: Words) -> names.Reference:
    """Return the reference in ``text``, checked as far as that needs no model."""
    stripped = text.strip()
    if not stripped:
        raise words.empty()
    reference = names.reference(stripped)
    if reference.source == "conflict":
        raise InvalidRequest(f"use either :local or :cloud, not both: {quote(stripped)}", param="model")
    return reference


__all__ = ("CHAT", "DELETE", "EMBED", "EMBEDDINGS", "GENERATE", "PULL", "SHOW", "Words", "parse", "resolve")
