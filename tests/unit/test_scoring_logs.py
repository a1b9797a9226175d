"""The generator against an independent reading of what it wrote."""

from __future__ import annotations

import base64
import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from paylog.errors import Reason
from paylog.testing.capture_records import ContentTypes
from paylog.testing.scored_model import CHURN, CREDIT_RISK, Model
from paylog.testing.scoring_logs import CaptureLog, Defect, LogObject, PayloadLog, ScoringLog

WINDOW = {"start": datetime(2024, 1, 30, tzinfo=UTC), "end": datetime(2024, 2, 2, tzinfo=UTC)}
DEFECTS = dict.fromkeys(Defect, 3)
MODELS = pytest.mark.parametrize("model", [CREDIT_RISK, CHURN], ids=["credit-risk", "churn"])

Row = tuple[str, list[Any], Any, list[float]]


def lines(log: ScoringLog) -> Iterator[bytes]:
    for item in log.objects():
        data = gzip.decompress(item.data) if item.key.endswith(".gz") else item.data
        yield from data.splitlines()


def payload_rows(document: dict[str, Any]) -> Iterator[Row]:
    request, response = document["request"]["values"], document["response"]["values"]
    for n, (given, (probability, prediction)) in enumerate(zip(request, response, strict=True), 1):
        yield f"{document['scoring_id']}-{n}", given, prediction, probability


def capture_rows(model: Model, document: dict[str, Any]) -> Iterator[Row]:
    sides = document["captureData"]
    given = list(requested(model, sides["endpointInput"]))
    taken = list(responded(model, sides["endpointOutput"]))
    for n, (features, (prediction, probability)) in enumerate(zip(given, taken, strict=True), 1):
        yield f"{document['eventMetadata']['eventId']}-{n}", features, prediction, probability


def requested(model: Model, side: dict[str, Any]) -> Iterator[list[Any]]:
    kind, data = side["observedContentType"], side["data"]
    if kind == "text/csv":
        casts: dict[str, Callable[[str], Any]] = {
            "string": str, "integer": int, "double": float, "boolean": json.loads,
        }  # fmt: skip
        for cells in csv.reader(data.splitlines()):
            yield [casts[f.type](cell) for f, cell in zip(model.features, cells, strict=True)]
    elif kind == "application/jsonlines":
        yield from (json.loads(line)["features"] for line in data.splitlines())
    else:
        yield from (instance["features"] for instance in json.loads(data)["instances"])


def responded(model: Model, side: dict[str, Any]) -> Iterator[tuple[Any, list[float]]]:
    data = base64.b64decode(side["data"]).decode() if side["encoding"] == "BASE64" else side["data"]
    if side["encoding"] == "CSV":
        for label, *probability in csv.reader(data.splitlines()):
            yield type(model.class_labels[0])(label), [float(p) for p in probability]
        return
    jsonlines = side["observedContentType"] == "application/jsonlines"
    rows = map(json.loads, data.splitlines()) if jsonlines else json.loads(data)["predictions"]
    yield from ((row["predicted_label"], [1 - row["score"], row["score"]]) for row in rows)


def true_rows(log: ScoringLog) -> list[Row]:
    names = [f.name for f in log.model.features]
    return [
        (row["scoring_id"], [row[name] for name in names], row["prediction"], row["probability"])
        for row in log.truth()
    ]


@MODELS
@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("array", [True, False])
def test_payload_records_hold_the_truth(model: Model, compact: bool, array: bool) -> None:
    log = PayloadLog(
        model=model, records=60, objects_count=4, rows_per_record=3, array=array, compact=compact, **WINDOW
    )
    documents = [json.loads(line) for line in lines(log)]
    records = [record for document in documents for record in document] if array else documents
    assert [row for record in records for row in payload_rows(record)] == true_rows(log)
    assert (b'": ' in log.render(list(log._scored(0)))) is not compact


@MODELS
@pytest.mark.parametrize("types", list(ContentTypes))
def test_captures_hold_the_truth(model: Model, types: ContentTypes) -> None:
    log = CaptureLog(model=model, records=60, rows_per_record=3, types=types, gzip=True, **WINDOW)
    rows = [row for line in lines(log) for row in capture_rows(model, json.loads(line))]
    assert rows == true_rows(log)


def defect_of(model: Model, line: bytes) -> tuple[Reason | None, str, int]:
    """Reason, record id and rows of one payload record, judged without the generator."""
    try:
        record = json.loads(line)
    except ValueError:
        return Reason.MALFORMED_JSON, "", 1
    given = record["request"]["values"]
    names = record["request"]["fields"]
    integer = names.index(next(f.name for f in model.features if f.type == "integer"))
    reason = None
    if "scoring_timestamp" not in record:
        reason = Reason.NO_TIMESTAMP
    elif "response" not in record:
        reason = Reason.MISSING_RESPONSE
    elif len(given) != len(record["response"]["values"]):
        reason = Reason.ROW_COUNT_MISMATCH
    elif len(names) < len(model.features):
        reason = Reason.MISSING_FEATURE
    elif any(isinstance(row[integer], str) for row in given):
        reason = Reason.TYPE_MISMATCH
    return reason, record["scoring_id"], len(given)


@MODELS
def test_expected_counts_are_what_was_planted(model: Model) -> None:
    log = PayloadLog(model=model, records=200, objects_count=7, rows_per_record=4, defects=DEFECTS, **WINDOW)
    reasons, seen, loaded, duplicate = Counter[str](), set[str](), 0, 0
    for line in lines(log):
        reason, record_id, rows = defect_of(model, line)
        if reason:
            reasons[reason] += rows
        elif record_id in seen:
            duplicate += rows
        else:
            seen.add(record_id)
            loaded += rows
    counts = log.expected.counts
    assert log.expected.reasons == reasons
    assert reasons == {
        Reason.MALFORMED_JSON: 3, Reason.MISSING_FEATURE: 3, Reason.TYPE_MISMATCH: 3, Reason.NO_TIMESTAMP: 3,
        Reason.MISSING_RESPONSE: 3, Reason.ROW_COUNT_MISMATCH: 6,
    }  # fmt: skip
    assert (counts.loaded, counts.duplicate, counts.rejected) == (loaded, duplicate, reasons.total())
    assert counts.balanced
    assert len(list(log.truth())) == loaded


def test_a_missing_feature_of_a_capture_is_a_column_too_few() -> None:
    log = CaptureLog(model=CHURN, records=20, defects={Defect.MISSING_FEATURE: 2}, **WINDOW)
    assert log.expected.reasons == {Reason.COLUMN_COUNT_MISMATCH: 2}
    widths = Counter(
        len(json.loads(line)["captureData"]["endpointInput"]["data"].strip().split(","))
        for line in lines(log)
    )
    assert widths == {len(CHURN.features): 18, len(CHURN.features) - 1: 2}


def written(seed: int) -> list[LogObject]:
    log = CaptureLog(model=CREDIT_RISK, records=50, objects_count=3, defects=DEFECTS, seed=seed, **WINDOW)
    return list(log.objects())


def test_the_seed_decides_every_byte() -> None:
    assert written(1) == written(1)
    assert not {item.data for item in written(1)} & {item.data for item in written(2)}


def test_objects_are_filed_by_the_time_of_their_first_record() -> None:
    for item in written(1):
        first = json.loads(item.data.splitlines()[0])["eventMetadata"]["inferenceTime"]
        filed = datetime.fromisoformat(first)
        assert item.key.startswith(f"{filed:%Y/%m/%d/%H/%M-%S}-")
        assert WINDOW["start"] <= filed <= item.last_scored < WINDOW["end"]


def test_a_malformed_record_cannot_be_planted_in_an_array() -> None:
    with pytest.raises(ValueError, match="spoil the whole JSON array"):
        PayloadLog(model=CHURN, records=9, array=True, defects={Defect.MALFORMED_JSON: 1}, **WINDOW)


@MODELS
def test_people_differ_and_both_classes_occur(model: Model) -> None:
    log = PayloadLog(model=model, records=2000, **WINDOW)
    labels = Counter(row["prediction"] for row in log.truth())
    assert set(labels) == set(model.class_labels)
    assert min(labels.values()) > 100
