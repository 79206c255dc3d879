"""A Hugging Face Hub on loopback that answers badly: each kind of a Hub that is there and of no use."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Iterator

COMMIT = "c" * 40
WEIGHTS = b"\x02\0\0\0\0\0\0\0{}" + b" " * 400_000
CONFIG = b'{"architectures": ["SimForCausalLM"], "model_type": "sim"}'
#: What a Hub does with every request; "file-" ones answer listings and fail at the large file.
KINDS = (
    "silent",
    "head drips",
    "body stalls",
    "body drips",
    "breaks off",
    "closes",
    "status 503",
    "status 429",
    "redirects to silence",
    "file-silent",
    "file-head drips",
    "file-body stalls",
    "file-body drips",
    "file-breaks off",
    "file-status 503",
    "file-status 429",
    "file-redirects to silence",
)


class SickHub:
    """Serve one repository, ``org/<anything>``, until :meth:`close`; ``kind`` may be changed meanwhile, or be ""."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.requests = 0
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._silence = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._kept: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        for each in (self._listener, self._silence):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for one in self._kept:
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one = self._listener.accept()[0]
                self._kept.append(one)
                threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        with contextlib.suppress(OSError), one:
            while head := self._head(one):
                self.requests += 1
                method, path = head.split(b" ")[:2]
                name = path.decode().rpartition("/")[2]
                large = name.endswith(".safetensors") and method == b"GET"
                file, _, rest = self.kind.rpartition("file-")
                kind = rest if not file and (large or not self.kind.startswith("file-")) else ""
                if not self._answer(one, kind, self._body(path.decode(), name), method):
                    return

    def _head(self, one: socket.socket) -> bytes:
        got = b""
        while b"\r\n\r\n" not in got:
            piece = one.recv(65536)
            if not piece:
                return b""
            got += piece
        return got

    def _body(self, path: str, name: str) -> bytes:
        parts = path.partition("?")[0].split("/")
        if path.startswith("/api/models/"):
            repo = "/".join(parts[3:5])
            if "/tree/" in path:
                return json.dumps([_leaf(*item) for item in _files(repo).items()]).encode()
            siblings = [_sibling(*item) for item in _files(repo).items()]
            return json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode()
        return _files("/".join(parts[1:3])).get(name, b"")

    def _answer(self, one: socket.socket, kind: str, body: bytes, method: bytes) -> bool:
        """Answer one request; return whether the connection goes on."""
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n"
        head += f'etag: "{hashlib.sha256(body).hexdigest()}"\r\nx-repo-commit: {COMMIT}\r\n\r\n'
        if method == b"HEAD":
            body = b""
        match kind:
            case "silent":
                self._over.wait()
            case "head drips":
                self._drip(one, head.encode()[:-2] + b"x-padding: " + b"x" * 60_000)
            case "body stalls":
                one.sendall(head.encode() + body[: len(body) // 2])
                self._over.wait()
            case "body drips":
                one.sendall(head.encode())
                self._drip(one, body)
            case "breaks off":
                one.sendall(head.encode() + body[: len(body) // 2])
            case "closes":
                pass
            case "status 503" | "status 429":
                status = kind.rpartition(" ")[2]
                one.sendall(f"HTTP/1.1 {status} No\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n".encode())
                return True
            case "redirects to silence":
                where = f"http://127.0.0.1:{self._silence.getsockname()[1]}/x"
                one.sendall(f"HTTP/1.1 302 Found\r\nlocation: {where}\r\ncontent-length: 0\r\n\r\n".encode())
                return True
            case _:
                one.sendall(head.encode() + body)
                return True
        return False

    def _drip(self, one: socket.socket, data: bytes) -> None:
        for byte in data:
            one.sendall(bytes([byte]))
            if self._over.wait(0.05):
                return


def _files(repo: str) -> dict[str, bytes]:
    """Return the files of ``repo``; its weights are no other's."""
    return {"config.json": CONFIG, "model.safetensors": WEIGHTS + repo.encode()}


def _sibling(name: str, data: bytes) -> dict[str, object]:
    git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    found: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": git}
    if name.endswith(".safetensors"):
        found["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return found


def _leaf(name: str, data: bytes) -> dict[str, object]:
    known = _sibling(name, data)
    leaf: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": known["blobId"]}
    if "lfs" in known:
        leaf["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return leaf


@contextlib.contextmanager
def sick_hub(kind: str) -> Iterator[SickHub]:
    """Serve a Hub of that kind."""
    hub = SickHub(kind)
    try:
        yield hub
    finally:
        hub.close()


__all__ = ("KINDS", "SickHub", "sick_hub")
