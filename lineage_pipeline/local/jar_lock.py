"""The lock of the jars: named sets of exact coordinates with checksum and size. Pure: text in, values out.

One line a jar, `group:artifact:version[:classifier] sha256 bytes`, grouped under headers such as `[kafka]`. Coordinates
name no host: where they are fetched from is the download library's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lineage_pipeline.errors import SetupError

_HEADER = re.compile(r"\[([a-z0-9-]+)\]")
_PART = re.compile(r"[A-Za-z0-9._-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class LockedJar:
    """One jar that may be run: nothing but these bytes."""

    group: str
    artifact: str
    version: str
    classifier: str  # empty for the main jar
    sha256: str  # lower-case hexadecimal
    size: int  # bytes

    @property
    def coordinates(self) -> str:
        """`group:artifact:version[:classifier]`, the way the lock and messages write it."""
        return ":".join(part for part in (self.group, self.artifact, self.version, self.classifier) if part)

    @property
    def path(self) -> PurePosixPath:
        """Where the jar stands below a repository's or the cache's root."""
        suffix = f"-{self.classifier}" if self.classifier else ""
        name = f"{self.artifact}-{self.version}{suffix}.jar"
        return PurePosixPath(*self.group.split("."), self.artifact, self.version, name)


def parse_lock(text: str) -> dict[str, tuple[LockedJar, ...]]:
    """Jar sets by name. Raises SetupError, naming the line, for anything that is not exactly the format."""
    sets: dict[str, list[LockedJar]] = {}
    current: list[LockedJar] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if header := _HEADER.fullmatch(stripped):
            if header[1] in sets:
                raise _malformed(number, f"the set [{header[1]}] is there twice")
            current = sets[header[1]] = []
        elif current is None:
            raise _malformed(number, "a jar stands before the first [set]")
        else:
            current.append(_parse_jar(number, stripped))
    for name, jars in sets.items():
        if not jars:
            raise SetupError(f"jars.lock: the set [{name}] is empty: reinstall flink-lineage")
    return {name: tuple(jars) for name, jars in sets.items()}


def format_lock(sets: Mapping[str, Sequence[LockedJar]]) -> str:
    """The lock's text: what parse_lock reads back."""
    lines = [
        "# Jars of the embedded stack and of the Flink job: coordinates, SHA-256, bytes.",
        "# Written by `python -m lineage_pipeline.local.relock`; do not edit by hand.",
    ]
    for name, jars in sets.items():
        lines += ["", f"[{name}]"]
        lines += [f"{jar.coordinates} {jar.sha256} {jar.size}" for jar in sorted(jars)]
    return "\n".join(lines) + "\n"


def _parse_jar(number: int, line: str) -> LockedJar:
    fields = line.split()
    if len(fields) != 3:  # noqa: PLR2004  the three fields the format names
        raise _malformed(number, "expected `coordinates sha256 bytes`")
    coordinates, sha256, size = fields
    parts = coordinates.split(":")
    if len(parts) not in (3, 4) or not all(_PART.fullmatch(part) for part in parts) or ".." in coordinates:
        raise _malformed(number, f"{coordinates!r} is not group:artifact:version[:classifier]")
    if not _SHA256.fullmatch(sha256) or not size.isdecimal() or int(size) == 0:
        raise _malformed(number, f"{sha256!r} {size!r} is not a SHA-256 and a number of bytes")
    classifier = parts[3] if parts[3:] else ""
    return LockedJar(parts[0], parts[1], parts[2], classifier, sha256, int(size))


def _malformed(number: int, what: str) -> SetupError:
    return SetupError(f"jars.lock line {number}: {what}; reinstall flink-lineage, or rewrite the lock (see its header)")
