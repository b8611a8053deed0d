"""`python -m lineage_pipeline.local.relock`: write jars.lock anew from the roots below. For maintainers only.

It trusts what the repository serves at that moment; the diff of the lock is what a reviewer looks at.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from lineage_pipeline.local.jar_download import download_jar, resolve_closure
from lineage_pipeline.local.jar_lock import LockedJar, format_lock

LOCK_PATH = Path(__file__).with_name("jars.lock")
_UNKNOWN_SHA256 = "0" * 64


@dataclass(frozen=True)
class JarSetRoots:
    """What a set is made of: artefacts taken with all they need, and artefacts taken alone."""

    with_closure: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()


ROOTS = {
    "kafka": JarSetRoots(
        with_closure=("org.apache.kafka:kafka_2.13:4.4.0",),
        # The broker logs through slf4j 1.7; without this binding it logs nothing at all.
        alone=("org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",),
    ),
    # Fat jars: what they bundle or what Flink brings must not come a second time.
    "flink": JarSetRoots(
        alone=(
            "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",
            "org.apache.flink:flink-sql-parquet:2.3.0",
            "org.apache.hadoop:hadoop-client-api:3.4.2",
            "org.apache.hadoop:hadoop-client-runtime:3.4.2",
            "com.github.luben:zstd-jni:1.5.7-17",
        )
    ),
    "flink-s3": JarSetRoots(alone=("org.apache.flink:flink-s3-fs-hadoop:2.3.0",)),
    "s3proxy": JarSetRoots(alone=("org.gaul:s3proxy:4.0.0:jar-with-dependencies",)),
}


def relock() -> str:
    """Resolve every set, download every jar, and return the lock's text."""
    sets: dict[str, list[LockedJar]] = {}
    known: dict[str, LockedJar] = {}
    for name, roots in ROOTS.items():
        with tempfile.TemporaryDirectory() as folder:
            coordinates = [found for root in roots.with_closure for found in resolve_closure(root, Path(folder))]
        for item in [*coordinates, *roots.alone]:
            known[item] = known.get(item) or _measured(item)
        sets[name] = [known[item] for item in dict.fromkeys([*coordinates, *roots.alone])]
    return format_lock(sets)


def _measured(coordinates: str) -> LockedJar:
    group, artifact, version, *classifier = coordinates.split(":")
    wanted = LockedJar(group, artifact, version, "".join(classifier), _UNKNOWN_SHA256, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jar"
        sha256 = download_jar(wanted, path, lambda _: None)
        size = path.stat().st_size
    sys.stderr.write(f"{coordinates} {size}\n")
    return replace(wanted, sha256=sha256, size=size)


if __name__ == "__main__":
    LOCK_PATH.write_text(relock(), encoding="utf-8")
