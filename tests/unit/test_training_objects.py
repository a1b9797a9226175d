"""CSV and Parquet as people really write them, and what is said when they cannot be read."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from training_folder import TrainingFolder

from paylog.errors import (
    DecompressionLimitExceeded,
    ObjectChanged,
    ObjectNotFound,
    StopError,
    TruncatedStream,
)
from paylog.testing.training_people import as_csv, people
from paylog.training_data import open_source

SECRET = "4711-secret"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingFolder:
    return TrainingFolder(tmp_path, monkeypatch)


def rows(store: TrainingFolder, content: bytes, **reference) -> list[dict]:
    store.write("people.csv", content)
    batches = open_source(store.subscription(**reference)).chunks()
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("content", "reference"),
    [
        (b'Age,City\n1,"a, ""b""\nc"\n,\n', {}),
        (b'Age,City\r\n1,"a, ""b""\nc"\r\n,\r\n', {}),
        (b'"Age","City"\n1,"a, ""b""\nc"\n,""\n', {}),
        (b'Age;City\n1;"a, ""b""\nc"\n;\n', {"delimiter": ";"}),
        (b'\xef\xbb\xbfAge\tCity\n1\t"a, ""b""\nc"\n\t\n', {"delimiter": "\t"}),
        (b'1,"a, ""b""\nc"\n,\n', {"header": False, "columns": ["Age", "City"]}),
        ('\ufeffAge,City\n1,"a, ""b""\nc"\n,'.encode("utf-16-le"), {"encoding": "utf-16-le"}),
    ],
)
def test_dialects(store: TrainingFolder, content: bytes, reference: dict) -> None:
    expected = [{"Age": "1", "City": 'a, "b"\nc'}, {"Age": None, "City": None}]
    assert rows(store, content, **reference) == expected


def test_positional_columns_are_the_features_then_the_label(store: TrainingFolder) -> None:
    frame = people(3)
    store.write("people.csv", as_csv(frame, header=False))
    data = open_source(store.subscription(header=False))
    assert [column.name for column in data.columns] == list(frame.columns)


@pytest.mark.parametrize("content", [b"", b"Age,City", b"Age,City\n"])
def test_nothing_in_it(store: TrainingFolder, content: bytes) -> None:
    assert rows(store, content) == []


def test_a_column_wanted_twice_is_read_once_in_the_wanted_order(store: TrainingFolder) -> None:
    store.write("people.csv", b"Age,City,Sex\n1,a,m\n")
    (batch,) = open_source(store.subscription()).chunks(["Sex", "Age"])
    assert batch.to_pylist() == [{"Sex": "m", "Age": "1"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"Age,City\n1,{SECRET},3\n".encode(), "line 2 has 3 cells, 2 expected"),
        (f"Age,City\n1,a\n{SECRET}".encode(), "line 3 has 1 cells, 2 expected"),
        (f"Age,City\n1,Z\xfcrich {SECRET}\n".encode("latin-1"), "not written in utf-8"),
        (f"{SECRET},a,{SECRET}\n1,2,3\n".encode(), "columns 1, 3 share a name"),
    ],
)
def test_what_is_wrong_is_said_without_a_value(store: TrainingFolder, content: bytes, said: str) -> None:
    with pytest.raises(StopError, match=said) as caught:
        rows(store, content)
    assert SECRET not in f"{caught.value} {caught.value.__cause__}"


def test_latin_1_is_read_when_it_is_said(store: TrainingFolder) -> None:
    content = "Age,City\n1,Zürich\n".encode("latin-1")
    assert rows(store, content, encoding="latin-1") == [{"Age": "1", "City": "Zürich"}]


def test_a_cut_gzip_object(store: TrainingFolder) -> None:
    with pytest.raises(TruncatedStream, match="ends too soon"):
        rows(store, gzip.compress(as_csv(people(2_000)))[:-500])


def test_more_bytes_than_allowed_name_the_setting(store: TrainingFolder) -> None:
    content = as_csv(people(500))
    with pytest.raises(DecompressionLimitExceeded, match="max_bytes"):
        rows(store, content, max_bytes=len(content) - 1)
    assert len(rows(store, content, max_bytes=len(content))) == 500


def test_the_limit_is_for_all_parts_together(store: TrainingFolder) -> None:
    content = as_csv(people(50))
    for part in ("1.csv", "2.csv"):
        store.write(f"parts/{part}", content)
    whole = open_source(store.subscription(prefix="parts/", max_bytes=2 * len(content)))
    assert sum(batch.num_rows for batch in whole.chunks()) == 100
    with pytest.raises(DecompressionLimitExceeded):
        list(open_source(store.subscription(prefix="parts/", max_bytes=2 * len(content) - 1)).chunks())


def test_parts_must_have_the_same_columns(store: TrainingFolder) -> None:
    store.write("parts/1.csv", b"Age,City\n1,a\n")
    store.write("parts/2.csv", b"City,Age\nb,2\n")
    both = open_source(store.subscription(prefix="parts/"))
    assert [r for batch in both.chunks() for r in batch.to_pylist()][1] == {"Age": "2", "City": "b"}
    store.write("parts/3.csv", b"Age\n3\n")
    with pytest.raises(StopError, match=r"3\.csv lacks the columns \['City'\]"):
        list(open_source(store.subscription(prefix="parts/")).chunks())


def test_parquet_that_is_none(store: TrainingFolder) -> None:
    store.write("people.parquet", b"Age,City\n1,2\n")
    with pytest.raises(StopError, match="cannot be read as Parquet"):
        _ = open_source(store.subscription(object="people.parquet")).columns


def test_parquet_parts_and_types(store: TrainingFolder) -> None:
    for part in (1, 2):
        file = io.BytesIO()
        pq.write_table(pa.table({"Age": pa.array([part], pa.int16()), "City": ["a"]}), file)
        store.write(f"parts/{part}.parquet", file.getvalue())
    data = open_source(store.subscription(prefix="parts/"))
    assert [(c.name, c.type) for c in data.columns] == [("Age", "int16"), ("City", "string")]
    assert [batch["Age"].to_pylist() for batch in data.chunks(["Age"])] == [[1], [2]]


def test_an_object_that_changes_meanwhile_is_not_mixed(store: TrainingFolder) -> None:
    store.write("people.csv", b"Age\n1\n")
    data = open_source(store.subscription())
    store.write("people.csv", b"Age\n1\n2\n")
    with pytest.raises(ObjectChanged):
        list(data.chunks())


def test_versions_tell_contents_apart(store: TrainingFolder) -> None:
    for part in ("1.csv", "2.csv"):
        store.write(f"parts/{part}", b"Age\n1\n")
    before = open_source(store.subscription(prefix="parts/")).version
    store.write("parts/2.csv", b"Age\n12\n")
    after = open_source(store.subscription(prefix="parts/")).version
    assert before.version != after.version
    assert (after.objects, after.bytes) == (2, 13)
    assert after.location.endswith("/parts/")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"object": "train/peple.csv"}, "did you mean 'train/people.csv'"),
        ({"prefix": "trian/"}, "no object below 'trian/' .*did you mean 'train/'"),
        ({"prefix": "nowhere/at/all/"}, "no object below"),
    ],
)
def test_near_names_are_suggested(store: TrainingFolder, reference: dict, said: str) -> None:
    store.write("train/people.csv", b"Age\n1\n")
    with pytest.raises(ObjectNotFound, match=said):
        open_source(store.subscription(**reference))
