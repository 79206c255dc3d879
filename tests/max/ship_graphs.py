"""Make ``plugins/hyperllama_max/compiled``: the graphs of the built-in models, compiled on this machine.

    python tests/max/ship_graphs.py [--cache DIR]

Compiles from an empty cache (or takes what ``--cache`` holds, of a run before), disassembles every graph, refuses what
needs more than the level of the processor it is shipped for, and packs the rest. Needs ``pip install capstone``.
"""

from __future__ import annotations

import argparse
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import capstone  # type: ignore[import-not-found,unused-ignore]

from hyperllama_max.graphs import LEVELS, SHIPPED, GraphStore, cpu_flags
from tests.support.paths import ROOT
from tests.support.warming import MODELS

#: What capstone names the extensions that x86-64-v3 has, and its names for kinds of instructions.
V3 = {
    "avx",
    "avx2",
    "bmi",
    "bmi2",
    "cmov",
    "f16c",
    "fma",
    "mmx",
    "popcnt",
    "sse1",
    "sse2",
    "sse3",
    "sse41",
    "sse42",
} | {
    "ssse3",
    *("branch_relative", "call", "int", "jump", "mode64", "novlx", "ret"),
}
EXECUTABLE, PROGBITS = 4, 1


def objects(data: bytes) -> Iterator[bytes]:
    """Yield the code of every ELF object in a compiled graph."""
    for match in re.finditer(rb"\x7fELF\x02\x01", data):
        elf = data[match.start() :]
        (table,) = struct.unpack_from("<Q", elf, 0x28)
        size, count = struct.unpack_from("<HH", elf, 0x3A)
        for number in range(count):
            header = struct.unpack_from("<IIQQQQIIQQ", elf, table + number * size)
            if header[1] == PROGBITS and header[2] & EXECUTABLE:
                yield elf[header[4] : header[4] + header[5]]


def extensions(data: bytes) -> set[str]:
    """Return the extensions of the instruction set that a compiled graph uses, by capstone's names."""
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    disassembler.detail = disassembler.skipdata = True
    found: set[str] = set()
    for code in objects(data):
        for instruction in disassembler.disasm(code, 0):
            if instruction.id:
                found |= {instruction.group_name(group) for group in instruction.groups}
    return found


def compile_all(cache: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "XDG_CACHE_HOME": str(cache), "HYPERLLAMA_STORE_PATH": f"{folder}/store"}
        for name in MODELS:
            command = [
                sys.executable,
                "-m",
                "hyperllama",
                "--config",
                str(ROOT / "config.toml"),
                "models",
                "warm",
                name,
            ]
            subprocess.run(command, env=environ, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="XDG_CACHE_HOME of a run that has compiled them from nothing")
    cache: Path = parser.parse_args().cache or Path(tempfile.mkdtemp())
    levels = [level for level, needed in LEVELS.items() if needed <= cpu_flags()]
    if not levels:
        print("This processor has none of the levels that graphs are shipped for.", file=sys.stderr)
        return 1
    shutil.rmtree(SHIPPED / metadata.version("max"), ignore_errors=True)
    compile_all(cache)
    target = SHIPPED / metadata.version("max") / levels[-1]
    target.mkdir(parents=True)
    for graph in sorted(GraphStore(cache / "hyperllama" / "max", None).folder.glob("*.mef")):
        data = graph.read_bytes()
        if (used := extensions(data)) - V3 or "avx" not in used:
            print(f"{graph.name} uses {sorted(used - V3) or 'no code'}; it is not shipped.", file=sys.stderr)
            return 1
        packed = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
        (target / f"{graph.name}.xz").write_bytes(packed)
        print(f"{graph.name}: {len(data):,} bytes, packed {len(packed):,}; {', '.join(sorted(used))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
