"""Which files a Delta table consists of now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paylog.errors import ConfigurationError
from paylog.layout import Window
from paylog.plan import listed
from paylog.storage.delta_log import live_files
from paylog.storage.folder import FolderStorage
from paylog.testing.decoded import declare

Action = dict[str, Any]
DAY = Window(datetime(2024, 1, 19, tzinfo=UTC), datetime(2024, 1, 20, tzinfo=UTC))


def add(path: str, **more: Any) -> Action:
    return {"add": {"path": path, "size": 1, **more}}


def remove(path: str) -> Action:
    return {"remove": {"path": path}}


class Table:
    """A table's folder, written action by action."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "_delta_log"
        self.log.mkdir()

    def commit(self, version: int, *actions: Action) -> None:
        text = "\n".join(map(json.dumps, actions))
        (self.log / f"{version:020d}.json").write_text(text + "\n")

    def checkpoint(self, version: int, *parts: Sequence[Action], **more: Any) -> None:
        for number, actions in enumerate(parts, 1):
            part = f".{number:010d}.{len(parts):010d}" if len(parts) > 1 else ""
            self.parquet(f"{version:020d}.checkpoint{part}.parquet", actions)
        parted = {"parts": len(parts)} if len(parts) > 1 else {}
        self.pointer({"version": version, **parted, **more})

    def parquet(self, name: str, actions: Sequence[Action]) -> None:
        kinds = ("add", "remove", "metaData", "sidecar")
        rows = [{kind: action.get(kind) for kind in kinds} for action in actions]
        metadata = {"schemaString": json.dumps({"fields": [{"name": "a", "metadata": {}}]})}
        (self.log / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist([*rows, {"metaData": metadata}]), self.log / name)

    def pointer(self, content: Action) -> None:
        (self.log / "_last_checkpoint").write_text(json.dumps(content))

    def live(self) -> set[str] | None:
        found = live_files(FolderStorage(self.root))
        return None if found is None else set(found)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_a_folder_without_a_log_is_no_table(table: Table) -> None:
    assert table.live() is None


def test_files_come_and_go(table: Table) -> None:
    table.commit(0, {"protocol": {}}, {"metaData": {"schemaString": "{}"}}, add("d=2024-01-19/a.parquet"))
    table.commit(1, add("d=x%20y/b.parquet"))
    assert table.live() == {"d=2024-01-19/a.parquet", "d=x y/b.parquet"}
    table.commit(2, remove("d=2024-01-19/a.parquet"), remove("d=x%20y/b.parquet"), add("c.parquet"))
    assert table.live() == {"c.parquet"}


@pytest.mark.parametrize("parts", [1, 2])
def test_a_checkpoint_stands_for_the_log_before_it(table: Table, parts: int) -> None:
    actions = [add("a.parquet"), add("b.parquet"), remove("old.parquet")]
    table.checkpoint(7, *([actions] if parts == 1 else [actions[:1], actions[1:]]))
    table.commit(8, remove("a.parquet"), add("c.parquet"))
    assert table.live() == {"b.parquet", "c.parquet"}


def test_a_checkpoint_of_the_second_kind_has_sidecars(table: Table) -> None:
    table.parquet("_sidecars/one.parquet", [add("a.parquet")])
    table.parquet("_sidecars/two.parquet", [add("b.parquet")])
    name = f"{7:020d}.checkpoint.uuid.json"
    lines = [json.dumps({"sidecar": {"path": path}}) for path in ("one.parquet", "two.parquet")]
    (table.log / name).write_text("\n".join(lines))
    table.pointer({"version": 7, "v2Checkpoint": {"path": name}})
    assert table.live() == {"a.parquet", "b.parquet"}


MAPPED = json.dumps(
    {"fields": [{"name": "request", "metadata": {"delta.columnMapping.physicalName": "col-1"}}]}
)


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (add("a.parquet", deletionVector={"storageType": "u"}), "deletion vector"),
        (add("s3://elsewhere/a.parquet"), "shallow clone"),
        ({"metaData": {"schemaString": MAPPED}}, "column mapping"),
        ({"add": {"size": 1}}, "incomplete or damaged"),
    ],
)
def test_what_the_files_alone_do_not_tell_is_refused(table: Table, action: Action, told: str) -> None:
    table.commit(0, action)
    with pytest.raises(ConfigurationError, match=told):
        table.live()


def test_a_missing_or_broken_checkpoint_is_refused(table: Table) -> None:
    table.pointer({"version": 3})
    with pytest.raises(ConfigurationError, match="missing"):
        table.live()
    (table.log / f"{3:020d}.checkpoint.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigurationError, match="damaged"):
        table.live()


def test_only_live_files_are_planned(table: Table) -> None:
    for name in ("a.parquet", "b.parquet", "notes.json"):
        (table.root / name).write_bytes(b"x")
    subscription = declare("databricks", {"a": "integer"})
    found = lambda: [item.key for item in listed(FolderStorage(table.root), subscription, DAY)]  # noqa: E731
    assert found() == ["a.parquet", "b.parquet", "notes.json"]
    table.commit(0, add("a.parquet"), add("b.parquet"))
    table.commit(1, remove("a.parquet"))
    assert found() == ["b.parquet", "notes.json"]
