"""What protocols see of the core: names resolved, callers' rights checked, work handed to the pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama.catalog import Catalog, Entry
from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import ModelNotFound, UnsupportedFeature
from hyperllama.generation import GenerationRequest
from hyperllama.identity import Caller, Principal
from hyperllama.messages import Input
from hyperllama.models import ModelInfo, RunningModel
from hyperllama.pipeline import EmbedCall, Pipeline
from hyperllama.spi import Embeds, LoadedModel, Tokenizes
from hyperllama.store.modelstore import ModelStore
from hyperllama.stream import TokenStream


async def embed_alone(model: Embeds, request: EmbeddingRequest) -> Embeddings:
    """The engine call of one request, not shared with others."""
    return await model.embed(request)


class LocalGateway:
    """``hyperllama.spi.Gateway`` over this process's catalog and pipeline."""

    def __init__(
        self, catalog: Catalog, pipeline: Pipeline, embed: EmbedCall = embed_alone, *, store: ModelStore | None = None
    ) -> None:
        self._catalog = catalog
        self._pipeline = pipeline
        self._embed = embed
        self.store = store

    def models(self, principal: Principal) -> Sequence[ModelInfo]:
        found = [entry.info for entry in self._catalog.entries() if _may_use(principal, entry)]
        return sorted(found, key=lambda info: (-info.modified, info.name))

    def model(self, name: str, principal: Principal) -> ModelInfo:
        return self._entry(name, principal).info

    def running(self, principal: Principal) -> Sequence[RunningModel]:
        return [running for entry, running in self._catalog.running() if _may_use(principal, entry)]

    async def generate(self, request: GenerationRequest, caller: Caller) -> TokenStream:
        return await self._pipeline.generate(request, caller, self._entry(request.model, caller.principal))

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> Embeddings:
        entry = self._entry(request.model, caller.principal)
        return await self._pipeline.embed(request, caller, entry, self._embed)

    async def load(self, name: str, caller: Caller, *, keep_alive: float | None = None) -> int:
        entry = self._entry(name, caller.principal)
        lease = await self._catalog.acquire(entry, keep_alive=keep_alive, patience=caller.patience)
        lease.release()
        return lease.load_ns

    async def unload(self, name: str, caller: Caller) -> None:
        await self._catalog.unload(self._entry(name, caller.principal))

    async def tokenize(self, name: str, input: Input, caller: Caller) -> tuple[int, ...]:
        lease = await self._catalog.acquire(self._entry(name, caller.principal))
        try:
            return await _tokenizer(lease.model).tokenize(input)
        finally:
            lease.release()

    async def detokenize(self, name: str, ids: Sequence[int], caller: Caller) -> str:
        lease = await self._catalog.acquire(self._entry(name, caller.principal))
        try:
            return await _tokenizer(lease.model).detokenize(ids)
        finally:
            lease.release()

    def _entry(self, name: str, principal: Principal) -> Entry:
        entry = self._catalog.find(name)
        if not _may_use(principal, entry):
            raise ModelNotFound(f"model '{name}' not found", param="model")
        return entry


def _may_use(principal: Principal, entry: Entry) -> bool:
    return principal.may_use(entry.spec.name, *entry.spec.aliases)


def _tokenizer(model: LoadedModel) -> Tokenizes:
    if not isinstance(model, Tokenizes):
        raise UnsupportedFeature(f"model '{model.info.name}' does not show its tokenizer", param="model")
    return model


__all__ = ("LocalGateway", "embed_alone")
