"""A PostgreSQL server of a test's own, from the machine's packages: asked for a password, gone with the test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from lineage_pipeline.local.ports import HOST, free_ports
from lineage_pipeline.local.processes import ManagedProcess

USER = "dagster"
DATABASE = "postgres"  # the one that is there from the beginning
START_SECONDS = 120.0


def _programs() -> Path | None:
    """The directory with initdb and postgres; Debian keeps it off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


PROGRAMS = _programs()


@dataclass(frozen=True)
class Server:
    """Where it listens, and the password of USER."""

    port: int
    password: str

    @property
    def environ(self) -> dict[str, str]:
        """The variables that docs/dagster.yaml refers to."""
        return {
            "DAGSTER_PG_HOST": HOST,
            "DAGSTER_PG_PORT": str(self.port),
            "DAGSTER_PG_USERNAME": USER,
            "DAGSTER_PG_PASSWORD": self.password,
            "DAGSTER_PG_DB": DATABASE,
        }

    def answers(self) -> bool:
        try:
            psycopg2.connect(host=HOST, port=self.port, user=USER, password=self.password, dbname=DATABASE).close()
        except psycopg2.OperationalError:
            return False
        return True


@contextmanager
def postgres_server(log: Path) -> Iterator[Server]:
    """A running, empty server. PostgreSQL refuses to run as root, so root becomes its package's user for it."""
    assert PROGRAMS is not None
    server = Server(free_ports(1)[0], "p@ss/word")  # characters that a connection string has to escape
    directory = Path(tempfile.mkdtemp(prefix="lineage-postgres-"))
    other: list[str] = []
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(directory, account.pw_uid, account.pw_gid)
        other = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    try:
        secret = directory / "password"
        secret.write_text(server.password)
        secret.chmod(0o644)
        data = directory / "data"
        initialise = [PROGRAMS / "initdb", "-D", data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}"]
        subprocess.run([*other, *initialise, "--no-sync", "--locale=C"], check=True, capture_output=True, cwd=directory)
        options = {"listen_addresses": HOST, "port": server.port, "unix_socket_directories": "", "fsync": "off"}
        command = [PROGRAMS / "postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())]
        with ManagedProcess.start([*other, *command], log, cwd=directory, grace=5) as process:
            process.wait_ready(server.answers, START_SECONDS, "PostgreSQL")
            yield server
    finally:
        shutil.rmtree(directory)
