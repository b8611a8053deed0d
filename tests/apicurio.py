"""A real schema registry: Apicurio Registry, from the archive it publishes as a Maven artefact, on the tests' own Java.

It keeps its schemas in memory. The archive (142 MB) is fetched once into the user's cache, and its SHA-256 compared.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any
from urllib.parse import quote

from lineage_pipeline.local.jar_download import download_jar
from lineage_pipeline.local.jar_lock import LockedJar
from lineage_pipeline.local.jars import cache_folder
from lineage_pipeline.local.java import Java
from lineage_pipeline.local.ports import free_ports
from lineage_pipeline.local.processes import ManagedProcess

PATH = "/apis/ccompat/v7"
START_SECONDS = 120.0


@dataclass(frozen=True)
class Archive(LockedJar):
    """An artefact that is no jar."""

    @property
    def path(self) -> PurePosixPath:
        return super().path.with_suffix(".tar.gz")


# the newest that runs on Java 17, as Flink does
ARCHIVE = Archive(
    "io.apicurio",
    "apicurio-registry-app",
    "2.6.13.Final",
    "all",
    "3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba",
    142198683,
)


def unpacked() -> Path:
    """The folder with its jars; fetched and unpacked unless it is there."""
    folder = cache_folder(os.environ) / "apicurio" / ARCHIVE.version
    if not folder.exists():
        work = folder.with_name(f"{folder.name}.{os.getpid()}")
        work.mkdir(parents=True)
        try:
            archive = work / "archive"
            found = download_jar(ARCHIVE, archive, lambda _count: None)
            assert found == ARCHIVE.sha256, f"{ARCHIVE.coordinates} has SHA-256 {found}"
            with tarfile.open(archive) as content:
                content.extractall(work / "app", filter="data")
            archive.unlink()
            if not folder.exists():
                (work / "app").rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder


class Apicurio:
    """Serves while it is entered."""

    def __init__(self, directory: Path, java: Java) -> None:
        self._directory = directory
        self._java = java
        (self._port,) = free_ports(1)
        self._process: ManagedProcess | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self._port}{PATH}"

    def register(self, subject: str, schema: Any, **more: Any) -> int:
        """Add a version and return its id."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        request = urllib.request.Request(
            f"{self.url}/subjects/{quote(subject, safe='')}/versions",
            json.dumps({"schema": text, **more}).encode(),
            {"Content-Type": "application/vnd.schemaregistry.v1+json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(json.load(answer)["id"])

    def __enter__(self) -> Apicurio:  # noqa: PYI034 - typing.Self is younger than Python 3.10
        (jar,) = unpacked().glob("*-runner.jar")
        options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dquarkus.http.host=127.0.0.1"]
        command = [str(self._java.executable), *options, f"-Dquarkus.http.port={self._port}", "-jar", str(jar)]
        process = ManagedProcess.start(command, self._directory / "apicurio.log", cwd=self._directory)
        try:
            process.wait_ready(self._answers, START_SECONDS, "the registry")
        except BaseException:
            process.stop(0)
            raise
        self._process = process
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.stop(0)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/schemas/types", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
