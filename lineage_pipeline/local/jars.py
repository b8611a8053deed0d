"""Jars in the user's cache folder: fetched by coordinates once, checked against jars.lock on every use."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from lineage_pipeline.errors import DownloadError, SetupError
from lineage_pipeline.local.jar_download import Report, download_jar
from lineage_pipeline.local.jar_lock import LockedJar, parse_lock

_PARALLEL = 4  # downloads at a time; hashing uses as many threads
_TRIES = 2
_FREE_SPACE_MARGIN = 16_000_000  # bytes that must stay free, for file system overhead


class _AbortedError(Exception):
    """Another jar failed or the user pressed Ctrl-C: this download ends early."""


def cache_folder(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """LINEAGE_CACHE, else flink-lineage in XDG_CACHE_HOME, ~/Library/Caches (macOS) or ~/.cache. Touches no disk."""
    if environ.get("LINEAGE_CACHE"):
        return Path(environ["LINEAGE_CACHE"]).expanduser().absolute()
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    if environ.get("XDG_CACHE_HOME"):
        base = Path(environ["XDG_CACHE_HOME"])
    else:
        base = home / "Library" / "Caches" if platform == "darwin" else home / ".cache"
    return base.absolute() / "flink-lineage"


def locked_jars(set_name: str, lock: str | None = None) -> tuple[LockedJar, ...]:
    """The jars of a set. `lock` is the lock's text, by default the packaged one. Raises SetupError for no such set."""
    text = lock if lock is not None else resources.files(__package__).joinpath("jars.lock").read_text("utf-8")
    sets = parse_lock(text)
    if set_name not in sets:
        raise SetupError(f"jars.lock has no set [{set_name}], only {', '.join(sets)}: reinstall flink-lineage")
    return sets[set_name]


def fetch_jars(
    set_name: str,
    *,
    cache: Path,
    progress: Console | None = None,
    lock: str | None = None,
    repositories: Mapping[str, str] | None = None,
) -> list[Path]:
    """Paths of the set's jars, in the lock's order, each verified just now; what is absent or broken is fetched.

    `progress` gets a bar when it is a terminal, one line otherwise. `lock` and `repositories` (name to URL) replace
    the packaged lock and the library's repository. A killed download leaves no jar behind; two processes may call this
    at the same time: the second one waits.

    Raises DownloadError (no network, or two downloads in a row that do not match the lock) and SetupError (the cache
    folder cannot be written or its disk is full).
    """
    jars = locked_jars(set_name, lock)
    root = cache / "jars"
    try:
        if _unverified(jars, root):
            with _exclusive(cache):
                # Looked at again: whoever held the lock before us may have fetched them.
                missing = _unverified(jars, root)
                if missing:
                    _require_space(cache, missing)
                    _fetch(set_name, missing, cache, progress, repositories)
    except OSError as error:
        raise _storage_error(error, cache, jars) from None
    return [root / jar.path for jar in jars]


def _unverified(jars: Sequence[LockedJar], root: Path) -> list[LockedJar]:
    with ThreadPoolExecutor(_PARALLEL) as pool:  # hashing releases the interpreter lock
        fine = list(pool.map(lambda jar: _matches(jar, root / jar.path), jars))
    return [jar for jar, good in zip(jars, fine, strict=True) if not good]


def _matches(jar: LockedJar, path: Path) -> bool:
    try:
        return path.stat().st_size == jar.size and _sha256(path) == jar.sha256
    except (FileNotFoundError, NotADirectoryError):
        return False


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _exclusive(cache: Path) -> Iterator[None]:
    """Hold the cache's download lock; the kernel frees it however we end."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "download.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(
    set_name: str,
    jars: Sequence[LockedJar],
    cache: Path,
    console: Console | None,
    repositories: Mapping[str, str] | None,
) -> None:
    partial = cache / "partial"  # ours alone while we hold the lock; a killed run may have left it
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    aborted = threading.Event()

    with _progress_bar(set_name, jars, console) as advance:

        def report(count: int) -> None:
            if aborted.is_set():
                raise _AbortedError
            advance(count)

        def fetch_one(jar: LockedJar) -> None:
            _fetch_one(jar, cache, report, repositories)

        pool = ThreadPoolExecutor(_PARALLEL)
        try:
            for future in [pool.submit(fetch_one, jar) for jar in jars]:
                future.result()
        finally:
            aborted.set()
            pool.shutdown(cancel_futures=True)
            shutil.rmtree(partial, ignore_errors=True)


def _fetch_one(jar: LockedJar, cache: Path, report: Report, repositories: Mapping[str, str] | None) -> None:
    problem = DownloadError(f"{jar.coordinates} was not tried")
    for attempt in range(_TRIES):
        partial = cache / "partial" / f"{jar.sha256}.{attempt}"
        try:
            found = download_jar(jar, partial, report, repositories)
        except DownloadError as error:
            problem = error
            continue
        if found == jar.sha256:
            target = cache / "jars" / jar.path
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(target)
            return
        problem = DownloadError(
            f"{jar.coordinates} does not match the lock: expected SHA-256 {jar.sha256}, got {found}; "
            "a proxy or mirror may change downloads: fetch it over another connection"
        )
    raise problem


@contextmanager
def _progress_bar(set_name: str, jars: Sequence[LockedJar], console: Console | None) -> Iterator[Report]:
    total = sum(jar.size for jar in jars)
    text = f"fetching {len(jars)} jars of {set_name}"
    if console is None:
        yield lambda _count: None
    elif not console.is_terminal:
        console.print(f"{text} ({total / 1e6:.0f} MB)", highlight=False)
        yield lambda _count: None
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(text, total=total)
            yield lambda count: bar.advance(task, count)


def _require_space(cache: Path, jars: Sequence[LockedJar]) -> None:
    needed = sum(jar.size for jar in jars) + _FREE_SPACE_MARGIN
    if shutil.disk_usage(cache).free < needed:
        raise OSError(errno.ENOSPC, "no space")


def _storage_error(error: OSError, cache: Path, jars: Sequence[LockedJar]) -> SetupError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = sum(jar.size for jar in jars) + _FREE_SPACE_MARGIN
        return SetupError(
            f"the disk of the cache folder {cache} is full: free {needed} bytes there, or set LINEAGE_CACHE to a "
            "folder on another disk"
        )
    return SetupError(
        f"the cache folder {cache} cannot be used ({error.strerror or type(error).__name__}): make it writable, or "
        "set LINEAGE_CACHE to another folder"
    )
