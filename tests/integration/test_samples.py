"""Scoring logs that nobody here wrote."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from paylog.errors import Reason
from paylog.subscription import Subscription
from paylog.testing import contract
from paylog.testing.contract import Outcome, declare

SAMPLES = Path(__file__).parents[2] / "../shared/samples"
CROSS = SAMPLES / "credit_risk_cross_engine"
LABELS = ["No Risk", "Risk"]
LABEL_AND_SCORE = {"predicted_label": "prediction", "score": "P(Risk)"}
RENDERINGS = {
    "sagemaker/csv_both": {"label": "prediction", "p0": "P(No Risk)", "p1": "P(Risk)"},
    "sagemaker/csv_in_json_out": LABEL_AND_SCORE,
    "sagemaker/jsonlines_both": LABEL_AND_SCORE,
    "sagemaker/base64_out_null_ct": LABEL_AND_SCORE,
    "ibm/payload_records.json": None,
    "generic/scored.ndjson": None,
    "generic/scored.ndjson.gz": None,
}
TOLERANCE = 3e-16  # of 1 - score, where a log holds one score of two

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")


def load(
    subscription: Subscription, files: Iterable[Path], path: contract.Path = contract.Path.NATIVE
) -> Outcome:
    """Everything in these files, each an object of its own."""
    found = [contract.outcome(subscription, f.read_bytes(), path, key=f.as_posix()) for f in files]
    assert all(one.balanced for one in found)
    return Outcome(
        [row for one in found for row in one.rows],
        [reject for one in found for reject in one.rejects],
        sum(one.read for one in found),
        sum(one.filtered for one in found),
    )


def expected() -> dict[str, dict[str, Any]]:
    with (CROSS / "expected_normalised.jsonl").open() as lines:
        records = map(json.loads, lines)
        return {f"{record['request_id']}-{record['row'] + 1}": record for record in records}


def rendering(name: str) -> tuple[Subscription, list[Path]]:
    features = next(iter(expected().values()))["features"]
    types = {name: "string" if isinstance(value, str) else "integer" for name, value in features.items()}
    provider = "amazon_sagemaker" if name.startswith("sagemaker") else "custom_machine_learning"
    place = CROSS / name
    files = sorted(place.rglob("*.jsonl")) if place.is_dir() else [place]
    assert files
    return declare(provider, types, LABELS, response=RENDERINGS[name]), files


@pytest.mark.parametrize("path", contract.Path)
@pytest.mark.parametrize("name", RENDERINGS)
def test_every_rendering_is_the_one_right_answer(name: str, path: contract.Path) -> None:
    wanted = expected()
    found = load(*rendering(name), path)
    assert not found.rejects
    assert len(found.rows) == len(wanted) == 60
    for row in found.rows:
        right = wanted.pop(row["scoring_id"])
        assert {feature: row[feature] for feature in right["features"]} == right["features"]
        assert row["prediction"] == right["prediction"]
        assert row["probability"] == pytest.approx(right["probability"], rel=0, abs=TOLERANCE)
        assert row["probability"][1] == right["probability"][1]
        assert row["prediction_probability"] == max(row["probability"])
        time = datetime.fromisoformat(right["scoring_timestamp"])
        assert row["scoring_timestamp"] == (
            time.replace(microsecond=0) if name.startswith("sagemaker") else time
        )
        if name.startswith("ibm"):
            assert row["_transaction_id"] == right["transaction_id"]
    assert not wanted


@pytest.mark.parametrize("name", RENDERINGS)
def test_ids_are_the_same_in_two_runs_and_differ_within_one(name: str) -> None:
    first, second = ([row["_record_id"] for row in load(*rendering(name)).rows] for _ in range(2))
    assert first == second
    assert len(set(first)) == 60


def captures() -> list[Path]:
    return sorted((SAMPLES / "sagemaker").glob("capture_*.jsonl"))


@pytest.mark.parametrize("path", contract.Path)
@pytest.mark.parametrize("name", [file.name for file in captures()])
def test_real_captures_value_for_value(name: str, path: contract.Path) -> None:
    file = SAMPLES / "sagemaker" / name
    records = [json.loads(line) for line in file.read_text().splitlines()]
    rows: dict[str, tuple[list[float], dict[str, float]]] = {}
    for record in records:
        sides = record["captureData"]
        given, taken = (sides[side]["data"].splitlines() for side in ("endpointInput", "endpointOutput"))
        for n, (request, response) in enumerate(zip(given, taken, strict=True), 1):
            answer = json.loads(response)
            features = (
                json.loads(request)["features"] if request[0] == "{" else list(map(float, request.split(",")))
            )
            answer = answer if isinstance(answer, dict) else {"score": answer}
            rows[f"{record['eventMetadata']['eventId']}-{n}"] = features, answer
    width = len(next(iter(rows.values()))[0])
    json_out = "predicted_label" in next(iter(rows.values()))[1]
    response = {"predicted_label": "prediction", "score": "P(1)"} if json_out else {"score": "P(1)"}
    features_declared = dict.fromkeys((f"f{i}" for i in range(width)), "double")
    subscription = declare(
        "amazon_sagemaker", features_declared, [0, 1], response=response, prediction="integer"
    )
    found = load(subscription, [file], path)
    assert not found.rejects
    assert {row["scoring_id"] for row in found.rows} == set(rows)
    for row in found.rows:
        features, answer = rows[row["scoring_id"]]
        assert [row[f"f{i}"] for i in range(width)] == features
        assert row["probability"] == [1 - answer["score"], answer["score"]]
        assert row["prediction"] == answer.get("predicted_label", int(answer["score"] > 0.5))


def test_files_that_are_no_scoring_log_are_told_apart() -> None:
    """Ground truth and merged records have no request: all of them are kept, none is loaded."""
    subscription = declare("amazon_sagemaker", {"a": "double"}, [0, 1], prediction="integer")
    for name, reason in (("groundtruth_*", Reason.MALFORMED_RECORD), ("merged_*", Reason.MISSING_REQUEST)):
        (file,) = (SAMPLES / "sagemaker").glob(name)
        found = load(subscription, [file])
        assert Counter(found.reasons) == {reason: len(file.read_text().splitlines())}
        assert not found.rows


@pytest.mark.parametrize("path", contract.Path)
def test_edge_cases_lose_nothing(path: contract.Path) -> None:
    file = SAMPLES / "edge_cases/sagemaker_edge.jsonl"
    features = {"LoanAmount": "integer", "Sex": "string"}
    subscription = declare(
        "amazon_sagemaker", features, [0, 1], response={"score": "P(1)"}, prediction="integer"
    )
    found = load(subscription, [file], path)
    values = {
        (row["_position"], row["scoring_id"]): (row["LoanAmount"], row["Sex"], row["probability"])
        for row in found.rows
    }
    assert values == {
        (0, "e1-1"): (250, "male", [0.9, 0.1]),
        (1, "e2-1"): (250, "a,b", [0.9, 0.1]),
        (1, "e2-2"): (300, "c", [0.8, 0.2]),
        (2, "e3-1"): (250, None, [0.9, 0.1]),
        (3, "e4-1"): (1, "2", [1 - 0.9, 0.9]),
        (7, "e1-1"): (250, "male", [0.9, 0.1]),
    }
    lines = file.read_bytes().splitlines()
    assert [(r.position, r.reason, r.rows) for r in found.rejects] == [
        (4, Reason.ROW_COUNT_MISMATCH, 2),
        (5, Reason.MISSING_RESPONSE, 1),
        (6, Reason.UNSUPPORTED_CONTENT_TYPE, 1),
        (8, Reason.MALFORMED_JSON, 1),
    ]
    assert all(reject.raw == lines[reject.position] for reject in found.rejects)
    ids = [row["_record_id"] for row in found.rows]
    assert len(set(ids)) == len(ids) - 1  # one record was written twice


@pytest.mark.parametrize("path", contract.Path)
def test_multiclass_payload_records_of_an_ibm_tutorial(path: contract.Path) -> None:
    file = SAMPLES / "ibm/wos_go_sales_custom_scoring_payloads_50.json"
    (record,) = json.loads(file.read_text())
    request, response = record["request"], record["response"]
    types = {"GENDER": "string", "AGE": "integer", "MARITAL_STATUS": "string", "PROFESSION": "string"}
    column = {name: i for i, name in enumerate(response["fields"])}
    labels = ["Camping Equipment", "Golf Equipment", "Mountaineering Equipment", "Outdoor Protection"]
    subscription = declare(
        "custom_machine_learning",
        types,
        [*labels, "Personal Accessories"],
        response=dict.fromkeys(column, "ignore")
        | {"predicted_label": "prediction", "probability": "probability"},
        timestamp="last_modified",
    )
    found = load(subscription, [file], path)
    assert not found.rejects
    assert len(found.rows) == len(request["values"]) == 50
    for row in found.rows:
        n = int(row["scoring_id"].rpartition("-")[2]) - 1
        given = dict(zip(request["fields"], request["values"][n], strict=True))
        assert {name: row[name] for name in types} == given
        assert row["prediction"] == response["values"][n][column["predicted_label"]]
        assert row["probability"] == response["values"][n][column["probability"]]


def test_training_data_is_no_scoring_log() -> None:
    """A CSV file in the wrong place: every line is kept as a reject, none is loaded."""
    file = SAMPLES / "ibm/credit_risk_training.csv"
    with file.open(encoding="utf-8-sig") as lines:
        count = len(list(csv.reader(lines)))
    found = load(declare("custom_machine_learning", {"a": "double"}), [file])
    assert not found.rows
    assert Counter(found.reasons) == {Reason.MALFORMED_JSON: count}
