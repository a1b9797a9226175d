"""Logs of KServe, Seldon and BentoML that nobody here wrote, as one batch of objects each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from test_samples import CROSS, LABELS, SAMPLES, expected

from paylog.decode import Decoder
from paylog.errors import Reason
from paylog.testing import contract
from paylog.testing.contract import LAST_MODIFIED, capture_object, declare, decoding
from paylog.testing.decoded import Outcome, together

V2 = {"predict": "prediction", "predict_proba": "probability"}
SCORES = {"prediction": "prediction", "proba_0": "P(No Risk)", "proba_1": "P(Risk)"}
RENDERINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "kserve/v1": ("kserve", "*.json", {}),
    "kserve/v2": ("kserve", "*.json", {"response": V2}),
    "seldon": ("seldon", "*.ndjson", {"response": SCORES}),
    "bentoml": ("bentoml", "data.*.log", {"timezone": "UTC"}),
}
ORDERS: dict[str, Callable[[list[Path]], list[Path]]] = {
    "as listed": list,
    "responses first": lambda files: sorted(files, key=lambda file: "request" in file.name),
    "backwards": lambda files: files[::-1],
}
TABULAR = {"LoanDuration": "integer", "CheckingStatus": "string"}
IRIS = dict.fromkeys(("sepal_length", "sepal_width", "petal_length", "petal_width"), "double")

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")


def load(decoder: Decoder, files: Iterable[Path]) -> Outcome:
    data = [(file.read_bytes(), file.as_posix()) for file in files]
    return together(decoder, [(capture_object(content, key), content) for content, key in data])


def types_of(features: dict[str, Any]) -> dict[str, str]:
    return {name: "string" if isinstance(value, str) else "integer" for name, value in features.items()}


def by_content(time: datetime, features: dict[str, Any]) -> str:
    """Names a row by what it holds: BentoML has no ids of its own."""
    return f"{time.isoformat()} {json.dumps(features)}"


@pytest.mark.parametrize("path", contract.Path)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", RENDERINGS)
def test_every_rendering_is_the_one_right_answer(name: str, order: str, path: contract.Path) -> None:
    provider, pattern, declared = RENDERINGS[name]
    wanted = expected()
    features = next(iter(wanted.values()))["features"]
    if provider == "bentoml":
        wanted = {
            by_content(datetime.fromisoformat(right["scoring_timestamp"]), right["features"]): right
            for right in wanted.values()
        }
    files = ORDERS[order](sorted((CROSS / name).rglob(pattern)))
    decoder = Decoder(declare(provider, types_of(features), LABELS, **declared))
    with decoding(path):
        found = load(
            decoder, [file for file in files if not decoder.engine.skips(capture_object(b"", str(file)))]
        )
    assert not found.rejects
    assert not found.pending
    assert len(found.rows) == len(wanted) == 60
    for row in found.rows:
        given = {feature: row[feature] for feature in features}
        key = by_content(row["scoring_timestamp"], given) if provider == "bentoml" else row["scoring_id"]
        right = wanted.pop(key)
        assert given == right["features"]
        assert row["prediction"] == right["prediction"]
        assert row["probability"] == right["probability"]
        assert row["scoring_timestamp"] == datetime.fromisoformat(right["scoring_timestamp"])
        assert not row["_timestamp_approximate"]
    assert len({row["_record_id"] for row in found.rows}) == 60


@pytest.mark.parametrize("path", contract.Path)
@pytest.mark.parametrize("written", ["json_batch1", "json_batch3", "csv_batch3"])
def test_batches_of_kserves_own_marshallers(written: str, path: contract.Path) -> None:
    """Two V1 rows, a V2 pair split over two files of a batch, and a request without a response."""
    files = sorted((SAMPLES / "kserve/marshalled_by_kserve_code" / written).rglob("*.*"))
    assert files
    iris = Decoder(
        declare("kserve", IRIS, [0, 1], prediction="integer", response={"prediction": "prediction"})
    )
    credit = Decoder(declare("kserve", TABULAR, LABELS, response=V2))
    with decoding(path):
        of_iris, of_credit = load(iris, files), load(credit, files)
    assert [(row["sepal_length"], row["petal_width"], row["prediction"]) for row in of_iris.rows] == [
        (6.8, 1.4, 1),
        (6.0, 1.6, 1),
    ]
    values = [
        (row["LoanDuration"], row["CheckingStatus"], row["prediction"], row["probability"])
        for row in of_credit.rows
    ]
    assert values == [(13, "no_checking", "No Risk", [0.81, 0.19]), (26, "0_to_200", "Risk", [0.31, 0.69])]
    for found in (of_iris, of_credit):
        assert found.pending == 1  # the request that was not answered
        assert len(found.rejects) == 1  # the pair of the other model
        has_time = written.startswith("json")
        assert {row["_timestamp_approximate"] for row in found.rows} == {not has_time}
        assert all((row["scoring_timestamp"] == LAST_MODIFIED) != has_time for row in found.rows)


def test_the_cloudevents_of_kserves_documentation() -> None:
    decoder = Decoder(declare("kserve", IRIS, [0, 1], prediction="integer", response={"p": "prediction"}))
    found = load(decoder, [SAMPLES / "kserve/cloudevents_doc_sample.jsonl"])
    assert not found.rejects
    assert [(row["sepal_length"], row["prediction"]) for row in found.rows] == [(6.8, 1), (6.0, 1)]
    assert [row["scoring_id"] for row in found.rows] == [
        f"0009174a-24a8-4603-b098-09c8799950e9-{n}" for n in (1, 2)
    ]


def test_bentomls_own_files() -> None:
    """Rows outside of HTTP, with floats where whole numbers are meant; the schema's file is no log."""
    features = types_of(next(iter(expected().values()))["features"])
    decoder = Decoder(declare("bentoml", features, LABELS, timezone="Europe/Berlin"))
    files = sorted((SAMPLES / "bentoml").rglob("*.0.log"))
    logs = [file for file in files if not decoder.engine.skips(capture_object(b"", file.as_posix()))]
    assert {file.parent.name for file in logs} == {"data"}
    assert len(files) == 2 * len(logs) == 4
    lines = [json.loads(line) for file in logs for line in file.read_text().splitlines()]
    *scored, stranger = lines  # another monitor of the process writes to the file of the last one made
    found = load(decoder, logs)
    assert [reject.reason for reject in found.rejects] == [Reason.MISSING_FEATURE]
    assert set(stranger) < set(scored[0])
    durations = Counter(row["LoanDuration"] for row in found.rows)
    assert durations == Counter(line["LoanDuration"] for line in scored)
    assert len({row["_record_id"] for row in found.rows}) == len(scored)
    assert {row["_transaction_id"] for row in found.rows} == {None}


def test_a_log_of_bentomls_documentation() -> None:
    """Its last line is the schema's."""
    file = SAMPLES / "bentoml/docs_monitoring_sample.log"
    *lines, _ = map(json.loads, file.read_text().splitlines())
    texts = sorted({line["summarized_text"] for line in lines} | {"something else"})
    response = {"summarized_text": "prediction"}
    found = load(
        Decoder(declare("bentoml", {"input_text": "string"}, texts, response=response, timezone="UTC")),
        [file],
    )
    assert [row["prediction"] for row in found.rows] == [line["summarized_text"] for line in lines]
    assert [row["_transaction_id"] for row in found.rows] == [line["request_id"] for line in lines]
    assert int(found.rows[0]["_transaction_id"]) > 2**63
    assert len(found.rejects) == 1
