"""The core as protocols see it: resolves names, checks what callers may use, hands work to the pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from hyperllama.catalog.catalog import Catalog
from hyperllama.catalog.entry import Entry
from hyperllama.database.audit import Actor, AuditLog
from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import Forbidden, ModelNotFound, UnsupportedFeature
from hyperllama.generation import Effort, GenerationRequest, ToolSpec
from hyperllama.identity import Caller, Principal
from hyperllama.messages import Input, opened
from hyperllama.models import ModelInfo, RunningModel
from hyperllama.modelstore.audited_store import AuditedStore
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.pipeline.pipeline import EmbedCall, Pipeline
from hyperllama.spi import Batches, Embeds, Files, LoadedModel, ModelStore, Records, Tokenizes, TokenTexts
from hyperllama.stream import TokenStream
from hyperllama.turns import placed

T = TypeVar("T")


async def embed_alone(model: Embeds, request: EmbeddingRequest) -> Embeddings:
    """Call the engine for one request alone."""
    return await model.embed(request)


class Kept(msgspec.Struct, frozen=True):
    """Storage for callers. None: neither files nor batches are offered."""

    records: Records
    files: Files | None = None
    batches: Batches | None = None


class LocalGateway:
    """``hyperllama.spi.Gateway`` over this process's catalog and pipeline."""

    def __init__(
        self,
        catalog: Catalog,
        pipeline: Pipeline,
        embed: EmbedCall = embed_alone,
        *,
        store: AuditedStore | DiskModelStore | None = None,
        kept: Kept | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        self._catalog = catalog
        self._pipeline = pipeline
        self._embed = embed
        self._store = store
        self._kept = kept
        self._audit = audit

    @property
    def records(self) -> Records:
        return _there(self._kept.records if self._kept is not None else None)

    @property
    def files(self) -> Files:
        return _there(self._kept.files if self._kept is not None else None)

    @property
    def batches(self) -> Batches:
        return _there(self._kept.batches if self._kept is not None else None)

    @property
    def model_store(self) -> ModelStore:
        store: ModelStore | None = self._store
        return _there(store)

    def models(self, principal: Principal) -> Sequence[ModelInfo]:
        if self._store is not None:
            self._store.refresh()
        found = [entry.info for entry in self._catalog.entries() if _may_use(principal, entry)]
        return sorted(found, key=lambda info: (-info.modified, info.name))

    def model(self, name: str, principal: Principal) -> ModelInfo:
        return self._entry(name, principal).info

    def running(self, principal: Principal) -> Sequence[RunningModel]:
        return [running for _, running in self._catalog.running(lambda entry: _may_use(principal, entry))]

    async def generate(self, request: GenerationRequest, caller: Caller) -> TokenStream:
        entry = self._entry(request.model, caller.principal)
        seen = placed(opened(request.input, entry.info.messages))
        if seen is not request.input:
            request = msgspec.structs.replace(request, input=seen)
        if request.keep_alive is not None:
            keep_alive = self._allowed(request.keep_alive, entry, caller)
            request = msgspec.structs.replace(request, keep_alive=keep_alive)
        return await self._pipeline.generate(request, caller, entry)

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> Embeddings:
        entry = self._entry(request.model, caller.principal)
        if request.keep_alive is not None:
            keep_alive = self._allowed(request.keep_alive, entry, caller)
            request = msgspec.structs.replace(request, keep_alive=keep_alive)
        return await self._pipeline.embed(request, caller, entry, self._embed)

    async def load(self, name: str, caller: Caller, *, keep_alive: float | None = None) -> int:
        entry = self._entry(name, caller.principal)
        return await self._pipeline.load(caller, entry, self._allowed(keep_alive, entry, caller))

    async def unload(self, name: str, caller: Caller) -> None:
        entry = self._entry(name, caller.principal)
        self._allowed(0.0, entry, caller)
        if self._audit is None:
            await self._pipeline.unload(caller, entry)
            return
        async with self._audit.watching("models.unload", entry.spec.name, Actor.of(caller)):
            await self._pipeline.unload(caller, entry)

    async def tokenize(
        self,
        name: str,
        input: Input,
        caller: Caller,
        *,
        tools: Sequence[ToolSpec] = (),
        reasoning: bool | Effort | None = None,
    ) -> tuple[int, ...]:
        entry = self._entry(name, caller.principal)
        whole = placed(opened(input, entry.info.messages))
        return await self._pipeline.use(
            "tokenize",
            caller,
            entry,
            lambda model, rendering: _tokenizer(model).tokenize(
                whole,
                tools=tools,
                reasoning=reasoning,
                **({} if rendering is None else {"rendering": rendering}),
            ),
        )

    async def detokenize(self, name: str, ids: Sequence[int], caller: Caller) -> str:
        entry = self._entry(name, caller.principal)
        return await self._pipeline.use("detokenize", caller, entry, lambda model, _: _tokenizer(model).detokenize(ids))

    async def token_texts(self, name: str, ids: Sequence[int], caller: Caller) -> tuple[str, ...]:
        entry = self._entry(name, caller.principal)
        return await self._pipeline.use("detokenize", caller, entry, lambda model, _: _token_texts(model, ids))

    def _allowed(self, keep_alive: float | None, entry: Entry, caller: Caller) -> float | None:
        """Return the ``keep_alive`` that takes effect; None leaves the model's timer as it is.

        A model is everybody's: to unload it, or to keep it longer than the configuration says, takes the right to
        change models. A shorter time of a caller without that right changes nothing. Raises Forbidden.
        """
        if keep_alive is None or "models:write" in caller.principal.permissions:
            return keep_alive
        if keep_alive <= 0:
            raise Forbidden(
                "This key may not unload models; that needs the permission models:write.", param="keep_alive"
            )
        if keep_alive > self._catalog.configured_keep_alive(entry):
            raise Forbidden(
                "This key needs the permission models:write to keep a model longer than the configuration says.",
                param="keep_alive",
            )
        return None

    def _entry(self, name: str, principal: Principal) -> Entry:
        if self._store is not None:
            self._store.refresh()
        entry = self._catalog.find(name)
        if not _may_use(principal, entry):
            raise ModelNotFound(f"model '{name}' not found", param="model", model=name)
        return entry


def _there(kept: T | None) -> T:
    if kept is None:
        raise UnsupportedFeature("This gateway does not keep files or batches.")
    return kept


def _may_use(principal: Principal, entry: Entry) -> bool:
    return principal.may_use(entry.spec.name, *entry.spec.aliases)


def _tokenizer(model: LoadedModel) -> Tokenizes:
    if not isinstance(model, Tokenizes):
        raise UnsupportedFeature(f"Model {model.info.name!r} does not offer its tokenizer.", param="model")
    return model


async def _token_texts(model: LoadedModel, ids: Sequence[int]) -> tuple[str, ...]:
    if isinstance(model, TokenTexts):
        return await model.token_texts(ids)
    tokenizer = _tokenizer(model)
    texts = {}
    for number in dict.fromkeys(ids):
        texts[number] = await tokenizer.detokenize((number,))
        await asyncio.sleep(0)
    return tuple(texts[number] for number in ids)


__all__ = ("Kept", "LocalGateway", "embed_alone")
