"""Planted secrets, looked for where no secret may be: logs, database, lake, pages, image layers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.compose.images import PLANTED
from tests.compose.stack import PROJECT, Stack, podman

_BLOCK = 1 << 20
_PAGES = ("/jobs/overview", "/jobmanager/config", "/jobmanager/environment", "/taskmanagers")
# Flink's own configuration holds the lake's credentials, for its user alone.
_HOLDS_THEM = "config.yaml"
_PRIVATE = 0o600


def no_canary(stack: Stack) -> None:
    """Raises AssertionError with the place where one was found, or that could not be looked at."""
    # An access key's id is a name, which logs may tell.
    words = [value.encode() for name, value in stack.canaries.items() if name != "S3_ACCESS_KEY"]
    places = 0
    for service, one in stack.containers().items():
        logs = subprocess.run(["podman", "logs", one["Id"]], check=True, capture_output=True)
        assert not _found([logs.stdout, logs.stderr], words), f"a secret in the log of {service}"
        places += 1
    dump = subprocess.run(
        ["podman", "exec", stack.containers()["postgres"]["Id"], "pg_dump", "-U", "dagster", "dagster"],
        check=True,
        capture_output=True,
    ).stdout
    assert b"COPY public.event_logs" in dump
    assert not _found([dump], words), "a secret in Dagster's database"
    pages = [stack.page("FLINK_PORT", path).encode() for path in _PAGES] + [stack.page("METRICS_PORT", "/").encode()]
    assert not _found(pages, words), "a secret on a page"
    for volume in ("s3-data", "jobmanager", "taskmanager", "job"):
        places += _look_into_volume(volume, words)
    print(f"  no secret in {places} logs and files, nor in Dagster's database ({len(dump)} bytes of it)", flush=True)


def no_planted_secret(images: Iterable[str]) -> None:
    """No layer, no history and no configuration of an image holds what lay around where it was built."""
    for image in images:
        with subprocess.Popen(["podman", "save", "--quiet", "--format", "docker-archive", image],
                              stdout=subprocess.PIPE) as saved:  # fmt: skip
            assert saved.stdout is not None
            blocks = iter(lambda: saved.stdout.read(_BLOCK), b"")  # type: ignore[union-attr]  # not None, as above
            found = _found(blocks, [PLANTED.encode()])
            saved.stdout.close()
        assert not found, f"a secret in a layer of {image}"
        assert saved.returncode == 0, f"{image} could not be saved, so nobody looked into it"
    print("  no secret in any layer of the images", flush=True)


def _look_into_volume(name: str, words: list[bytes]) -> int:
    folder = Path(podman("volume", "inspect", "--format", "{{.Mountpoint}}", f"{PROJECT}_{name}").strip())
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files, f"the volume {name} holds nothing: that is not what the stack makes"
    for path in files:
        if path.name == _HOLDS_THEM:
            assert path.stat().st_mode & 0o777 == _PRIVATE, f"{path} can be read by others"
            continue
        with path.open("rb") as file:
            assert not _found(iter(lambda: file.read(_BLOCK), b""), words), f"a secret in {path}"
    return len(files)


def _found(blocks: Iterable[bytes], words: list[bytes]) -> bool:
    """Whether one of the words is in the stream, also across two blocks."""
    keep = max(map(len, words)) - 1
    tail = b""
    for block in blocks:
        text = tail + block
        if any(word in text for word in words):
            return True
        tail = text[-keep:]
    return False
