"""One jar from a Maven repository into a given folder, through jgo (no Maven and no Java needed).

This is the only importer of jgo: it knows the repository, we never name a host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import requests

from lineage_pipeline.errors import DownloadError
from lineage_pipeline.local.jar_lock import LockedJar

TIMEOUT_SECONDS = 30  # of one connection attempt, or of silence within a download

Report = Callable[[int], None]  # is told how many more bytes have arrived; what it raises ends the download


def download_jar(jar: LockedJar, folder: Path, report: Report, repositories: Mapping[str, str] | None = None) -> Path:
    """Download `jar` below `folder` (an empty directory of the caller's own) and return its path, unverified.

    `repositories` (name to URL) replaces the library's default. Raises DownloadError when the repository cannot be
    reached or does not have the jar; OSError of the file system and what `report` raises pass through.
    """
    context = _context(folder, report, repositories)
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact(jar.classifier, "jar")
    try:
        return Path(artifact.resolve())
    except requests.RequestException as error:
        raise DownloadError(
            f"{jar.coordinates} could not be downloaded ({_cause(error)}): the first start needs the network; "
            "check the connection (or HTTPS_PROXY) and run the command again, what is complete is kept"
        ) from None
    except RuntimeError:  # jgo's word for an answer other than 200
        raise DownloadError(
            f"{jar.coordinates} was refused by the repository: check that a proxy or mirror passes Maven artefacts on"
        ) from None


def resolve_closure(root: str, folder: Path) -> list[str]:
    """Coordinates of everything `root` (group:artifact:version) needs at run time, itself first. Uses the network."""
    context = _context(folder, lambda _: None, None)
    inputs, transitive = context.resolver.resolve([context.create_dependency(root)])
    needed = [item for item in [*inputs, *transitive] if item.scope not in ("test", "provided") and not item.optional]
    return [
        ":".join(part for part in (item.groupId, item.artifactId, item.version, item.classifier) if part)
        for item in needed
    ]


def _context(folder: Path, report: Report, repositories: Mapping[str, str] | None) -> Any:
    # Imported here: importing it costs time that commands with a filled cache need not pay.
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415  reason above

    @contextmanager
    def progress(_name: str, _total: int) -> Iterator[Report]:
        yield report

    callback: Callable[[str, int], AbstractContextManager[Report]] = progress
    return MavenContext(
        resolver=PythonResolver(progress_callback=callback),
        repo_cache=folder,
        remote_repos=None if repositories is None else dict(repositories),
        timeout=TIMEOUT_SECONDS,
    )


def _cause(error: requests.RequestException) -> str:
    """What went wrong in two words: the exception's own text holds addresses."""
    kinds = (
        (requests.exceptions.SSLError, "the TLS certificate was not accepted"),
        (requests.exceptions.ProxyError, "the proxy refused"),
        (requests.exceptions.Timeout, f"no answer within {TIMEOUT_SECONDS} s"),
        (requests.exceptions.ConnectionError, "no connection"),
        (requests.exceptions.ChunkedEncodingError, "the connection broke off"),
    )
    return next((text for kind, text in kinds if isinstance(error, kind)), type(error).__name__)
