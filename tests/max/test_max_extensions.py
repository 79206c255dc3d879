"""MAX's Mojo extensions while they compile: no reader and no kill ever meets half of one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = """
import sys, time
from pathlib import Path
from hyperllama_max.extensions import compile_whole

def linker(source, library):
    with open(library, "wb") as file:
        file.write(b"first half, ")
        file.flush()
        print("half", flush=True)
        time.sleep(float(sys.argv[2]))
        file.write(b"second half")

compile_whole(linker, Path("m.mojo"), Path(sys.argv[1]))
"""
IMPORTING = """
import sys
sys.path.insert(0, sys.argv[1])
from hyperllama_max.extensions import import_max
import_max()
import max._kv_cache_ops.kv_cache_ops as ops
print(ops.__file__)
"""


def compiler(library: Path, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SLOW, str(library), str(seconds)], stdout=subprocess.PIPE)


def until_half(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"half\n"


def test_a_library_appears_whole_and_is_compiled_once(tmp_path):
    library = tmp_path / "m.so"
    first = compiler(library, 0.5)
    until_half(first)
    second = compiler(library, 0)
    assert not library.exists()
    told = [process.communicate(timeout=30)[0] for process in (first, second)]
    assert told == [b"", b""]  # the second waited, and found it made
    assert [path.name for path in tmp_path.iterdir()] == ["m.so"]
    assert library.read_bytes() == b"first half, second half"


def test_a_killed_compiler_leaves_nothing_to_load_and_nobody_waiting(tmp_path):
    library = tmp_path / "m.so"
    first = compiler(library, 60)
    until_half(first)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert not library.exists()
    second = compiler(library, 0)
    second.communicate(timeout=30)
    assert library.read_bytes() == b"first half, second half"


@pytest.mark.max
@pytest.mark.nightly
def test_half_a_library_that_was_left_is_compiled_anew(tmp_path):
    """The importer finds the extension's source on ``sys.path``: a copy, so that the installed one stays as it is."""
    found = importlib.util.find_spec("max")
    if found is None or not found.submodule_search_locations:
        pytest.skip("MAX is not installed")
    source = Path(found.submodule_search_locations[0], "_kv_cache_ops", "kv_cache_ops.mojo")
    folder = tmp_path / "max" / "_kv_cache_ops"
    (folder / "__mojocache__").mkdir(parents=True)
    shutil.copy(source, folder)
    from mojo import importer

    library = folder / "__mojocache__" / f"kv_cache_ops.hash-{importer._calculate_mojo_source_hash(folder)}.so"
    library.write_bytes(b"\0" * 100_000)  # as the linker leaves it, which writes the header last
    done = subprocess.run([sys.executable, "-c", IMPORTING, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(library)
    assert library.read_bytes()[:4] == b"\x7fELF"
