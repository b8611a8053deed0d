"""The jar cache against a real HTTP server that can misbehave."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from lineage_pipeline.errors import DownloadError, SetupError
from lineage_pipeline.local.jar_lock import LockedJar
from lineage_pipeline.local.jars import cache_folder, fetch_jars
from lineage_pipeline.local.ports import free_ports
from tests.local.repository import FakeRepository, lock_of

FETCH = """
import json, sys
from pathlib import Path
from lineage_pipeline.local.jars import fetch_jars
cache, lock, repositories = json.loads(sys.argv[1])
print(len(fetch_jars("test", cache=Path(cache), lock=lock, repositories=repositories)))
"""


def fetch_in_another_process(cache: Path, lock: str, repository: FakeRepository) -> subprocess.Popen[str]:
    arguments = json.dumps([str(cache), lock, repository.repositories])
    return subprocess.Popen([sys.executable, "-c", FETCH, arguments], stdout=subprocess.PIPE, text=True)


def jars_in(cache: Path) -> list[Path]:
    return [path for path in (cache / "jars").rglob("*") if path.is_file()]


def test_jars_are_fetched_once_and_then_need_no_network(tmp_path: Path, repository: FakeRepository):
    jars = [repository.add("a", b"first"), repository.add("b", b"second")]
    paths = fetch_jars("test", cache=tmp_path, lock=lock_of(*jars), repositories=repository.repositories)
    assert [path.read_bytes() for path in paths] == [b"first", b"second"]
    repository.files.clear()
    assert fetch_jars("test", cache=tmp_path, lock=lock_of(*jars), repositories=repository.repositories) == paths
    assert repository.asked[f"/{jars[0].path}"] == 1


@pytest.mark.parametrize("damage", [b"FIRST", b"fir", b""], ids=["changed", "cut off", "emptied"])
def test_a_broken_cached_jar_is_fetched_again(tmp_path: Path, repository: FakeRepository, damage: bytes):
    lock = lock_of(repository.add("a", b"first"), repository.add("b", b"second"))
    broken, fine = fetch_jars("test", cache=tmp_path, lock=lock, repositories=repository.repositories)
    before = broken.stat()
    broken.write_bytes(damage)
    os.utime(broken, ns=(before.st_atime_ns, before.st_mtime_ns))
    repository.asked.clear()
    fetch_jars("test", cache=tmp_path, lock=lock, repositories=repository.repositories)
    assert broken.read_bytes() == b"first"
    assert not any(fine.name in path for path in repository.asked)


def test_a_download_that_does_not_match_the_lock_is_refused_with_both_hashes(
    tmp_path: Path, repository: FakeRepository
):
    jar = repository.add("a", b"good", served=b"evil")
    with pytest.raises(DownloadError) as caught:
        fetch_jars("test", cache=tmp_path, lock=lock_of(jar), repositories=repository.repositories)
    served = hashlib.sha256(b"evil").hexdigest()
    assert f"org.example:a:1.0 does not match the lock: expected SHA-256 {jar.sha256}, got {served}" in str(
        caught.value
    )
    assert repository.asked[f"/{jar.path}"] == 2
    assert jars_in(tmp_path) == []


def test_without_network_the_message_says_what_to_do_and_names_no_host(tmp_path: Path, repository: FakeRepository):
    jar = repository.add("a", b"first")
    (closed,) = free_ports(1)
    with pytest.raises(DownloadError, match=r"org.example:a:1.0 .*needs the network.*run the command again") as caught:
        fetch_jars("test", cache=tmp_path, lock=lock_of(jar), repositories={"closed": f"http://127.0.0.1:{closed}"})
    assert "127.0.0.1" not in str(caught.value)


def test_a_jar_that_the_repository_does_not_have_is_an_error(tmp_path: Path, repository: FakeRepository):
    jar = repository.add("a", b"first")
    repository.files.clear()
    with pytest.raises(DownloadError, match=r"org.example:a:1.0 .*HTTP status 404"):
        fetch_jars("test", cache=tmp_path, lock=lock_of(jar), repositories=repository.repositories)


def test_a_download_that_breaks_off_leaves_nothing_and_the_others_stay(tmp_path: Path, repository: FakeRepository):
    jars = [repository.add("a", b"first" * 9000), repository.add("b", b"second")]
    repository.cut.add(f"/{jars[0].path}")
    with pytest.raises(DownloadError, match=r"org.example:a:1.0"):
        fetch_jars("test", cache=tmp_path, lock=lock_of(*jars), repositories=repository.repositories)
    assert {path.name for path in jars_in(tmp_path)} <= {"b-1.0.jar"}
    repository.cut.clear()
    assert len(fetch_jars("test", cache=tmp_path, lock=lock_of(*jars), repositories=repository.repositories)) == 2


def test_a_download_killed_half_way_leaves_no_jar_and_the_next_one_succeeds(tmp_path: Path, repository: FakeRepository):
    jar = repository.add("a", b"x" * 100_000)
    repository.stall.add(f"/{jar.path}")
    with fetch_in_another_process(tmp_path, lock_of(jar), repository) as killed:
        assert repository.stalled.wait(60)
        killed.send_signal(signal.SIGKILL)
    assert jars_in(tmp_path) == []
    repository.finish.set()
    (path,) = fetch_jars("test", cache=tmp_path, lock=lock_of(jar), repositories=repository.repositories)
    assert path.stat().st_size == 100_000
    assert not (tmp_path / "partial").exists()


def test_two_processes_at_once_share_one_download(tmp_path: Path, repository: FakeRepository):
    jars = [repository.add(f"jar{number}", bytes([number]) * 50_000) for number in range(6)]
    with (
        fetch_in_another_process(tmp_path, lock_of(*jars), repository) as one,
        fetch_in_another_process(tmp_path, lock_of(*jars), repository) as other,
    ):
        assert (one.communicate()[0], other.communicate()[0]) == ("6\n", "6\n")
    assert {repository.asked[f"/{jar.path}"] for jar in jars} == {1}


def test_a_disk_too_small_is_refused_before_anything_is_fetched(tmp_path: Path, repository: FakeRepository):
    huge = LockedJar("org.example", "huge", "1.0", "", "0" * 64, 10**18)
    with pytest.raises(SetupError, match=rf"{tmp_path} is full: free 1000000000016000000 bytes"):
        fetch_jars("test", cache=tmp_path, lock=lock_of(huge), repositories=repository.repositories)
    assert not repository.asked


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path: Path, repository: FakeRepository):
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"file/cache cannot be used.*LINEAGE_CACHE"):
        fetch_jars(
            "test",
            cache=tmp_path / "file" / "cache",
            lock=lock_of(repository.add("a", b"first")),
            repositories=repository.repositories,
        )


def test_progress_is_one_line_where_there_is_no_terminal(tmp_path: Path, repository: FakeRepository):
    said = io.StringIO()
    lock = lock_of(repository.add("a", b"first"))
    for _ in range(2):
        fetch_jars("test", cache=tmp_path, progress=Console(file=said), lock=lock, repositories=repository.repositories)
    assert said.getvalue() == "fetching 1 jars of test (0 MB)\n"


@pytest.mark.parametrize(
    ("environ", "platform", "folder"),
    [
        ({"HOME": "/h"}, "linux", "/h/.cache/flink-lineage"),
        ({"HOME": "/h"}, "darwin", "/h/Library/Caches/flink-lineage"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "linux", "/x/flink-lineage"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x", "LINEAGE_CACHE": "/l"}, "linux", "/l"),
    ],
)
def test_the_cache_folder_follows_the_environment(environ: dict[str, str], platform: str, folder: str):
    assert cache_folder(environ, platform) == Path(folder)
