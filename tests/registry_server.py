"""A schema registry over HTTP that is true to Confluent's protocol, for tests that break it: NOT a real registry.

What it does not share with a real one: compatibility rules, normalisation, contexts, storage. Its paths, answers and
error codes are Confluent's, as documented; tests/e2e/test_registry.py runs the same client against a real Apicurio.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class RegistryServer:
    """Serves while it is entered. Everything may be changed while it runs."""

    base_path: str = ""
    user: str | None = None  # user:password that every request must bring
    certificate: tuple[str, str] | None = None  # files of certificate and key: then it speaks TLS
    status: int | None = None  # answer everything with this status
    port: int = 0
    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)  # paths without the base path
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://localhost:{self.port}{self.base_path}"

    def register(self, subject: str, schema: Any, **more: Any) -> int:
        """Add a version; the same schema keeps its id."""
        entry = {"schema": schema if isinstance(schema, str) else json.dumps(schema), **more}
        known = next((number for number, one in self.schemas.items() if one == entry), None)
        number = known or len(self.schemas) + 1
        self.schemas[number] = entry
        self.subjects.setdefault(subject, []).append(number)
        return number

    def __enter__(self) -> RegistryServer:  # noqa: PYI034 - typing.Self is younger than Python 3.10
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_address[1]
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Nobody listens any more; `with` starts it again at the same port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str) -> tuple[int, Any]:
        self.asked[path] += 1
        if self.status is not None:
            return self.status, {"error_code": self.status, "message": "as the test wants it"}
        match path.strip("/").split("/"):
            case ["schemas", "types"]:
                return 200, ["JSON", "PROTOBUF", "AVRO"]
            case ["schemas", "ids", number] if number.isdigit():
                if int(number) not in self.schemas:
                    return 404, {"error_code": 40403, "message": f"Schema {number} not found"}
                return 200, self.schemas[int(number)]
            case ["subjects", subject, "versions", version]:
                return self._version(unquote(subject), version)
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _version(self, subject: str, version: str) -> tuple[int, Any]:
        versions = self.subjects.get(subject)
        if versions is None:
            return 404, {"error_code": 40401, "message": f"Subject '{subject}' not found."}
        number = len(versions) if version == "latest" else int(version)
        if not 1 <= number <= len(versions):
            return 404, {"error_code": 40402, "message": f"Version {version} not found."}
        found = versions[number - 1]
        return 200, {"subject": subject, "version": number, "id": found, **self.schemas[found]}


def _handler(registry: RegistryServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if not path.startswith(f"{registry.base_path}/"):
                status, body = 404, "<html>Not Found</html>"
            elif registry.user is not None and self.headers.get("Authorization") != _basic(registry.user):
                status, body = 401, {"error_code": 401, "message": "Unauthorized"}
            else:
                status, body = registry.answer(path.removeprefix(registry.base_path))
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            pass

    return Handler


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(user.encode()).decode()
