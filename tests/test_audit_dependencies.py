"""The audit of dependencies: clean only when the database answered for every one of them."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lineage_pipeline.local.ports import free_ports
from tests import audit_dependencies as module
from tests.audit_dependencies import Component, NotAuditedError, accepted, jar_components, locked_packages, main

OLD = Component("PyPI", "requests", "2.19.0")
LOG4J = Component("Maven", "org.apache.logging.log4j:log4j-core", "2.14.1")


class Database:
    """What OSV answers: vulnerabilities by name of the package."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.change: Callable[[list[Any]], Any] = lambda results: results
        self.status = 200
        self.asked: list[Any] = []
        database = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
                database.asked += queries
                results = [
                    {"vulns": [{"id": name} for name in ids]}
                    if (ids := database.known.get(one["package"]["name"]))
                    else {}
                    for one in queries
                ]
                self.send_response(database.status)
                self.end_headers()
                self.wfile.write(json.dumps({"results": database.change(results)}).encode())

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(module, "everything_locked", lambda: [OLD, LOG4J, Component("PyPI", "click", "8.1.0")])
    monkeypatch.setattr(module, "_BATCH", 2)
    made = Database()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


def audit(database: Database) -> int:
    return main(["--database", database.url])


def test_it_is_clean_when_every_component_was_asked_and_none_is_known(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(database) == 0
    assert [(one["package"]["ecosystem"], one["package"]["name"], one["version"]) for one in database.asked] == [
        OLD, LOG4J, ("PyPI", "click", "8.1.0"),
    ]  # fmt: skip
    assert "3 of 3 locked components audited" in capsys.readouterr().out


def test_a_known_vulnerability_fails_it_unless_it_is_accepted_with_a_day_and_a_reason(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database.known = {LOG4J.name: ["GHSA-log4shell"]}
    assert audit(database) == 1
    assert "GHSA-log4shell: Maven org.apache.logging.log4j:log4j-core 2.14.1" in capsys.readouterr().out
    list_of_accepted = tmp_path / "accepted"
    monkeypatch.setattr(module, "ACCEPTED", list_of_accepted)
    list_of_accepted.write_text("# why\nGHSA-log4shell 2999-01-01 not reachable: the pattern layout has no lookups\n")
    assert audit(database) == 0
    list_of_accepted.write_text("GHSA-log4shell 2020-01-01 over\n")
    assert audit(database) == 1
    list_of_accepted.write_text("GHSA-log4shell\n")
    assert audit(database) == 3


@pytest.mark.parametrize(
    "change",
    [lambda results: results[:-1], lambda _: None, lambda results: [{"next_page_token": "more"}, *results[1:]]],
)
def test_an_answer_that_leaves_anything_open_is_no_audit(
    database: Database, change: Callable[[list[Any]], Any]
) -> None:
    database.change = change
    assert audit(database) == 3


def test_a_database_that_refuses_or_is_not_there_is_no_audit(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    database.status = 503
    assert audit(database) == 3
    assert main(["--database", f"http://127.0.0.1:{free_ports(1)[0]}"]) == 3
    assert capsys.readouterr().err.count("NOT AUDITED") == 2


def test_a_lock_is_read_whole_for_every_machine_or_not_at_all() -> None:
    text = (
        "# about\nNumPy==1.26.4 ; python_full_version < '3.11' \\\n    --hash=sha256:aa\n"
        "numpy==2.1 ; sys_platform == 'win32'\n"
    )
    assert list(locked_packages(text, "x")) == [Component("PyPI", "numpy", "1.26.4"), Component("PyPI", "numpy", "2.1")]
    with pytest.raises(NotAuditedError, match="x, line 1"):
        list(locked_packages("numpy>=1", "x"))


def test_what_is_packed_into_a_jar_is_audited_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.jar", "w") as jar:
        jar.writestr("META-INF/maven/g/b/pom.properties", "#made\ngroupId=g\nartifactId = b\nversion=1\n")
    assert list(jar_components(tmp_path / "a.jar", "org", "a", "9")) == [
        Component("Maven", "org:a", "9"), Component("Maven", "g:b", "1"),
    ]  # fmt: skip


def test_the_accepted_list_of_the_project_can_be_read() -> None:
    accepted(module.ACCEPTED.read_text(), date(2026, 1, 1))
