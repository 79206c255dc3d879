"""MAX's host process from outside: what it opens, what it leaves, and what it does about a damaged cache."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hyperllama.errors import LoadFailed
from hyperllama.models import ModelSpec
from hyperllama_max.engine import MaxEngine
from hyperllama_max.settings import MaxSettings
from tests.support.asking_max import CHAT, load_model, prompt, whole
from tests.support.paths import ROOT

GATEWAY = """
import asyncio, sys
sys.path.insert(0, {root!r})
from tests.support.asking_max import CHAT
from hyperllama.host.process import HostedModel
from hyperllama.errors import LoadFailed
from hyperllama.models import ModelSpec
from hyperllama_max.engine import MaxEngine

async def main():
    def report(progress):
        print(progress.phase, flush=True)
    model = await MaxEngine().load(ModelSpec(name="m", max_length=1024), CHAT, report)
    print("ready", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


class Watch:
    """Every internet socket that a process tree has, looked at again and again from a thread."""

    def __init__(self, root: int) -> None:
        self.seen: set[str] = set()
        self.looks = 0
        self._root = root
        self._others = set(below(root))  # servers of other tests, which listen
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            self.look()

    def look(self) -> None:
        self.looks += 1
        mine = {inode for pid in below(self._root) if pid not in self._others for inode in inodes(pid)}
        for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[9] in mine:
                    self.seen.add(f"{table} {fields[1]} -> {fields[2]}")


def below(root: int) -> list[int]:
    found: list[int] = []
    try:
        tasks = list(Path(f"/proc/{root}/task").iterdir())
    except OSError:  # it has ended
        return found
    for task in tasks:
        try:
            children = [int(pid) for pid in (task / "children").read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *below(child)]
    return found


def inodes(pid: int) -> set[str]:
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = str(entry.readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        pass
    return found


def test_the_watch_sees_a_socket_when_there_is_one():
    opens = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0))"
    script = f"{opens}; print(flush=True); input()"
    watch = Watch(os.getpid())
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        watch.look()
        child.communicate(b"\n")
    assert any(entry.startswith("udp") for entry in watch.seen)


async def test_a_host_opens_no_internet_socket_from_load_to_close(load):
    with Watch(os.getpid()) as watch:
        model = await load()
        await whole(model, prompt([9, 10, 11], 20))
        await model.close()
    assert watch.looks > 10
    assert watch.seen == set()


@pytest.mark.timeout(900)
@pytest.mark.max
@pytest.mark.parametrize("moment", ["importing", "ready"])
def test_killing_the_gateway_leaves_no_max_behind(moment):
    script = GATEWAY.format(root=str(ROOT))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as gateway:
        for line in gateway.stdout:
            if line.strip() == moment:
                break
        watches = [os.pidfd_open(pid) for pid in below(gateway.pid)]
        assert watches
        gateway.kill()
        gateway.wait()
        for watch in watches:
            assert select.select([watch], [], [], 2.0)[0], "still alive two seconds after its gateway"
            os.close(watch)


@pytest.mark.nightly
@pytest.mark.parametrize("spoil", ["model", "cache"])
async def test_a_damaged_compile_cache_costs_a_compile_and_no_more(load, tmp_path, spoil):
    await load()  # there is something to damage
    shutil.copytree(MaxSettings().cache(), tmp_path / "cache")
    for path in sorted((tmp_path / "cache" / "graphs").rglob("*.mef")):
        path.write_bytes(path.read_bytes()[:1000])
    if spoil == "cache":
        for path in sorted((tmp_path / "cache" / "modular").rglob("*")):
            if path.is_file() and path.stat().st_size > 100_000:
                path.write_bytes(path.read_bytes()[:1000])
    engine = MaxEngine(MaxSettings(cache_dir=str(tmp_path / "cache")))
    model = await engine.load(ModelSpec(name="m", max_length=1024), CHAT, lambda _: None)
    try:
        assert (await whole(model, prompt([9, 10, 11], 5, ignore_eos=True))).usage.completion_tokens == 5
    finally:
        await model.close()


@pytest.mark.nightly
async def test_two_models_of_one_shape_load_at_once_and_are_apart(load):
    first, second = await asyncio.gather(load_model(CHAT), load_model(CHAT))
    try:
        answers = await asyncio.gather(whole(first, prompt([9, 10, 11], 20)), whole(second, prompt([9, 10, 11], 20)))
        assert answers[0].token_ids == answers[1].token_ids
        assert first.pid != second.pid
        await first.close()
        assert (await whole(second, prompt([9, 10, 11], 20))).token_ids == answers[0].token_ids
    finally:
        await first.close()
        await second.close()


@pytest.mark.nightly
async def test_a_compile_that_needs_too_much_memory_is_a_failed_load_that_says_what_to_do(tmp_path):
    engine = MaxEngine(MaxSettings(cache_dir=str(tmp_path), compile_memory=1 << 30))
    with pytest.raises(LoadFailed, match=r"compile_memory|memory to compile"):
        await engine.load(ModelSpec(name="m", max_length=512), CHAT, lambda _: None)
