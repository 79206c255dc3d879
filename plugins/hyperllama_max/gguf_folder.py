"""A lone GGUF file as the folder that MAX loads: settings and tokenizer are written from its header, once."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

import msgspec

from hyperllama_max import gguf_settings, gguf_tokenizer
from hyperllama_max.files import ModelFiles
from hyperllama_max.gguf import read_header

_VERSION: Final = 1  # of what is written


def laid_out(files: ModelFiles, encoding: str | None, cache: Path) -> ModelFiles:
    """Return ``files`` laid out in a folder in ``cache``, the encoding in their name, which MAX trusts first."""
    source = files.weights[0].absolute()
    found = source.stat()
    key = f"{_VERSION}\0{source}\0{found.st_size}\0{found.st_mtime_ns}"
    folder = cache / "gguf" / hashlib.sha256(key.encode()).hexdigest()[:32]
    name = f"model-{_NAMES.get(encoding or '', encoding or 'f32')}.gguf"
    if not folder.is_dir():
        draft = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        header = read_header(source, whole=True)
        texts = {
            "config.json": files.config,
            "tokenizer_config.json": {**files.tokenizer_config, **gguf_settings.special_tokens(header)},
            "generation_config.json": files.generation_config,
            "tokenizer.json": gguf_tokenizer.tokenizer_of(header),
        }
        for text, content in texts.items():
            (draft / text).write_bytes(msgspec.json.encode(content))
        (draft / name).symlink_to(source)
        try:
            draft.rename(folder)
        except OSError:  # another host wrote the same meanwhile
            shutil.rmtree(draft, ignore_errors=True)
    tokenizer_config = msgspec.json.decode((folder / "tokenizer_config.json").read_bytes())
    return msgspec.structs.replace(
        files, folder=folder, weights=(folder / name,), tokenizer_config=tokenizer_config, told=False
    )


_NAMES: Final = {"q4_k": "q4_k_m", "float32": "f32"}

__all__ = ("laid_out",)
