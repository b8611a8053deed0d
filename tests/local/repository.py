"""A Maven repository on 127.0.0.1 for tests: real HTTP, faults on request."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lineage_pipeline.local.jar_lock import LockedJar, format_lock


class FakeRepository(ThreadingHTTPServer):
    """Serves `files` (path to content); counts what was asked; `cut` paths break off half-way, `stall` ones hang."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.cut: set[str] = set()
        self.stall: set[str] = set()
        self.stalled = threading.Event()
        self.finish = threading.Event()

    @property
    def repositories(self) -> dict[str, str]:
        return {"test": f"http://127.0.0.1:{self.server_address[1]}"}

    def add(self, artifact: str, content: bytes, *, served: bytes | None = None) -> LockedJar:
        """A jar that the lock knows by `content`; `served` is what really comes."""
        jar = LockedJar("org.example", artifact, "1.0", "", hashlib.sha256(content).hexdigest(), len(content))
        self.files[f"/{jar.path}"] = content if served is None else served
        return jar

    def serve(self) -> None:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: FakeRepository

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2
        self.wfile.write(content[:half])
        self.wfile.flush()
        if self.path in self.server.stall:
            self.server.stalled.set()
            self.server.finish.wait()
        if self.path not in self.server.cut:
            self.wfile.write(content[half:])

    def log_message(self, *_arguments: object) -> None:
        """Silence."""


def lock_of(*jars: LockedJar) -> str:
    return format_lock({"test": jars})
