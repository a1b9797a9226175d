"""BentoML's monitor: naive times, no ids of rows, files that are renamed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from paylog.decode import Decoder
from paylog.errors import Reason
from paylog.testing.contract import Outcome, Path, capture_object, declare, outcome

FEATURES = {"age": "integer", "job": "string"}
KEY = "credit/data/data.1.log"


def line(age: float = 27.0, time: str | None = "2024-01-19T19:57:30.123456", **more: Any) -> dict[str, Any]:
    scored = {"age": age, "job": "clerk", "prediction": "Risk", "probability": [0.25, 0.75]}
    return {**scored, "timestamp": time, "request_id": "14642743634293743168", "trace_id": "0", **more}


def load(*lines: Any, path: Path = Path.NATIVE, key: str = KEY, **declared: Any) -> Outcome:
    data = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines).encode()
    subscription = declare("bentoml", FEATURES, **{"timezone": "Europe/Berlin", **declared})
    found = outcome(subscription, data, path, key=key)
    assert found.balanced
    return found


@pytest.mark.parametrize("path", Path)
def test_a_time_without_a_zone_is_the_subscriptions(path: Path) -> None:
    found = load(line(), line(time="2024-07-19T19:57:30"), path=path)
    assert [row["scoring_timestamp"] for row in found.rows] == [
        datetime(2024, 1, 19, 18, 57, 30, 123456, tzinfo=UTC),
        datetime(2024, 7, 19, 17, 57, 30, tzinfo=UTC),
    ]
    assert [row["age"] for row in found.rows] == [27, 27]


@pytest.mark.parametrize("path", Path)
def test_without_a_time_nothing_is_loaded(path: Path) -> None:
    found = load(line(time=None), line(time="soon"), line(), path=path)
    assert found.reasons == [Reason.NO_TIMESTAMP] * 2


def test_a_subscription_has_to_say_the_zone() -> None:
    with pytest.raises(ValidationError, match="zone"):
        declare("bentoml", FEATURES)
    assert declare("bentoml", FEATURES, timestamp="last_modified")


@pytest.mark.parametrize("path", Path)
def test_rows_of_one_request_are_told_apart_by_their_lines(path: Path) -> None:
    found = load(line(), line(), line(28), path=path)
    assert len({row["_record_id"] for row in found.rows}) == 3
    assert {row["_transaction_id"] for row in found.rows} == {"14642743634293743168"}


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize(
    ("given", "kept"),
    [("None", None), (None, None), (2**63 + 1, str(2**63 + 1)), ("7", "7")],
)
def test_request_ids_are_text(given: Any, kept: str | None, path: Path) -> None:
    assert [row["_transaction_id"] for row in load(line(request_id=given), path=path).rows] == [kept]


@pytest.mark.parametrize("path", Path)
def test_a_file_keeps_its_rows_when_it_is_rotated(path: Path) -> None:
    """The live file and the same file under yesterday's date; today's begins anew under the old name."""
    live = [row["_record_id"] for row in load(line(), line(28), path=path).rows]
    rotated = load(line(), line(28), path=path, key=f"{KEY}.2024-01-19")
    assert [row["_record_id"] for row in rotated.rows] == live
    today = load(line(time="2024-01-20T00:00:01"), line(28, time="2024-01-20T00:00:02"), path=path)
    other_worker = load(line(), line(28), path=path, key="credit/data/data.2.log")
    ids = live + [row["_record_id"] for found in (today, other_worker) for row in found.rows]
    assert len(set(ids)) == 6


def test_the_ways_to_decode_name_rows_alike() -> None:
    lines = [line(20 + i, job='a "b"' if i % 3 else "c") for i in range(9)]
    first, *others = (load(*lines, path=path).rows for path in Path)
    assert all(rows == first for rows in others)


def test_what_is_a_log_and_what_still_grows() -> None:
    engine = Decoder(declare("bentoml", FEATURES, timezone="UTC")).engine
    files = {
        "credit/data/data.1.log": (False, True),
        "data.0.log": (False, True),
        "credit/data/data.1.log.2024-01-19": (False, False),
        "credit/data/data.1.log.2024-01-19.gz": (False, False),
        "credit/schema/schema.1.log": (True, False),
    }
    for key, expected in files.items():
        item = capture_object(b"", key)
        assert (engine.skips(item), engine.appends(item)) == expected


@pytest.mark.parametrize("path", Path)
def test_lines_of_another_monitor_and_broken_ones_are_kept(path: Path) -> None:
    found = load(line(), {"x": 1, "timestamp": "2024-01-19T19:57:30"}, '{"age": 1', "7", line(), path=path)
    assert [row["_position"] for row in found.rows] == [0, 4]
    assert [reject.position for reject in found.rejects] == [1, 2, 3]
    assert set(found.reasons) == {Reason.MISSING_FEATURE, Reason.MALFORMED_JSON, Reason.MALFORMED_RECORD}


@pytest.mark.parametrize("path", Path)
def test_a_model_may_keep_the_monitors_own_columns(path: Path) -> None:
    found = load(line(), path=path, meta={"trace_id": "string", "request_id": "string"})
    assert [(row["trace_id"], row["request_id"]) for row in found.rows] == [("0", "14642743634293743168")]
