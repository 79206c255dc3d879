"""Models on disk: pulled, created, copied, deleted and pushed. What is listed is whole."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
)
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from hyperllama.errors import ConfigError, Forbidden, InvalidRequest, ModelNotFound, Overloaded
from hyperllama.hub.reference import HubReference, parse
from hyperllama.identity import Caller
from hyperllama.models import ModelSpec
from hyperllama.modelstore import recipe as recipes
from hyperllama.modelstore.blobs import Blobs, failed
from hyperllama.modelstore.confined import ConfinedDirectory
from hyperllama.modelstore.downloads import download
from hyperllama.modelstore.hub import MISSING, Hub, Repository
from hyperllama.modelstore.manifests import Layer, Manifest, Manifests
from hyperllama.modelstore.model_directories import ModelDirectories
from hyperllama.modelstore.model_source import StoreSource
from hyperllama.modelstore.names import HOST, NAMESPACE, TAG, StoredName, hex_of, stored_name
from hyperllama.modelstore.quantization import SUPPORTED, Reencoding
from hyperllama.modelstore.recipe import Base
from hyperllama.modelstore.shared_work import SharedWork, Stopped
from hyperllama.modelstore.store_listing import StoreListing
from hyperllama.modelstore.uploaded_layers import layers_of
from hyperllama.spi import NotOnHub, Progress, Recipe, SourceUnavailable, TransferFailed
from hyperllama.system.executors import Workers

log = structlog.get_logger(__name__)
T = TypeVar("T")

TRANSFERS = 4  # pulls and pushes at once
LISTINGS = 32  # looks at the Hub at once, none of which waits for a transfer
ORPHANS = 3600.0  # seconds that an uploaded file waits for a model to be made of it
_PIECE = 2**20
_HUBS = ("hf.co", "huggingface.co")


class DiskModelStore:
    """The model store on disk, for one event loop. Constructing opens and creates nothing."""

    def __init__(self, root: Path, *, names: Mapping[str, str], hub: Hub | None = None) -> None:
        """Make a store; ``names``: the references that short names are fetched from."""
        directory = ConfinedDirectory(root.absolute())
        self.directory = directory
        self.blobs = Blobs(directory)
        self.manifests = Manifests(directory, self.blobs)
        self.views = ModelDirectories(directory)
        self._disk = Workers("model-files", 4, waiting=256, refusal=_busy)  # hashing, writing, laying out
        self.source = StoreSource(self.manifests, self.views, self._disk)
        self._names = {key.casefold().removesuffix(f":{TAG}"): value for key, value in names.items()}
        self._hub = hub or Hub()
        self._transfers = Workers("transfers", TRANSFERS, waiting=4 * TRANSFERS, refusal=_busy)
        self._listings = Workers("hub-listings", LISTINGS, waiting=0, refusal=_busy)
        self._given_up = -1.0  # the instant at which the Hub last was silent, until it answers again
        self._quantizers = Workers("quantizing", 1, waiting=4, refusal=_busy)
        self._shelf: StoreListing | None = None
        self._seen = -1  # the mark of the last change that the shelf shows
        self._pulls: dict[tuple[str, str, str, str], SharedWork] = {}
        self._pinned: list[set[str]] = []
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def quantizations(self) -> tuple[str, ...]:
        return SUPPORTED

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Return ``call()``, run in a thread for the store's files. Raise Overloaded when too many calls wait."""
        return await self._disk.run(call)

    def attach(self, shelf: StoreListing) -> None:
        """Set the listing to offer models in. Must be called before any other method."""
        self._shelf = shelf

    def refresh(self) -> None:
        """Read the changes of other processes; cheap where there are none, and done before every lookup."""
        mark = self.directory.marked()
        if mark != self._seen:
            self._seen = mark
            try:
                found = self.manifests.all()
            except OSError as error:
                log.error("the store cannot be read", reason=error.strerror)
            else:
                self._shelved.fill(found)

    async def open(self) -> None:
        """Remove what processes that died left behind."""
        if self.directory.root.is_dir():
            await self._disk.run(self._collect)

    async def close(self) -> None:
        """Break off pulls, which a later pull continues, and finish all other work under way."""
        for shared in self._pulls.values():
            shared.stop()
        await asyncio.gather(*(shared.task for shared in self._pulls.values()), *self._tasks, return_exceptions=True)
        self._transfers.close()
        self._listings.close()
        self._quantizers.close()
        self._disk.close()

    # --- models ---

    async def pull(self, name: str, caller: Caller, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        """Pull a model. Concurrent pulls of it share one download, which stops when all its clients have left."""
        wanted = self._writable(name, caller, configured=True)
        yield Progress("resolving")
        if self._shelved.configured(wanted.short):
            await self._shelved.fetch(wanted.short)
        else:
            reference = self._reference(wanted)
            while (shared := self._pulls.get(wanted.key)) is not None and shared.leaving:
                await asyncio.wait([shared.task])
                if self._pulls.get(wanted.key) is shared:
                    del self._pulls[wanted.key]
            if shared is None:
                shared = SharedWork(lambda shared: self._pull(shared, wanted, reference), f"pull {wanted.short}")
                self._pulls[wanted.key] = shared
            async with aclosing(shared.watch()) as steps:
                async for step in steps:
                    yield step
        yield Progress("done")

    async def create(self, request: Recipe, name: str, caller: Caller) -> AsyncGenerator[Progress, None]:
        wanted = self._writable(name, caller)
        recipes.check(request)
        with self._pins() as pins:
            if request.files:
                pins |= {f"sha256:{hex_of(digest.lower())}" for digest in request.files.values()}
                layers = await self._disk.run(lambda: layers_of(request.files, self.blobs))
                if any(layer.filename.lower().endswith(".gguf") for layer in layers):
                    yield Progress("reading_gguf")
                start, parent = Manifest(layers=layers), ""
            else:
                parent = stored_name(request.base).tagged
                if self._base(request.base, caller) is None:
                    async with aclosing(self.pull(request.base, caller)) as steps:
                        async for step in steps:
                            if step.phase != "done":
                                yield step
                base = self._base(request.base, caller)
                if base is None:
                    raise ModelNotFound(f"model '{request.base}' not found", param="from")
                start = recipes.manifest_of(base)
            if kind := recipes.quantization(request):
                work = Reencoding(start.layers, kind, self.blobs, pins, self._quantizers)
                async with aclosing(work.watch()) as steps:
                    async for step in steps:
                        yield step
                start = msgspec.structs.replace(start, layers=work.layers)
            for layer in start.layers:
                yield Progress("reusing", layer.digest)
            manifest = recipes.applied(request, start, parent)
            yield Progress("writing")
            await self._finish(self._commit(wanted, manifest))
        yield Progress("done")

    async def copy(self, source: str, destination: str, caller: Caller) -> None:
        """Give ``source`` another name. Raises ModelNotFound when there is no ``source``."""
        base = self._base(source, caller)
        if base is None:
            raise ModelNotFound(f"model '{source}' not found", param="source")
        if stored_name(source).key == stored_name(destination).key:
            return
        wanted = self._writable(destination, caller)
        await self._finish(self._commit(wanted, recipes.manifest_of(base)))

    async def delete(self, name: str, caller: Caller) -> None:
        """Delete a name. A loaded model is unloaded when its requests have ended. Raises ModelNotFound."""
        wanted = stored_name(name)
        if self._base(name, caller) is None and await self._disk.run(lambda: self.manifests.find(wanted)) is None:
            raise ModelNotFound(f"model '{name}' not found", param="model")
        await self._finish(self._delete(self._writable(name, caller)))

    async def push(self, name: str, caller: Caller, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        """Upload a model to the Hub repository of its name, with the gateway's own token."""
        yield Progress("locating")
        wanted = stored_name(name)
        base = self._base(name, caller)
        if base is None or base.manifest is None or not base.manifest.layers:
            yield Progress("not_located")
            raise ModelNotFound(f"model '{name}' not found in the store", param="model")
        if wanted.namespace.casefold() == NAMESPACE or wanted.host.casefold() not in (HOST, *_HUBS):
            raise InvalidRequest("only to the Hub: call the model org/name or hf.co/org/name", param="model")
        layers = base.manifest.layers

        async def work(shared: SharedWork) -> None:
            repo = f"{wanted.namespace}/{wanted.model}"
            await self._transfers.run(lambda: self._hub.send(repo, layers, self.blobs, report=shared.report))

        shared = SharedWork(work, f"push {wanted.short}")
        async with aclosing(shared.watch()) as steps:
            async for step in steps:
                yield step
        yield Progress("publishing")
        yield Progress("done")

    # --- blobs ---

    async def has_blob(self, digest: str, caller: Caller) -> bool:
        return await self._disk.run(lambda: self.blobs.size(digest)) is not None

    async def put_blob(self, digest: str, content: AsyncIterator[bytes], caller: Caller) -> bool:
        """Store a blob; False, with ``content`` unread, if it is there. Raises InvalidRequest for a wrong digest."""
        hex_of(digest)
        try:
            if await self._disk.run(lambda: self.blobs.whole(digest)):
                return False
            await self._disk.run(lambda: self.blobs.need(0))
            with self.blobs.partial(None) as (name, file):
                pending = bytearray()
                async for piece in content:
                    pending += piece
                    if len(pending) >= _PIECE:
                        self.blobs.need(len(pending))
                        await self._disk.run(partial(file.write, bytes(pending)))
                        pending.clear()
                await self._disk.run(partial(file.write, bytes(pending)))
                await self._disk.run(lambda: self.blobs.keep(name, file, want=digest))
        except OSError as error:
            raise failed(error) from error
        return True

    # --- below ---

    @property
    def _shelved(self) -> StoreListing:
        assert self._shelf is not None, "attach() comes first"  # noqa: S101
        return self._shelf

    def _base(self, name: str, caller: Caller) -> Base | None:
        self.refresh()
        found = self._shelved.base(stored_name(name).short)
        return found if found is not None and caller.principal.may_use(found.spec.name, *found.spec.aliases) else None

    def _writable(self, name: str, caller: Caller, *, configured: bool = False) -> StoredName:
        """Return ``name`` if ``caller`` may change it. ``configured``: the name may belong to the configuration."""
        self.refresh()
        wanted = stored_name(name)
        if not caller.principal.may_use(wanted.short):
            raise Forbidden(f"this key may not change '{wanted.short}'", param="model")
        if not configured and self._shelved.configured(wanted.short):
            raise InvalidRequest(f"model '{wanted.short}' belongs to the gateway's configuration", param="model")
        return wanted

    def _reference(self, name: StoredName) -> HubReference:
        known = self._names.get(name.short.casefold())
        try:
            if known is not None:
                return parse(known.removeprefix("hf:"))
            if name.host.casefold() in (HOST, *_HUBS) and name.namespace.casefold() != NAMESPACE:
                quant = f":{name.tag}" if name.tag.casefold() != TAG else ""
                return parse(f"{name.namespace}/{name.model}{quant}")
        except ConfigError as error:
            raise NotOnHub(MISSING, param="model") from error
        raise NotOnHub(MISSING, param="model")

    async def _pull(self, shared: SharedWork, name: StoredName, reference: HubReference) -> None:
        try:
            with self._pins() as pins:
                repository = await self._listings.run(lambda: self._hub.look(reference))
                layers = await self._transfers.run(self._transfer(repository, shared, pins))
                shared.report(Progress("writing"))
                origin = f"hf:{repository.repo}@{repository.commit}"
                manifest = Manifest(layers=layers, spec=ModelSpec(), source=origin)
                await self._finish(self._commit(name, manifest))
        except Stopped as error:
            log.info("pull stopped, to be gone on with", model=name.short)
            raise TransferFailed("stopped; pull again to go on") from error
        finally:
            if self._pulls.get(name.key) is shared:
                del self._pulls[name.key]

    def _transfer(self, repository: Repository, shared: SharedWork, pins: set[str]) -> Callable[[], tuple[Layer, ...]]:
        """Return the download for a thread. It fails at once if the Hub fell silent while it waited for a place."""
        began = time.monotonic()

        def run() -> tuple[Layer, ...]:
            if self._given_up > began:
                raise SourceUnavailable("the Hub does not answer; try again later")
            try:
                layers = download(self._hub, self.blobs, repository, shared=shared, pins=pins)
            except SourceUnavailable:
                self._given_up = time.monotonic()
                raise
            self._given_up = -1.0
            return layers

        return run

    async def _commit(self, name: StoredName, manifest: Manifest) -> None:
        async with self._changing:
            try:
                await self._write(name, manifest)
            except OSError as error:
                raise failed(error) from error

    async def _write(self, name: StoredName, manifest: Manifest) -> None:
        old = await self._disk.run(lambda: self.manifests.find(name))
        spelt = old.name if old is not None else name
        digest = hashlib.sha256(manifest.encode()).hexdigest()
        try:
            view = await self._disk.run(lambda: self.views.make(manifest, digest))
            try:
                put = await self._shelved.prepare(spelt, manifest, digest)
            except ConfigError as error:
                sentence = str(error).replace(str(view), spelt.short).removeprefix(f"models.{spelt.short}: ")
                raise InvalidRequest(sentence, param="model") from error
            stored, old = await self._disk.run(lambda: self.manifests.write(spelt, manifest))
        except BaseException:
            await self._disk.run(lambda: self._release(manifest.layers if old is None else ()))
            raise
        put(stored)
        if old is not None and old.digest != stored.digest:
            await self._disk.run(lambda: self._release(old.manifest.layers))

    async def _delete(self, name: StoredName) -> None:
        async with self._changing:
            old = await self._disk.run(lambda: self.manifests.remove(name))
            if old is None:
                raise ModelNotFound(f"model '{name.short}' not found", param="model")
            self._shelved.withdraw(old.name.short)
            await self._disk.run(lambda: self._release(old.manifest.layers))

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` to its end, even when its caller is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        waiting: Awaitable[T] = asyncio.shield(task)
        return await waiting

    @contextmanager
    def _pins(self) -> Iterator[set[str]]:
        """Yield a set: blobs of the digests in it are kept even though no manifest names them yet."""
        pins: set[str] = set()
        self._pinned.append(pins)
        try:
            yield pins
        finally:
            self._pinned = [other for other in self._pinned if other is not pins]

    def _release(self, layers: tuple[Layer, ...]) -> None:
        try:
            self.manifests.release(layers, pinned=frozenset().union(*self._pinned))
            self.views.collect(stored.digest for stored in self.manifests.all())
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            log.warning("unused files stay in the store", reason=type(error).__name__)

    def _collect(self) -> None:
        try:
            with self.directory.locked():
                self.manifests.collect()
                self.blobs.collect(kept=self.manifests.used().union(*self._pinned), age=ORPHANS)
                self.views.collect(stored.digest for stored in self.manifests.all())
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            log.warning("the store was not tidied up", reason=type(error).__name__)


def _busy() -> Overloaded:
    return Overloaded("The model store is busy; try again later.", retry_after=10.0)


__all__ = ("DiskModelStore",)
