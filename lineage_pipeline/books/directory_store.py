"""A plain directory as an object store: whole listings or an error, atomic writes."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR

from lineage_pipeline.books.object_store import ObjectInfo, checked_key, is_hidden
from lineage_pipeline.errors import StoreError


class DirectoryStore:
    """The objects below a directory. Symbolic links are followed, also to directories; a circle of them is refused."""

    in_flight = 1  # the page cache answers at once: threads would only wait for each other

    def __init__(self, uri: str, root: str) -> None:
        self.uri = uri
        self._root = Path(root)

    def exists(self) -> bool:
        """Whether the directory is there. Raises StoreError when that cannot be told, or it is a file."""
        try:
            mode = self._root.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError) as error:
            raise self._failed("looked at", "", error) from None
        if not S_ISDIR(mode):
            raise StoreError(f"{self.uri} is a file, not a directory: check the path")
        return True

    def list(self, prefix: str = "", *, hidden: bool = False) -> Iterator[ObjectInfo]:
        """All files below the directory; see ObjectStore.list."""
        if not self.exists():
            raise StoreError(f"the directory {self.uri} does not exist: check the path, or whether the job ever wrote")
        below = prefix.strip("/")
        start = self._root / checked_key(below) if below else self._root
        try:
            yield from self._walk(start, f"{below}/" if below else "", hidden, ())
        except FileNotFoundError:
            if below and not start.exists():
                return
            raise StoreError(f"{self.uri} changed while it was listed: try again") from None
        except OSError as error:
            raise self._failed("listed", below, error) from None

    def get(self, key: str) -> bytes:
        """The file's content; see ObjectStore.get."""
        try:
            return (self._root / checked_key(key)).read_bytes()
        except (OSError, ValueError) as error:
            raise self._failed("read", key, error) from None

    def get_range(self, listed: ObjectInfo, start: int, end: int) -> bytes:
        """A part of the file; see ObjectStore.get_range."""
        try:
            descriptor = os.open(self._root / checked_key(listed.key), os.O_RDONLY)
            try:
                if _tag(os.fstat(descriptor)) != listed.etag:
                    raise StoreError(f"{self.uri.rstrip('/')}/{listed.key} changed since it was listed: try again")
                return os.pread(descriptor, end - start, start)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise self._failed("read", listed.key, error) from None

    def put(self, key: str, data: bytes) -> None:
        """Write under a hidden name, flush to disk, rename; see ObjectStore.put."""
        target = self._root / checked_key(key)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
            _sync_directory(target.parent)
        except (OSError, ValueError) as error:
            raise self._failed("written", key, error) from None

    def put_new(self, key: str, data: bytes) -> bool:
        """Write under a hidden name, flush to disk, then link: a name is given once; see ObjectStore.put_new."""
        target = self._root / checked_key(key)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                try:
                    target.hardlink_to(temporary)
                except FileExistsError:
                    return False
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
            _sync_directory(target.parent)
        except (OSError, ValueError) as error:
            raise self._failed("written", key, error) from None
        return True

    def _walk(
        self, folder: Path, prefix: str, hidden: bool, above: tuple[tuple[int, int], ...]
    ) -> Iterator[ObjectInfo]:
        state = folder.stat()
        here = (state.st_dev, state.st_ino)
        if here in above:
            raise StoreError(f"{self.uri}: {prefix} is a link to a directory above itself: remove it")
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if not hidden and is_hidden(entry.name):
                continue
            if not entry.name.isprintable() and not _is_utf8(entry.name):
                raise StoreError(f"{self.uri}: the name {entry.name!r} in {prefix or './'} is not UTF-8: rename it")
            try:
                status = entry.stat()
            except FileNotFoundError:
                if os.path.lexists(entry.path):  # a link that leads nowhere may hide evidence: never skip it
                    raise StoreError(f"{self.uri}: {prefix}{entry.name} is a link to nothing: remove it") from None
                continue  # deleted since the directory was read, as a writer's temporary files are
            if S_ISDIR(status.st_mode):
                yield from self._walk(Path(entry.path), f"{prefix}{entry.name}/", hidden, (*above, here))
            else:
                yield ObjectInfo(f"{prefix}{entry.name}", status.st_size, _tag(status), status.st_mtime)

    def _failed(self, verb: str, key: str, error: OSError | ValueError) -> StoreError:
        where = f"{self.uri.rstrip('/')}/{key}" if key else self.uri
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        remedy = "check rights" if isinstance(error, PermissionError) else "check the path"
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EIO}:
            remedy = "check the disk"
        return StoreError(f"{where} cannot be {verb} ({reason}): {remedy}")


def _is_utf8(name: str) -> bool:
    """Python has what is none as lone surrogates: nothing of such a name could be kept or told."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tag(status: os.stat_result) -> str:
    """An entity tag: changes with the file's identity, size or times; st_ctime is the one that nobody can set back."""
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_ctime_ns:x}-{status.st_size:x}"


def _sync_directory(folder: Path) -> None:
    """Make a rename durable; a file system that cannot do it for directories is left as it is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
