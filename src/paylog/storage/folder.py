"""Capture objects in a local folder (or a mounted share)."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG

from paylog.errors import AccessDenied, ConfigurationError, ObjectChanged, ObjectNotFound, RetriableError
from paylog.records import CaptureObject
from paylog.storage.keys import is_capture, is_visible, root_prefix

CHUNK = 1 << 20


class FolderStorage:
    """Files below a root folder. Keys use ``/``; the version is ``<mtime in ns>-<size>``.

    Symbolic links are followed inside the root and refused when they lead out of it. Two writes of
    the same size within one tick of the file system's clock (about 4 ms) are one version.
    """

    def __init__(self, root: Path, prefix: str = "") -> None:
        """:raises ObjectNotFound: the folder ``root`` does not exist. That of ``prefix`` may come later."""
        self._top = Path(os.path.realpath(root))
        if not self._top.is_dir():
            raise ObjectNotFound(f"folder {root} does not exist: create it or mend the connection's path")
        self._root = self._inside(self._top / root_prefix(prefix))

    def list(self, prefix: str) -> Iterator[CaptureObject]:
        """Files whose key starts with ``prefix``, in key order; none if there is no such folder."""
        folder, _, start = prefix.rpartition("/")
        path = self._inside(self._root / folder)
        if path.is_dir():
            yield from self._walk(path, f"{folder}/" if folder else "", start, (str(path),))

    def stat(self, key: str) -> CaptureObject:
        """The file as it is now. :raises ObjectNotFound: there is none."""
        path = self._inside(self._root / key)
        with _explained(path):
            status = path.stat()
        if not S_ISREG(status.st_mode):
            raise ObjectNotFound(f"{path} is not a file")
        return self._capture(key, status)

    @contextmanager
    def open(self, item: CaptureObject, start: int = 0) -> Iterator[Iterator[bytes]]:
        """Chunks of 1 MiB. :raises ObjectChanged: written to or removed since it was listed."""
        path = self._inside(self._root / item.key)
        try:
            with _explained(path):
                file = path.open("rb", buffering=0)
        except ObjectNotFound as gone:
            raise ObjectChanged(f"{path} was removed after it was listed") from gone
        with file:
            _same_version(file.fileno(), item, path)
            with closing(_chunks(file.fileno(), item, path, file.seek(start))) as chunks:
                yield chunks

    def _walk(self, folder: Path, base: str, start: str, above: tuple[str, ...]) -> Iterator[CaptureObject]:
        for name, entry in _entries(folder):
            key = base + name
            if not name.startswith(start) or not is_visible(key):
                continue
            path = self._inside(Path(entry.path)) if entry.is_symlink() else Path(entry.path)
            if name.endswith("/"):
                if str(path) not in above:  # a link to a folder we are in
                    yield from self._walk(path, key, "", (*above, str(path)))
            elif is_capture(key) and (item := self._listed(key, path)) is not None:
                yield item

    def _listed(self, key: str, path: Path) -> CaptureObject | None:
        try:
            with _explained(path):
                status = path.stat()
        except ObjectNotFound:
            return None
        return self._capture(key, status) if S_ISREG(status.st_mode) else None

    def _capture(self, key: str, status: os.stat_result) -> CaptureObject:
        modified = datetime.fromtimestamp(status.st_mtime_ns // 1_000_000_000, UTC)
        return CaptureObject(
            uri=self.uri(key),
            key=key,
            version=_version(status),
            size=status.st_size,
            last_modified=modified.replace(microsecond=status.st_mtime_ns // 1000 % 1_000_000),
        )

    def uri(self, key: str) -> str:
        """Address of a key."""
        return f"file://{self._root}/{key}"

    def _inside(self, path: Path) -> Path:
        """``path`` without links, unless that is outside the connection's root folder."""
        real = Path(os.path.realpath(path))
        if ".." in path.parts or not real.is_relative_to(self._top):
            raise AccessDenied(
                f"{path} leads out of the root folder {self._top}: remove the link, or point the "
                "connection at the folder that holds both"
            )
        return real


def _entries(folder: Path) -> list[tuple[str, os.DirEntry[str]]]:
    """Names in key order: a folder sorts with its slash, so that whole keys come out sorted."""
    try:
        with _explained(folder), os.scandir(folder) as found:
            entries = [(f"{e.name}/" if e.is_dir() else e.name, e) for e in found]
    except ObjectNotFound:
        return []
    for name, _ in entries:
        if not name.isprintable() and any("\ud800" <= c <= "\udfff" for c in name):
            raise ConfigurationError(f"{folder}: the file name {name!r} is not UTF-8: rename the file")
    return sorted(entries, key=lambda entry: entry[0])


def _chunks(descriptor: int, item: CaptureObject, path: Path, read: int) -> Generator[bytes, None, None]:
    while True:
        with _explained(path):
            chunk = os.read(descriptor, CHUNK)
        _same_version(descriptor, item, path)
        read += len(chunk)
        if not chunk:
            break
        yield chunk
    if read != item.size:
        raise ObjectChanged(f"{path}: {read:,} bytes read, {item.size:,} listed")


def _same_version(descriptor: int, item: CaptureObject, path: Path) -> None:
    found = _version(os.fstat(descriptor))
    if found != item.version:
        raise ObjectChanged(f"{path} is version {found} now, version {item.version} was listed")


def _version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ObjectNotFound(f"{path} does not exist") from error
    except PermissionError as error:
        raise AccessDenied(f"{path} may not be read: give this user the right (chmod, chown)") from error
    except OSError as error:
        raise RetriableError(f"{path} could not be read: {error.strerror}") from error
