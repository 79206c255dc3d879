"""A Hugging Face Hub on loopback: what huggingface_hub's client asks of one, with faults on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "c" * 40


@dataclass
class LoopbackHub:
    """``repos``: file name to bytes. Knobs are by file name."""

    repos: dict[str, dict[str, bytes]]
    url: str = ""
    cut_after: dict[str, int] = field(default_factory=dict)  # bytes of one answer, once, then the connection breaks
    wrong: dict[str, bytes] = field(default_factory=dict)  # other bytes than the listing says
    hold: dict[str, threading.Event] = field(default_factory=dict)  # the second half waits for it
    held: threading.Event = field(default_factory=threading.Event)  # somebody waits at a hold
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Range
    pushed: dict[str, bytes] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)

    def gets(self, name: str) -> list[str]:
        """Ranges of the downloads of one file."""
        return [asked for method, path, asked in self.requests if method == "GET" and path.endswith(f"/{name}")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def log_message(self, format: str, *args: object) -> None: ...

    def _note(self) -> str:
        path = unquote(self.path.partition("?")[0])
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        return path

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        path = self._note()
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.tokens.append(self.headers.get("Authorization", ""))
        if path == "/api/repos/create":
            asked = json.loads(data)
            repo = f"{asked.get('organization')}/{asked['name']}"
            return self._json({"url": f"{self.hub.url}/{repo}", "name": repo, "id": repo})
        if "/preupload/" in path:
            files = json.loads(data)["files"]
            answer = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            return self._json({"files": answer})
        if "/commit/" in path:
            for line in map(json.loads, data.splitlines()):
                if line["key"] == "file":
                    self.hub.pushed[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return self._json({"commitUrl": f"{self.hub.url}/org/x/commit/{COMMIT}", "commitOid": COMMIT})
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        return self._missing()

    def _serve(self) -> None:
        path = self._note()
        for repo, files in self.hub.repos.items():
            if path in (f"/api/models/{repo}", f"/api/models/{repo}/revision/main"):
                return self._json({"id": repo, "sha": COMMIT, "siblings": [_sibling(*item) for item in files.items()]})
            if path.startswith(f"/api/models/{repo}/tree/"):
                return self._json([_leaf(*item) for item in files.items()])
            for before in (f"/{repo}/resolve/", f"/api/resolve-cache/models/{repo}/"):
                if not path.startswith(before):
                    continue
                name = path.removeprefix(before).partition("/")[2]  # behind the revision
                if name in files:
                    return self._file(name, self.hub.wrong.get(name, files[name]))
        return self._missing()

    def _missing(self) -> None:
        body = b'{"error":"Repository not found"}'
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, name: str, data: bytes) -> None:
        begin = 0
        if asked := self.headers.get("Range", ""):
            begin = int(asked.removeprefix("bytes=").partition("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        rest = data[begin:]
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.cut_after.pop(name, None)
        try:
            if cut is not None:
                self.wfile.write(rest[:cut])
                self.wfile.flush()
                self.close_connection = True
            elif (hold := self.hub.hold.get(name)) is not None:
                half = len(rest) // 2
                self.wfile.write(rest[:half])
                self.wfile.flush()
                self.hub.held.set()
                hold.wait(30)
                for at in range(half, len(rest), 4096):
                    self.wfile.write(rest[at : at + 4096])
            else:
                self.wfile.write(rest)
        except OSError:
            self.close_connection = True  # the client left


def _sibling(name: str, data: bytes) -> dict[str, object]:
    git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    found: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": git}
    if name.endswith((".safetensors", ".gguf", ".bin")):
        found["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return found


def _leaf(name: str, data: bytes) -> dict[str, object]:
    sibling = _sibling(name, data)
    leaf = {"type": "file", "path": name, "size": len(data), "oid": sibling["blobId"]}
    if "lfs" in sibling:
        leaf["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return leaf


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news."""


@contextmanager
def loopback_hub(repos: dict[str, dict[str, bytes]]) -> Iterator[LoopbackHub]:
    hub = LoopbackHub(repos)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = _Server(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        for hold in hub.hold.values():
            hold.set()
        server.shutdown()
        thread.join()
        server.server_close()
