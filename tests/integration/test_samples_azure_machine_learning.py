"""Azure Machine Learning's logs that nobody here wrote, through the data mart, however they arrive."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from itertools import count, permutations
from pathlib import Path
from typing import Any

import pytest
from test_samples import CROSS, LABELS, SAMPLES, expected
from test_samples_inference_loggers import types_of

from paylog import pipeline
from paylog.connections import Connection
from paylog.decode import Decoder
from paylog.errors import Reason
from paylog.layout import Window
from paylog.run_receipt import RunReceipt
from paylog.storage.payloads import Payloads
from paylog.subscription import Subscription
from paylog.testing.contract import capture_object, declare
from paylog.testing.decoded import together
from paylog.testing.exactly_once.books import ask, assert_balanced
from paylog.testing.exactly_once.served_model import DATA_MART, LOGS, LogFolder

DEPLOYMENT = CROSS / "azureml/credit/blue"
DAY = Window(datetime(2024, 1, 19, tzinfo=UTC), datetime(2024, 1, 20, tzinfo=UTC))
IRIS = dict.fromkeys(("sepal_length", "sepal_width", "petal_length", "petal_width"), "double")
FILES = sorted(file.relative_to(DEPLOYMENT).as_posix() for file in DEPLOYMENT.rglob("*.jsonl"))
_numbers = count(1)

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")


@pytest.fixture
def owner() -> Subscription:
    features = types_of(next(iter(expected().values()))["features"])
    declared = declare("azure_machine_learning_service", features, LABELS)
    document = declared.model_dump(mode="json", by_alias=True, exclude_unset=True)
    document |= {"id": f"credit-{next(_numbers)}", "logs": {"connection": LOGS}}
    document["data_mart"] = {"connection": DATA_MART, "schema": "paylog"}
    return Subscription.model_validate(document)


def run(owner: Subscription) -> RunReceipt:
    run_id = f"run-{next(_numbers)}"
    pipeline.prepare(owner)
    for batch in pipeline.save_plan(owner, pipeline.plan(owner, DAY), run_id):
        pipeline.ingest_planned(owner, run_id, batch["batch"])
    return pipeline.reconcile(owner, run_id, DAY)


def assert_right(owner: Subscription) -> None:
    """Exactly the 60 rows; the collector cuts floats to 10 decimals and times to seconds."""
    assert_balanced(owner)
    wanted = expected()
    features = list(next(iter(wanted.values()))["features"])
    columns = ", ".join(f'"{name}"' for name in (*features, "prediction", "probability"))
    rows = ask(f'SELECT scoring_id, scoring_timestamp, {columns} FROM paylog."Payload_{owner.id}"')
    assert len(rows) == len(wanted) == 60
    for scoring_id, moment, *cells in rows:
        right = wanted.pop(scoring_id)
        *values, prediction, probability = cells
        assert dict(zip(features, values, strict=True)) == right["features"]
        assert (prediction, probability) == (
            right["prediction"],
            [round(p, 10) for p in right["probability"]],
        )
        assert moment == datetime.fromisoformat(right["scoring_timestamp"]).replace(microsecond=0)
    with pipeline.open_data_mart(owner) as data_mart:
        assert data_mart.pending(owner.id).halves == 0
        assert data_mart.quarantine_counts(owner.id) == {}


def test_in_one_run_and_twice(folder: LogFolder, owner: Subscription) -> None:
    for key in FILES:
        folder.write(key, (DEPLOYMENT / key).read_bytes())
    counts = run(owner).counts
    assert (counts.read, counts.loaded) == (60, 60)
    assert_right(owner)
    assert run(owner).counts.read == 0
    assert_right(owner)


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_in_any_order_over_several_runs(
    folder: LogFolder, owner: Subscription, order: tuple[int, ...]
) -> None:
    for number in order:
        folder.write(FILES[number], (DEPLOYMENT / FILES[number]).read_bytes())
        run(owner)
    assert_right(owner)


@pytest.mark.parametrize("late", ["model_inputs", "model_outputs"])
def test_with_one_half_of_the_pairs_a_run_late(folder: LogFolder, owner: Subscription, late: str) -> None:
    for key in (key for key in FILES if not key.startswith(late)):
        folder.write(key, (DEPLOYMENT / key).read_bytes())
    assert run(owner).counts.pending == 40
    for key in (key for key in FILES if key.startswith(late)):
        folder.write(key, (DEPLOYMENT / key).read_bytes())
    receipt = run(owner)
    assert (receipt.counts.loaded, receipt.settled) == (60, 40)
    assert_right(owner)


def test_with_objects_growing_between_runs(folder: LogFolder, owner: Subscription) -> None:
    for share in (0.3, 0.62, 1.0):
        for key in FILES:
            data = (DEPLOYMENT / key).read_bytes()
            folder.write(key, data[: int(share * len(data))])
            moment = time.time_ns() + int((share - 2) * 1e9)
            os.utime(folder.root / key, ns=(moment, moment))
        run(owner)
    assert_right(owner)


def collected(root: Path, day: str = "**") -> tuple[list[dict[str, Any]], Any]:
    """Microsoft's test tree: the records as they are, and what paylog makes of its objects."""
    files = sorted(root.glob(f"{day}/*.jsonl"))
    decoder = Decoder(
        declare("azure_machine_learning_service", IRIS),
        payload=Payloads(Connection(LOGS, "paylog_folder", extra={"path": str(root)}), "", 1 << 20),
    )
    objects = [
        (capture_object(f.read_bytes(), f.relative_to(root).as_posix()), f.read_bytes()) for f in files
    ]
    lines = [line.rstrip().rstrip(b",") for _, data in objects for line in data.splitlines() if line.strip()]
    return [json.loads(line) for line in lines], together(decoder, objects)


def test_microsofts_test_tree_loses_nothing(tmp_path: Path) -> None:
    """A payload of its own blob, an empty object, a stray comma: every record waits for its outputs."""
    source = SAMPLES / "azureml/raw_mdc_data"
    for file in (file for file in source.rglob("*") if file.is_file()):
        copy = tmp_path / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    records, found = collected(tmp_path)
    assert found.pending + found.repeated + len(found.rejects) == len(records)
    assert [reject.reason for reject in found.rejects] == [Reason.MISSING_PAYLOAD]
    payload = "2023/10/15/17/mdc_dataref_1.json"
    (tmp_path / "tests/unit/raw_mdc_data" / payload).parent.mkdir(parents=True)
    (tmp_path / "tests/unit/raw_mdc_data" / payload).write_bytes((source / payload).read_bytes())
    records, found = collected(tmp_path)
    assert not found.rejects
    assert found.pending + found.repeated == len(records)
    _, found = collected(tmp_path, "2023/10/15/17")
    assert found.alone.column("body").to_pylist()[-1] == (source / payload).read_bytes()


def test_the_documentations_examples_pair() -> None:
    features = {f"f{n}": "integer" for n in range(10)}
    files = [SAMPLES / "azureml" / f"docs_{side}.jsonl" for side in ("request", "response")]
    decoder = Decoder(
        declare("azure_machine_learning_service", features, prediction="double", problem_type="regression")
    )
    found = together(decoder, [(capture_object(f.read_bytes(), f.name), f.read_bytes()) for f in files])
    assert not found.rejects
    rows = [([row[name] for name in features], row["prediction"]) for row in found.rows]
    assert rows == [
        (list(range(1, 11)), 11055.977245525679),
        (list(range(10, 0, -1)), 4503.079536107787),
    ]
    assert found.rows[0]["scoring_timestamp"] - datetime(2022, 5, 25, 8, 59, 48, tzinfo=UTC) == timedelta(0)
