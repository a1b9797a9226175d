"""Logs that are tables, or pair by line, that nobody here wrote."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from test_samples import CROSS, LABELS, SAMPLES, expected

from paylog.decode import Decoder
from paylog.testing import contract
from paylog.testing.contract import LAST_MODIFIED, capture_object, declare, outcome, together
from paylog.testing.decoded import Outcome, decoding

MILLISECOND = 1000
RENDERINGS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "generic/scored.ndjson": ("files", 1, {}),
    "generic/scored.ndjson.gz": ("files", 1, {}),
    "generic/scored.csv": ("files", 1, {}),
    "generic/dt=2024-01-19/part-0.parquet": ("files", 1, {"meta": {"dt": "string"}}),
    "databricks/credit_payload_legacy.parquet": ("databricks", MILLISECOND, {}),
    "databricks/credit_payload_ai_gateway.parquet": ("databricks", 1, {}),
}

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")


def types() -> dict[str, str]:
    features = next(iter(expected().values()))["features"]
    return {name: "string" if isinstance(value, str) else "integer" for name, value in features.items()}


def load(name: str, path: contract.Path, **declared: Any) -> Outcome:
    provider, _, more = RENDERINGS.get(name, (declared.pop("provider", ""), 1, {}))
    file = CROSS / name
    found = outcome(declare(provider, types(), LABELS, **more, **declared), file.read_bytes(), path, key=name)
    assert found.balanced
    assert not found.rejects
    return found


@pytest.mark.parametrize("path", contract.Path)
@pytest.mark.parametrize("name", RENDERINGS)
def test_every_rendering_is_the_one_right_answer(name: str, path: contract.Path) -> None:
    wanted, resolution = expected(), RENDERINGS[name][1]
    found = load(name, path)
    for row in found.rows:
        right = wanted.pop(row["scoring_id"])
        assert {feature: row[feature] for feature in right["features"]} == right["features"]
        assert (row["prediction"], row["probability"]) == (right["prediction"], right["probability"])
        time = datetime.fromisoformat(right["scoring_timestamp"])
        assert row["scoring_timestamp"] == time.replace(
            microsecond=time.microsecond // resolution * resolution
        )
        assert row.get("dt", "2024-01-19") == "2024-01-19"
    assert not wanted


@pytest.mark.parametrize("path", contract.Path)
def test_vertex_ai(path: contract.Path) -> None:
    """It has ids of its own, so that rows are told by their content."""
    response = {"scores": "probability", "classes": "ignore"}
    found = load("vertex/request_response_logging.ndjson", path, provider="vertex_ai", response=response)
    lines = (CROSS / "vertex/request_response_logging.ndjson").read_text().splitlines()
    ids = [
        f"{record['request_id']}-{n + 1}"
        for record in map(json.loads, lines)
        for n in range(len(record["request_payload"]))
    ]
    assert [row["scoring_id"] for row in found.rows] == ids
    assert contents(found.rows) == Counter(
        (
            json.dumps(right["features"]),
            right["prediction"],
            *right["probability"],
            right["scoring_timestamp"],
        )
        for right in expected().values()
    )


def contents(rows: list[dict[str, Any]]) -> Counter[Any]:
    names = list(types())
    return Counter(
        (
            json.dumps({name: row[name] for name in names}),
            row["prediction"],
            *row["probability"],
            row["scoring_timestamp"].isoformat(),
        )
        for row in rows
    )


@pytest.mark.parametrize("path", contract.Path)
@pytest.mark.parametrize("step", [1, -1])
def test_batch_transform_pairs_by_line(step: int, path: contract.Path) -> None:
    root = CROSS / "sagemaker/batch"
    response = {"label": "prediction", "no": "P(No Risk)", "yes": "P(Risk)"}
    decoder = Decoder(declare("amazon_sagemaker_batch", types(), LABELS, response=response))
    data = {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*.*")}
    items = [(capture_object(content, key), content) for key, content in sorted(data.items())]
    named = [decoder.engine.named(text) for item, text in items if decoder.engine.is_manifest(item)]
    assert named == [["in/part_0.csv"], ["out/part_0.csv.out"]]
    with decoding(path):
        found = together(decoder, items[::step])
    assert not found.rejects
    assert not found.pending
    outputs = data["out/part_0.csv.out"].decode().splitlines()
    for row, right, line in zip(found.rows, expected().values(), outputs, strict=True):
        assert {name: row[name] for name in types()} == right["features"]
        assert (row["prediction"], row["probability"]) == (right["prediction"], right["probability"])
        assert row["_transaction_id"] == line.split(",")[3]
        assert row["scoring_timestamp"] == datetime.fromisoformat(line.split(",")[4])


SHAPES: dict[str, dict[str, str]] = {
    "DataFrame": {
        "prediction": "prediction",
        "probability_No Risk": "P(No Risk)",
        "probability_Risk": "P(Risk)",
    },
    "label_array": {"label": "prediction"},
    "proba_array": {"no": "P(No Risk)", "yes": "P(Risk)"},
}


@pytest.mark.parametrize("path", contract.Path)
@pytest.mark.parametrize("output", SHAPES)
def test_mlflow_scoring_server(output: str, path: contract.Path) -> None:
    """Five request formats, which all hold the same two rows, and three kinds of response."""
    lines = (SAMPLES / "mlflow/mlflow_scoring_server_pairs.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if record["model_output"] == output]
    subscription = declare("mlflow", types(), LABELS, response=SHAPES[output], timestamp="last_modified")
    found = outcome(subscription, "\n".join(map(json.dumps, records)).encode(), path)
    assert not found.rejects
    given = json.loads(records[0]["request"])["dataframe_split"]
    rows = [dict(zip(given["columns"], row, strict=True)) for row in given["data"]]
    assert [{name: row[name] for name in types()} for row in found.rows] == rows * len(records)
    assert {row["prediction"] for row in found.rows} == {"No Risk"}
    assert {row["scoring_timestamp"] for row in found.rows} == {LAST_MODIFIED}
    if output != "label_array":
        assert {row["probability"][0] for row in found.rows} == {0.8904043362496034, 0.7131023729709032}


def test_a_response_with_nan() -> None:
    response = (SAMPLES / "edge_cases/mlflow_nan_response.json").read_text()
    record = {"request": json.dumps({"inputs": {"a": [1, 2]}}), "response": response, "status_code": 200}
    columns = {"prediction": "prediction", "p": "P(Risk)"}
    subscription = declare("databricks", {"a": "integer"}, response=columns, timestamp="last_modified")
    found = outcome(subscription, json.dumps(record).encode())
    assert [(row["a"], row["prediction"], row["probability"]) for row in found.rows] == [
        (1, "No Risk", None),
        (2, "Risk", None),
    ]
    assert math.isnan(json.loads(response)["predictions"][0]["p"])


def test_spss_payload_of_an_ibm_tutorial() -> None:
    file = SAMPLES / "ibm/spss_cds_payload_credit_risk.csv"
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    declared = {"response": {"Risk": "prediction"}, "timestamp": "last_modified"}
    subscription = declare("spss_collaboration_and_deployment_services", types(), LABELS, **declared)
    found = outcome(subscription, file.read_bytes(), key=file.name)
    assert not found.rejects
    assert [
        {name: str(row[name]) for name in types()} | {"Risk": row["prediction"]} for row in found.rows
    ] == rows


@pytest.mark.parametrize("name", ["credit_risk_training.csv", "german_credit_data_biased_training.csv"])
def test_a_table_without_predictions_is_rejected_row_by_row(name: str) -> None:
    """Training data in the wrong place; one of the files starts with a byte order mark."""
    file: Path = SAMPLES / "ibm" / name
    found = outcome(declare("files", types(), LABELS, timestamp="last_modified"), file.read_bytes(), key=name)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        count = len(list(csv.DictReader(lines)))
    assert not found.rows
    assert Counter(found.reasons) == {"MISSING_PREDICTION": count}
