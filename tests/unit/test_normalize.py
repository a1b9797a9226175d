"""Events → record batch and rejects, block by block."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paylog.decode import Decoder
from paylog.engines import Decoded
from paylog.errors import Reason
from paylog.event_columns import Place
from paylog.native import library
from paylog.normalize import Normalizer
from paylog.records import Block, Reject
from paylog.subscription import Subscription
from paylog.testing.contract import Path, capture_object, declare, decoding, outcome

FEATURES = {"age": "integer", "job": "string"}


def subscription(**declared: Any) -> Subscription:
    return declare("custom_machine_learning", FEATURES, **declared)


def record(number: int, rows: int = 1, **more: Any) -> bytes:
    answers = [["Risk" if number % 2 else "No Risk", [0.25, 0.75]]] * rows
    return json.dumps(
        {
            "scoring_id": f"e{number}",
            "scoring_timestamp": "2024-01-19T19:27:57Z",
            "request": {"fields": list(FEATURES), "values": [[number, f"job {i}"] for i in range(rows)]},
            "response": {"fields": ["prediction", "probability"], "values": answers},
            **more,
        }
    ).encode()


def blocks(declared: Subscription, data: bytes, path: Path = Path.NATIVE) -> list[Block]:
    with decoding(path):
        return list(Decoder(declared).blocks(capture_object(data), iter([data])))


@pytest.mark.parametrize("path", Path)
def test_blocks_have_the_schema_of_the_payload_table(path: Path) -> None:
    declared = subscription(meta={"sex": "string"})
    data = b"\n".join([record(1), record(2, 3), b"{", record(3, response=None), record(4)])
    found = blocks(declared, data, path)
    assert found
    for block in found:
        assert block.records.schema.equals(declared.model_schema.arrow_schema)
        block.records.validate(full=True)
        required = [field.name for field in block.records.schema if not field.nullable]
        assert required
        assert not any(block.records.column(name).null_count for name in required)
    assert sum(block.read for block in found) == 1 + 3 + 1 + 1 + 1


@pytest.mark.parametrize("path", Path)
def test_columns_in_the_order_of_openscale(path: Path) -> None:
    (block,) = blocks(subscription(), record(1), path)
    assert block.records.schema.names == [
        *("scoring_id", "scoring_timestamp", "deployment_id", "asset_revision", "age", "job"),
        *("prediction", "probability", "prediction_probability"),
        *(
            "_record_id",
            "_object_id",
            "_position",
            "_transaction_id",
            "_response_time",
            "_timestamp_approximate",
            "_partner_id",
            "_partner_position",
        ),
    ]


def test_an_empty_object_gives_no_block() -> None:
    assert blocks(subscription(), b"") == []


def test_rejects_and_filtered_rows_of_an_engine_are_passed_on() -> None:
    normalizer = Normalizer(subscription())
    reject = Reject(7, Reason.MISSING_REQUEST, b"{}", rows=2)
    place = Place(capture_object(b""), "")
    (block,) = normalizer.blocks(Decoded([], [reject], filtered=3), place)
    assert (block.rejects, block.filtered, block.records.num_rows, block.read) == ([reject], 3, 0, 5)
    assert list(normalizer.blocks(Decoded([], []), place)) == []


@pytest.mark.parametrize("path", Path)
def test_a_bad_row_leaves_the_other_rows_of_its_record(path: Path) -> None:
    bad = record(5, 3).replace(b'[5, "job 1"]', b'["five", "job 1"]')
    found = outcome(subscription(), bad, path)
    assert [row["scoring_id"] for row in found.rows] == ["e5-1", "e5-3"]
    assert found.rejects == [Reject(0, Reason.TYPE_MISMATCH, bad, 2, "age")]


@pytest.mark.parametrize("path", Path)
def test_the_first_fault_in_column_order_names_a_row(path: Path) -> None:
    bad = record(5, scoring_timestamp="never").replace(b'[5, "job 0"]', b'["five", "job 0"]')
    assert outcome(subscription(), bad, path).reasons == [Reason.NO_TIMESTAMP]


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize("year", ["1969-12-31", "2200-01-01", "0001-01-01"])
def test_implausible_scoring_times(path: Path, year: str) -> None:
    found = outcome(subscription(), record(1, scoring_timestamp=f"{year}T00:00:00Z"), path)
    assert found.reasons == [Reason.NO_TIMESTAMP]


@pytest.mark.parametrize("path", Path)
def test_deployments_keep_equal_scoring_ids_apart(path: Path) -> None:
    document = subscription().document()
    document["deployment"]["id"] = "another"
    other = Subscription.model_validate(document)
    ours, theirs = (outcome(declared, record(1), path).rows[0] for declared in (subscription(), other))
    assert ours["scoring_id"] == theirs["scoring_id"] == "e1-1"
    assert ours["_record_id"] != theirs["_record_id"]


@pytest.mark.skipif(library() is None, reason="the native library was not built")
def test_regular_lines_take_the_native_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tests would pass just as well if nothing ever did."""
    lines = [record(i, 1 if i % 10 else 2) for i in range(100)]
    scanned: list[int] = []
    native = Normalizer.regular

    def counted(self: Normalizer, found: Any, *rest: Any) -> Block:
        scanned.append(len(found.lines))
        return native(self, found, *rest)

    monkeypatch.setattr(Normalizer, "regular", counted)
    assert len(outcome(subscription(), b"\n".join(lines[1:])).rows) == 99 + 9
    assert scanned == [90]


def test_the_environment_turns_the_native_library_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYLOG_NATIVE", "0")
    library.cache_clear()
    try:
        assert library() is None
        assert len(outcome(subscription(), record(1)).rows) == 1
    finally:
        library.cache_clear()
