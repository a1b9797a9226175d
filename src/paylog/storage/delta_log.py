"""Which files a Delta table consists of now: its ``_delta_log``, replayed.

A Parquet file that is not named there any more was rewritten or deleted, and holds rows twice.
Source: the Delta transaction log protocol (classic, multi-part and v2 checkpoints).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from paylog.errors import ConfigurationError, ObjectNotFound

if TYPE_CHECKING:
    from paylog.storage import Storage

_LOG = "_delta_log/"
_Action = dict[str, Any]


def live_files(storage: Storage) -> frozenset[str] | None:
    """Keys of the data files of the Delta table at the storage's root; None when there is no table.

    :raises ConfigurationError: the table has features that its Parquet files alone do not tell, or its
        log makes no sense.
    """
    try:
        return _replayed(storage)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as fault:
        raise ConfigurationError(
            f"The Delta table's {_LOG} cannot be read: the export is incomplete or damaged."
        ) from fault


def _replayed(storage: Storage) -> frozenset[str] | None:
    checkpoint = _checkpoint(storage)
    version = checkpoint["version"] + 1 if checkpoint else 0
    table = _Table()
    for action in _checkpoint_actions(storage, checkpoint) if checkpoint else ():
        table.apply(action)
    found = checkpoint is not None
    while (actions := _read(storage, f"{_LOG}{version:020d}.json")) is not None:
        for action in _lines(actions):
            table.apply(action)
        found, version = True, version + 1
    return frozenset(table.files) if found else None


class _Table:
    """A table's files as its log goes on."""

    def __init__(self) -> None:
        self.files: set[str] = set()

    def apply(self, action: _Action) -> None:
        if removed := action.get("remove"):
            self.files.discard(_key(removed))
        if added := action.get("add"):
            if added.get("deletionVector"):
                raise _unreadable("rows are deleted in a deletion vector", "REORG TABLE ... APPLY (PURGE)")
            self.files.add(_key(added))
        if metadata := action.get("metaData"):
            _check_names(metadata)


def _key(action: _Action) -> str:
    path = str(action["path"])
    if "://" in path:
        raise _unreadable("files stand outside of its folder (a shallow clone)", "make it a deep clone")
    return unquote(path)


def _check_names(metadata: _Action) -> None:
    """Columns must be called in the files as they are called in the table."""
    schema = json.loads(metadata.get("schemaString") or "{}")
    for field in schema.get("fields", ()):
        physical = (field.get("metadata") or {}).get("delta.columnMapping.physicalName")
        if physical not in (None, field.get("name")):
            raise _unreadable("columns have other names in the files (column mapping)", "copy the table")


def _unreadable(what: str, mend: str) -> ConfigurationError:
    return ConfigurationError(
        f"The Delta table cannot be read file by file: {what}. Mend it ({mend}), or export the table."
    )


def _checkpoint(storage: Storage) -> _Action | None:
    data = _read(storage, f"{_LOG}_last_checkpoint")
    checkpoint: _Action | None = json.loads(data) if data else None
    return checkpoint


def _checkpoint_actions(storage: Storage, checkpoint: _Action) -> Iterator[_Action]:
    version, parts = checkpoint["version"], checkpoint.get("parts") or 0
    head = f"{_LOG}{version:020d}.checkpoint"
    names = [f"{head}.{part:010d}.{parts:010d}.parquet" for part in range(1, parts + 1)]
    if v2 := checkpoint.get("v2Checkpoint"):
        names = [_LOG + v2["path"]]
    for name in names or [f"{head}.parquet"]:
        for action in _actions(storage, name):
            yield action
            if sidecar := action.get("sidecar"):
                yield from _actions(storage, f"{_LOG}_sidecars/{sidecar['path']}")


def _actions(storage: Storage, key: str) -> Iterable[_Action]:
    data = _read(storage, key)
    if data is None:
        raise ConfigurationError(f"The Delta table's checkpoint {key} is missing: the export is incomplete.")
    return _rows(data) if key.endswith(".parquet") else _lines(data)


def _lines(data: bytes) -> Iterator[_Action]:
    return (json.loads(line) for line in data.splitlines() if line.strip())


def _rows(data: bytes) -> Iterator[_Action]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(data))
    wanted = ["add.path", "add.deletionVector", "metaData.schemaString", "sidecar.path"]
    for batch in file.iter_batches(columns=wanted):
        yield from batch.to_pylist()


def _read(storage: Storage, key: str) -> bytes | None:
    """A whole object of the log; None when there is none."""
    try:
        with storage.open(storage.stat(key)) as chunks:
            return b"".join(chunks)
    except ObjectNotFound:
        return None
