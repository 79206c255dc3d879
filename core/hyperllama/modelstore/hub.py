"""The Hugging Face Hub through its own client: what a repository holds, its files as blobs, and the way back."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from hyperllama.errors import GatewayError, StoreFailed
from hyperllama.hub import compat
from hyperllama.hub.reference import HubReference, chosen
from hyperllama.modelstore.blobs import Blobs
from hyperllama.modelstore.manifests import Layer
from hyperllama.modelstore.shared_work import Report, Stopped
from hyperllama.spi import NotOnHub, Progress, Refused, SourceUnavailable, Transfer, TransferFailed, WrongContent
from hyperllama.system.files import full

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TIMEOUT = 4.0
_RUNS_CODE = frozenset({"auto_map", "_attn_implementation_internal"})  # the second names a kernel to fetch
SLACK = 2**20  # bytes beyond the listed size of a file, after which a download without an end is cut
PAUSE = 0.06  # seconds between two lines about one file
MISSING = "The Hub has no such model, or this gateway may not see it."
SETTINGS = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")


class HubFile(msgspec.Struct, frozen=True):
    """A file on the Hub. ``sha256`` is known beforehand of large files, ``sha1`` (git's, of a blob) of all others."""

    name: str
    size: int
    sha256: str | None
    sha1: str | None


class Repository(msgspec.Struct, frozen=True):
    """A revision of a repository, and the files of it that are a model."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]


class Hub:
    """The Hub's API. Blocks: use in threads. Raises GatewayError with a sentence for the client."""

    def __init__(self, environ: Mapping[str, str] = os.environ, *, timeout: float = TIMEOUT) -> None:
        """Set ``timeout``: seconds that the Hub may be silent, or send less than ``paced_clients.MIN_RATE``."""
        self._environ = environ
        self._timeout = timeout

    def look(self, reference: HubReference) -> Repository:
        """Return the revision and the files of ``reference``. Raises ModelNotFound, StoreFailed."""
        try:
            api = self._api()
            with compat.within(self._timeout):
                info = api.model_info(
                    reference.repo, revision=reference.revision, files_metadata=True, timeout=self._timeout
                )
        except Exception as error:
            raise translated(error) from error
        siblings = {item.rfilename: item for item in info.siblings or ()}
        names = chosen(siblings, reference.quant)
        if not names:
            what = f"GGUF file with {reference.quant!r} in its name" if reference.quant else "safetensors or GGUF file"
            raise TransferFailed(
                f"'{reference.repo}' holds no {what} that is whole by itself", transfer="pull_manifest"
            )
        files = []
        for name in names:
            item = siblings[name]
            sha256 = item.lfs.sha256 if item.lfs is not None else None
            files.append(HubFile(name, item.size or 0, sha256, item.blob_id if sha256 is None else None))
        return Repository(reference.repo, info.sha or "main", tuple(files))

    def fetch(
        self, repository: Repository, file: HubFile, blobs: Blobs, *, report: Report, check: Callable[[], None]
    ) -> Layer:
        """Download a file as a verified blob, from where an earlier download ended. ``check`` raises to stop it."""
        want = f"sha256:{file.sha256}" if file.sha256 is not None else None
        if want is not None and blobs.whole(want):
            report(_downloading(want, file.size, file.size))
            return Layer(file.name, want, file.size)
        try:
            with blobs.partial(want, wait=check) as (name, raw):
                if want is not None and blobs.whole(want):  # another fetched it meanwhile
                    blobs.drop(name)
                    report(_downloading(want, file.size, file.size))
                    return Layer(file.name, want, file.size)
                if file.size and raw.tell() > file.size:
                    raw.truncate(0)
                    raw.seek(0)
                sink = _Sink(raw, want, file.size, report=report, check=check)
                self._get(repository, file, sink, raw.tell())
                if file.sha1 is not None:
                    _check_git(raw, file)
                digest, size = blobs.keep(name, raw, want=want)
        except Refused as error:
            raise WrongContent(file.name, *error.details) from error
        except (GatewayError, Stopped):
            raise
        except Exception as error:
            raise translated(error) from error
        report(_downloading(digest, size, size))
        return Layer(file.name, digest, size)

    def send(self, repo: str, layers: Sequence[Layer], blobs: Blobs, *, report: Report) -> None:
        """Upload ``layers``. Raises StoreFailed, with "unauthorized" in it for a missing or a wrong token."""
        token = self._environ.get("HF_TOKEN", "")
        if not token:
            raise StoreFailed("unauthorized: set HF_TOKEN in the gateway's environment to a token that may write")
        api = self._api(token)
        try:
            api.create_repo(repo, exist_ok=True, private=True)
            for layer in layers:
                report(Progress("uploading", layer.digest, layer.size))
                with blobs.open(layer.digest) as file:
                    api.upload_file(path_or_fileobj=file, path_in_repo=layer.filename, repo_id=repo)
                report(Progress("uploading", layer.digest, layer.size, layer.size))
        except Exception as error:
            raise translated(error, transfer="push") from error

    def _api(self, token: str | None = None) -> HfApi:
        return compat.api(self._endpoint(), token, self._timeout)

    def _endpoint(self) -> str | None:
        return self._environ.get("HF_ENDPOINT") or None

    def _get(self, repository: Repository, file: HubFile, sink: _Sink, have: int) -> None:
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(repository.repo, file.name, revision=repository.commit, endpoint=self._endpoint())
        sink.show()
        compat.download(url, sink, have=have)


class _Sink:
    """The file that the Hub's client writes to: it reports progress, and ``check`` raises to stop it."""

    def __init__(
        self, file: BinaryIO, digest: str | None, total: int, *, report: Report, check: Callable[[], None]
    ) -> None:
        self._file = file
        self._digest = digest
        self._total = total
        self._report = report
        self._check = check
        self._said = 0.0

    def write(self, data: bytes) -> int:
        self._check()
        written = self._file.write(data)
        if self._total and self._file.tell() > self._total + SLACK:
            raise TransferFailed("the Hub sends more than it listed")
        if time.monotonic() - self._said >= PAUSE:
            self.show()
        return written

    def show(self) -> None:
        self._said = time.monotonic()
        if self._digest is not None:
            self._report(_downloading(self._digest, self._total, self._file.tell()))

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def truncate(self, size: int | None = None) -> int:
        return self._file.truncate(size)


def runs_code(name: str, file: BinaryIO) -> bool:
    """Return whether settings ask for foreign code to be run. Raise StoreFailed for what is no JSON."""
    if name not in SETTINGS:
        return False
    try:
        found = json.loads(file.read(64 * 2**20))
    except (ValueError, RecursionError) as error:
        raise StoreFailed(f"{name} cannot be read as JSON") from error
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if not _RUNS_CODE.isdisjoint(value):
                return True
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return False


def translated(error: Exception, *, transfer: Transfer = "pull") -> GatewayError:
    """Return an exception of the Hub's client as one of ours, without any address, path or token in it."""
    import httpx
    from huggingface_hub import errors

    if isinstance(error, GatewayError):
        return error
    if "Timeout" in type(error).__name__:
        return SourceUnavailable("the Hub does not answer; try again later", transfer=transfer)
    match error:
        case httpx.TransportError():
            return SourceUnavailable("the connection to the Hub broke off; try again to go on", transfer=transfer)
        case errors.GatedRepoError():
            return TransferFailed("access denied: ask for access to it at the Hub, and set HF_TOKEN", transfer=transfer)
        case errors.RepositoryNotFoundError() | errors.RevisionNotFoundError() | errors.EntryNotFoundError():
            return (
                NotOnHub(MISSING)
                if transfer == "pull"
                else TransferFailed("unauthorized or no such place", transfer=transfer)
            )
        case errors.OfflineModeIsEnabled():
            return TransferFailed("the gateway is offline (HF_HUB_OFFLINE)", transfer=transfer)
        case errors.HfHubHTTPError():
            status = error.response.status_code if error.response is not None else 0
            word = (
                "unauthorized" if status == 401 else "access denied" if status == 403 else f"the Hub answered {status}"
            )
            passes = status >= 500 or status == 429
            return (SourceUnavailable if passes else TransferFailed)(word, transfer=transfer)
        case errors.HFValidationError():
            return NotOnHub(MISSING)
        case OSError() if full(error):
            return TransferFailed("not enough space on the disk", transfer=transfer)
        case OSError() if error.errno is not None:
            return TransferFailed(os.strerror(error.errno), transfer=transfer)
        case ValueError() | TypeError() | LookupError():
            return SourceUnavailable("the Hub's answer cannot be read", transfer=transfer)
    return TransferFailed(f"{type(error).__name__}; try again", transfer=transfer)


def _downloading(digest: str, total: int, completed: int) -> Progress:
    return Progress("downloading", digest, total, completed)


def _check_git(file: BinaryIO, wanted: HubFile) -> None:
    file.flush()
    size = file.tell()
    file.seek(0)
    state = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    while piece := file.read(2**20):
        state.update(piece)
    if state.hexdigest() != wanted.sha1:
        raise StoreFailed(f"digest mismatch: {wanted.name} is not what the Hub says it is")


__all__ = ("MISSING", "SETTINGS", "Hub", "HubFile", "Repository", "runs_code", "translated")
