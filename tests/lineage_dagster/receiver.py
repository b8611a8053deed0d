"""A webhook receiver on this machine that keeps what it gets, and can be told to refuse."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from lineage_pipeline.local.ports import HOST


class Receiver(HTTPServer):
    """Settings and record of the receiver.

    `got`: JSON bodies in order; `refused`: how many it did not take;
    `pings`: GET requests; `status`: its answer; `location`: where it redirects to.
    """

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.got: list[dict[str, Any]] = []
        self.pings = 0
        self.refused = 0
        self.status = 200
        self.location: str | None = None
        self._thread = threading.Thread(target=self.serve_forever, name="receiver", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/hook?key=secret-key"

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 200:
            self.server.got.append(json.loads(body))
        else:
            self.server.refused += 1
        self._answer()

    def do_GET(self) -> None:
        self.server.pings += 1
        self._answer()

    def _answer(self) -> None:
        self.send_response(self.server.status)
        if self.server.location is not None:
            self.send_header("Location", self.server.location)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass
