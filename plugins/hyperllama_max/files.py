"""A model's files on disk: config, tokenizer settings, weights, and the facts in their headers."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from pathlib import Path
from typing import Any, Final, overload

import msgspec

from hyperllama.errors import ConfigError
from hyperllama_max import gguf_settings, gguf_tokenizer
from hyperllama_max.gguf import GgufHeader, read_header
from hyperllama_max.gguf_settings import GgufSettings

MAX_JSON: Final = 64 * 1024 * 1024
MAX_LICENSE: Final = 64 * 1024
NESTED: Final = "[0-9]_*/config.json"  # of the modules after an encoder
_DTYPES: Final = {"F32": "F32", "F16": "F16", "BF16": "BF16", "F8_E4M3": "F8", "F64": "F64"}


class ModelFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files that MAX would load. ``folder`` holds config and tokenizer, also beside a single GGUF file."""

    folder: Path
    weights: tuple[Path, ...]
    format: str  # "safetensors" or "gguf"
    config: dict[str, Any]
    tokenizer_config: dict[str, Any]
    generation_config: dict[str, Any]
    added_tokens: frozenset[str]
    parameter_count: int
    quantization: str  # as the weights are stored
    gguf: GgufHeader | None = None
    stored: dict[str, tuple[str, tuple[int, ...]]] = msgspec.field(default_factory=dict)  # name: type and shape
    told: bool = False  # by the GGUF file's header alone: there are no settings and no tokenizer beside it

    @property
    def architecture(self) -> str:
        return str((self.config.get("architectures") or [""])[0])

    @property
    def vocab_size(self) -> int:
        return int(self.decoder.get("vocab_size") or 0)

    @property
    def positions(self) -> int:
        """Return the longest sequence the model was made for; 0 if it is not given."""
        return int(self.decoder.get("max_position_embeddings") or 0)

    @property
    def decoder(self) -> dict[str, Any]:
        """Return the settings of the decoder, which are under a key of their own in models that also see."""
        inner = self.config.get("text_config")
        return {**inner, **self.config} if isinstance(inner, dict) else self.config

    def template(self) -> str:
        """Return the model's own chat template; empty if it has none."""
        beside = self.folder / "chat_template.jinja"
        if beside.is_file():
            return beside.read_text("utf-8")
        found = self.tokenizer_config.get("chat_template")
        if isinstance(found, list):  # several by name
            named = {str(item.get("name")): str(item.get("template", "")) for item in found if isinstance(item, dict)}
            return named.get("default", "")
        return found if isinstance(found, str) else ""

    def license(self) -> str:
        """Return the text of the license file, or else the license on the card; empty if unknown."""
        for name in ("LICENSE", "LICENSE.txt", "LICENSE.md"):
            if (path := self.folder / name).is_file():
                return path.read_text("utf-8", "replace")[:MAX_LICENSE]
        return self.card("license")

    def card(self, key: str) -> str:
        """Return a scalar of the front matter of README.md; empty if it is missing."""
        path = self.folder / "README.md"
        if path.is_file():
            lines = path.read_text("utf-8", "replace")[:MAX_LICENSE].splitlines()
            if lines and lines[0].strip() == "---":
                for line in lines[1:]:
                    if line.strip() == "---":
                        break
                    name, _, value = line.partition(":")
                    if name == key:
                        return value.strip().strip("\"'")
        return ""

    def digest(self) -> str:
        """Return a digest of names, sizes and times, which changes when a file is replaced."""
        state = hashlib.sha256()
        for path in sorted(self._all(), key=lambda path: path.name):
            found = path.stat()
            state.update(f"{path.name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
        return state.hexdigest()

    def size(self) -> int:
        return sum(path.stat().st_size for path in self._all())

    def modified(self) -> float:
        return max(path.stat().st_mtime for path in self._all())

    def _all(self) -> list[Path]:
        others = [
            path for path in self.folder.iterdir() if path.is_file() and path.suffix in (".json", ".jinja", ".model")
        ]
        return [*self.weights, *others, *self.folder.glob(NESTED)]


def identity(path: Path) -> str:
    """Return a text that is equal for two paths to the same files, hard-linked or not, as long as they are unchanged.

    Templates beside them do not count. Raises OSError.
    """
    folder = path if path.is_dir() else path.parent
    kinds = (".json", ".model") if path.is_file() else (".json", ".model", ".safetensors", ".gguf")
    found = {file.name: file for file in folder.iterdir() if file.suffix.lower() in kinds}
    found |= {str(file.relative_to(folder)): file for file in folder.glob(NESTED)}
    if path.is_file():
        found[path.name] = path
    state = hashlib.sha256()
    for name in sorted(found):
        status = found[name].stat()
        state.update(f"{name}\0{status.st_dev}\0{status.st_ino}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return state.hexdigest()


def read(path: Path, where: str) -> ModelFiles:
    """Read the small files and the headers. ``where`` names the model in a ConfigError."""
    weights: tuple[Path, ...]
    if path.is_file() and path.suffix.lower() == ".gguf":
        folder, weights = path.parent, (path,)
    elif path.is_dir():
        folder, weights = path, _weights(path, where)
    else:
        raise ConfigError(f"{where}: {path} is neither a model directory nor a .gguf file.")
    gguf = read_header(weights[0]) if weights[0].suffix.lower() == ".gguf" else None
    if (folder / "config.json").is_file():
        names = ("config.json", "tokenizer_config.json", "generation_config.json")
        settings = GgufSettings(*(read_json(folder / name, where) for name in names))
    elif gguf is not None:
        gguf_tokenizer.check(gguf, f"{where}: {weights[0].name}")
        settings = gguf_settings.settings_of(gguf, f"{where}: {weights[0].name}")
    else:
        raise ConfigError(f"{where}: {folder} has no config.json.")
    if gguf is None:
        held = _safetensors(weights, where)
        parameters, kind = _counted(held)
    else:
        held = {tensor.name: (tensor.type, tuple(reversed(tensor.shape))) for tensor in gguf.tensors}
        parameters, kind = gguf.parameter_count, gguf.quantization
    return ModelFiles(
        folder=folder,
        weights=weights,
        format="safetensors" if gguf is None else "gguf",
        config=settings.config,
        tokenizer_config=settings.tokenizer_config,
        generation_config=settings.generation_config,
        added_tokens=_added_tokens(folder / "tokenizer.json"),
        parameter_count=parameters,
        quantization=kind,
        gguf=gguf,
        stored=held,
        told=gguf is not None and not (folder / "config.json").is_file(),
    )


def _weights(folder: Path, where: str) -> tuple[Path, ...]:
    for pattern in ("model*.safetensors", "*.safetensors", "*.gguf"):
        if found := tuple(sorted(path for path in folder.glob(pattern) if path.is_file())):
            if found[0].suffix == ".gguf" and len(found) > 1:
                raise ConfigError(
                    f"{where}: {folder} holds several .gguf files; give the path of one of them as source."
                )
            return found
    raise ConfigError(f"{where}: {folder} holds no .safetensors and no .gguf file.")


def _safetensors(paths: tuple[Path, ...], where: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    found = {}
    for path in paths:
        for name, tensor in _header(path, where).items():
            kind = str(tensor.get("dtype", ""))
            found[name] = (_DTYPES.get(kind, kind), tuple(tensor.get("shape", ())))
    return found


def _counted(held: dict[str, tuple[str, tuple[int, ...]]]) -> tuple[int, str]:
    """Return the number of parameters, and the type of most of them."""
    sizes: dict[str, int] = {}
    for kind, shape in held.values():
        sizes[kind] = sizes.get(kind, 0) + math.prod(shape)
    return sum(sizes.values()), max(sizes, key=sizes.__getitem__) if sizes else ""


def _header(path: Path, where: str) -> dict[str, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_JSON:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            ends = [tensor["data_offsets"][1] for tensor in header.values()]
            if path.stat().st_size != 8 + length + max(ends, default=0):
                raise ValueError("its size is not what its header says")
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{where}: {path.name} is damaged or no safetensors file: {error}") from error
    except OSError as error:
        raise ConfigError(f"{where}: {path} cannot be read: {error.strerror}") from error
    return dict(header)


@overload
def read_json(path: Path, where: str) -> dict[str, Any]: ...


@overload
def read_json(path: Path, where: str, *, kind: type[list[Any]]) -> list[Any]: ...


def read_json(path: Path, where: str, *, kind: type[Any] = dict) -> Any:
    """Return the object in ``path``, or the array for ``kind`` list; empty when there is no such file.

    Raises ConfigError for a file that holds anything else, with ``where`` for the model's name.
    """
    if not path.is_file():
        return kind()
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError("it is too long")
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, kind):
            raise ValueError(f"it holds no {'object' if kind is dict else 'array'}")
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {path.name} cannot be read as JSON: {error}") from error
    return found


class _AddedToken(msgspec.Struct):
    content: str


class _TokenizerFile(msgspec.Struct):
    added_tokens: list[_AddedToken] = []


def _added_tokens(path: Path) -> frozenset[str]:
    if not path.is_file() or path.stat().st_size > MAX_JSON:
        return frozenset()
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_TokenizerFile)
    except msgspec.MsgspecError:
        return frozenset()  # the tokenizer library will say what is wrong with it, at load
    return frozenset(token.content for token in found.added_tokens)


__all__ = ("ModelFiles", "identity", "read", "read_json")
