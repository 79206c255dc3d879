"""The environment of an engine host: only what is named here, so that no secret of the gateway's travels."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hyperllama.system.processes import alive

_ALLOWED = frozenset(
    {
        "CUDA_DEVICE_ORDER",
        "CUDA_HOME",
        "CUDA_VISIBLE_DEVICES",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HIP_VISIBLE_DEVICES",
        "HOME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "NVIDIA_DRIVER_CAPABILITIES",
        "NVIDIA_VISIBLE_DEVICES",
        "PATH",
        "PYTHONPATH",
        "PYTHONPYCACHEPREFIX",
        "ROCM_PATH",
        "ROCR_VISIBLE_DEVICES",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
    }
)
_PREFIX = "hyperllama-host-"


def clean(scratch: Path, extra: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the allowed part of ``environ``, a private TMPDIR, and ``extra``, which wins."""
    kept = {name: value for name, value in environ.items() if name in _ALLOWED}
    # Hosts that import a package from source folders of the gateway must find it from their own empty directory.
    if "PYTHONPATH" in kept:
        kept["PYTHONPATH"] = os.pathsep.join(
            str(Path(part).absolute()) for part in kept["PYTHONPATH"].split(os.pathsep) if part
        )
    return {**kept, "PYTHONUNBUFFERED": "1", "TMPDIR": str(scratch), **extra}


def scratch() -> Path:
    """Make an empty directory that only this user may enter: the host's working directory and TMPDIR.

    Directories of gateways that died without clearing up are removed on the way.
    """
    base = Path(tempfile.gettempdir())
    for old in base.glob(f"{_PREFIX}*"):
        pid = old.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdigit() and not alive(int(pid)) and old.lstat().st_uid == os.getuid():
                shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


__all__ = ("clean", "scratch")
