"""One jar from a Maven repository into a given file, with no Maven and no Java on the machine.

This is the only importer of jgo: it knows the repository and resolves closures; we never name a host.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from lineage_pipeline.errors import DownloadError
from lineage_pipeline.local.jar_lock import LockedJar

TIMEOUT_SECONDS = 30  # of one connection attempt, or of silence within a download
_CHUNK_BYTES = 1 << 16

Report = Callable[[int], None]  # is told how many more bytes have arrived; what it raises ends the download


def download_jar(jar: LockedJar, target: Path, report: Report, repositories: Mapping[str, str] | None = None) -> str:
    """Download `jar` to the file `target` and return the SHA-256 of what came, which the caller must judge.

    `repositories` (name to URL) replaces the library's default. Raises DownloadError when no repository can be reached
    or none has the jar; OSError of the file system and what `report` raises pass through.
    """
    said = []
    for address in (default_repositories() if repositories is None else repositories).values():
        found, problem = _try_one(f"{address}/{jar.path}", target, report)
        if found is not None:
            return found
        said.append(problem)
    raise DownloadError(
        f"{jar.coordinates} could not be downloaded ({', '.join(said)}): the first start needs the network; check the "
        "connection (or HTTPS_PROXY) and run the command again, what is complete is kept"
    )


def default_repositories() -> dict[str, str]:
    """Name to URL of where jgo looks by default."""
    from jgo.maven import MavenContext  # noqa: PLC0415  costs time that commands with a filled cache need not pay

    return dict(MavenContext().remote_repos)


def _try_one(url: str, target: Path, report: Report) -> tuple[str | None, str]:
    """The SHA-256 of what was saved, or None and what went wrong."""
    from jgo.util import http  # noqa: PLC0415  as above

    try:
        with http.get(url, stream=True, timeout=TIMEOUT_SECONDS) as answer:
            if answer.status_code != requests.codes.ok:
                return None, f"HTTP status {answer.status_code}"
            return _save(answer, target, report), ""
    except requests.RequestException as error:
        return None, _cause(error)


def _save(answer: requests.Response, target: Path, report: Report) -> str:
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for chunk in answer.iter_content(_CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            report(len(chunk))
    return digest.hexdigest()


def resolve_closure(root: str, folder: Path) -> list[str]:
    """Coordinates of everything `root` (group:artifact:version) needs at run time, itself first. Uses the network."""
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415  as above

    context: Any = MavenContext(resolver=PythonResolver(), repo_cache=folder, timeout=TIMEOUT_SECONDS)
    inputs, transitive = context.resolver.resolve([context.create_dependency(root)])
    needed = [item for item in [*inputs, *transitive] if item.scope not in ("test", "provided") and not item.optional]
    return [
        ":".join(part for part in (item.groupId, item.artifactId, item.version, item.classifier) if part)
        for item in needed
    ]


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
