"""Training data in the data mart: checks and profiles with history, and batches held against them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from payload_blocks import FIELDS, SCHEMA, WINDOW, block, capture_object, payload_keys, query, subscription

from paylog.connections import Connection, use_resolver
from paylog.data_mart import DataMart
from paylog.errors import PayloadRefused, RequirementUnmet
from paylog.pipeline import Batch, Window, ingest, prepare, reconcile
from paylog.records import Receipt
from paylog.subscription import Subscription
from paylog.subscription.training_data import FindingSeverity as Severity
from paylog.training_data import CheckResult, DataVersion, Finding, Profile, SourceColumn, profile
from paylog.training_data.judgement import PayloadJudge
from paylog.training_status import TrainingStatus, judge, require

TRAINING = {"training_data": {"type": "cos", "bucket": "training", "object": "credit.csv"}}


def owner(**changes: Any) -> Subscription:
    """The subscription of the data mart's tests, with training data."""
    document = subscription().document()
    document["model_schema"]["fields"] = [*FIELDS, {"name": "Risk", "type": "string", "role": "target"}]
    document["data_mart"]["schema"] = SCHEMA
    return Subscription.model_validate(document | TRAINING | changes)


class Rows:
    """Training data in memory: ages from 0 to ``oldest``."""

    def __init__(self, oldest: int) -> None:
        ages = list(range(oldest + 1)) * 20
        self._rows = pa.RecordBatch.from_pydict(
            {
                "age": ages,
                "income": [age / 7 for age in ages],
                "purpose": [f"car {n}" for n in range(len(ages))],
                "owner": [age % 2 == 0 for age in ages],
                "Risk": ["Risk" if age % 3 else "No Risk" for age in ages],
            }
        )
        self.columns = tuple(SourceColumn(f.name, str(f.type)) for f in self._rows.schema)
        self.version = DataVersion("cos://training/credit.csv", "1")

    def chunks(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield self._rows.select(list(names))


def profiled(oldest: int = 89) -> Profile:
    return profile(Rows(oldest), owner())


def finding(severity: Severity = Severity.WARNING) -> Finding:
    return Finding("CONSTANT_FEATURE", severity, "owner", "several values", "one", "drop it")


def checked(mart: DataMart, *findings: Finding, oldest: int | None = 89) -> int | None:
    """A check with these findings; the id of its profile."""
    result = CheckResult(findings, None if oldest is None else profiled(oldest))
    return mart.training.keep(owner(), result, 1.5).profile_id


def load(mart: DataMart, numbers: Sequence[int], held: PayloadJudge | None, name: str = "a") -> Receipt:
    with mart.load(owner(), "0", f"run-{name}", WINDOW, held) as batch:
        with batch.object(capture_object(name)) as target:
            assert target is not None
            target.add(block(owner(), numbers))
        return batch.receipt()


def held(mart: DataMart, subscriber: Subscription) -> PayloadJudge | None:
    return judge(subscriber, mart, TrainingStatus.of(subscriber, mart))


@pytest.fixture
def mart(data_mart: DataMart) -> DataMart:
    data_mart.ensure(owner())
    return data_mart


@pytest.fixture
def resolved(database: Connection, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "logs").mkdir()
    folder = Connection("paylog_folder_default", "paylog_folder", extra={"path": str(tmp_path)})
    use_resolver(lambda name: folder if name == folder.conn_id else database)
    yield
    use_resolver(None)


def test_a_profile_is_kept_once_and_every_check_is(mart: DataMart) -> None:
    first = checked(mart)
    assert checked(mart, finding()) == first
    second = checked(mart, oldest=70)
    third = checked(mart)
    assert first is not None
    assert third is not None
    assert len({first, second, third}) == 3
    checks = mart.training.checks("credit", limit=10)
    assert [c.profile_id for c in checks] == [third, second, first, first]
    assert [c.status.value for c in checks] == ["passed", "passed", "warning", "passed"]
    assert checks[2].findings == (finding(),)
    assert (checks[1].rows, checks[1].location) == (71 * 20, "cos://training/credit.csv")
    newest, oldest = mart.training.profile("credit"), mart.training.profile("credit", first)
    assert newest is not None
    assert oldest is not None
    assert newest.profile == oldest.profile == profiled()
    assert mart.training.profile("other") is None
    assert mart.training.checks("other") == []


def test_data_that_cannot_be_read_keeps_the_profile(mart: DataMart) -> None:
    first = checked(mart)
    assert checked(mart, finding(Severity.ERROR), oldest=None) is None
    status = TrainingStatus.of(owner(), mart)
    assert status is not None
    assert (status.state, status.as_text()) == ("error", "error: CONSTANT_FEATURE owner")
    judging = held(mart, owner())
    assert judging is not None
    assert judging.profile_id == first


def test_findings_commit_with_their_batch(mart: DataMart, database: Connection) -> None:
    checked(mart, oldest=59)
    receipt = load(mart, range(900), held(mart, owner()))
    found = {(f.column, f.code): f for f in mart.training.findings("credit")}
    older = found["age", "OUT_OF_RANGE"]
    assert (older.rows, older.judged, older.measured, older.threshold) == (300, 900, 300 / 900, 0.01)
    assert (older.receipt_id, older.run_id, older.state) == (receipt.receipt_id, "run-a", "committed")
    assert ("income", "OUT_OF_RANGE") in found
    assert len(payload_keys(database)) == 900
    # Once more: the ledger has the object, and nothing is found twice.
    with mart.load(owner(), "0", "run-b", WINDOW, held(mart, owner())) as batch:
        with batch.object(capture_object("a")) as target:
            assert target is None
        assert batch.receipt().counts.read == 0
    assert mart.training.findings("credit", "run-b") == []


def test_a_shut_gate_rolls_the_batch_back_and_says_why(mart: DataMart, database: Connection) -> None:
    checked(mart, oldest=59)
    gated = owner(judgement={"gate": "error", "columns": {"age": {"severity": "error"}}})
    with pytest.raises(PayloadRefused, match=r"'credit', batch '0': .*OUT_OF_RANGE 'age' 300 of 900"):
        load(mart, range(900), held(mart, gated))
    assert payload_keys(database) == []
    assert query(database, f'SELECT count(*) FROM "{SCHEMA}".paylog_object') == [(0,)]
    (receipt,) = mart.receipts("credit")
    assert (receipt.state, receipt.counts.read) == ("refused", 900)
    found = mart.training.findings("credit")
    assert {f.state for f in found} == {"refused"}
    assert ("age", "OUT_OF_RANGE", "error") in {(f.column, f.code, f.severity) for f in found}
    # What is only a warning loads.
    load(mart, range(900), held(mart, owner(judgement={"columns": {"age": {"severity": "error"}}})))
    assert len(payload_keys(database)) == 900


def test_a_batch_that_fails_leaves_no_finding(mart: DataMart) -> None:
    checked(mart, oldest=59)

    def interrupted() -> None:
        with mart.load(owner(), "0", "run-a", WINDOW, held(mart, owner())) as batch:
            with batch.object(capture_object("a")) as target:
                assert target is not None
                target.add(block(owner(), range(900)))
            batch.receipt()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert mart.training.findings("credit") == []


def test_without_a_profile_or_training_data_nothing_is_judged(mart: DataMart) -> None:
    assert held(mart, owner()) is None
    assert TrainingStatus.of(subscription(), mart) is None
    require(subscription(), None)


def test_require_blocks_what_was_never_checked_or_is_in_error(mart: DataMart) -> None:
    required = owner(require=["training_data"])

    def refusal() -> str:
        with pytest.raises(RequirementUnmet) as error:
            require(required, TrainingStatus.of(required, mart))
        require(owner(), TrainingStatus.of(owner(), mart))
        return str(error.value)

    assert "never checked and it says require: [training_data]" in refusal()
    assert refusal().endswith("run: paylog training check credit")
    checked(mart, finding(Severity.ERROR))
    assert "CONSTANT_FEATURE 'owner': expected several values, found one; drop it" in refusal()
    checked(mart, finding())
    require(required, TrainingStatus.of(required, mart))
    fields = [*FIELDS, {"name": "Risk", "type": "string", "role": "target"}]
    fields[0] = {"name": "age", "type": "double"}
    schema = {"fields": fields, "class_labels": ["No Risk", "Risk"]}
    changed = owner(require=["training_data"], model_schema=schema)
    with pytest.raises(RequirementUnmet, match="not checked against this model schema"):
        require(changed, TrainingStatus.of(changed, mart))


def test_a_shut_gate_without_a_profile_refuses(mart: DataMart) -> None:
    gated = owner(judgement={"gate": "error", "severity": "error"})
    with pytest.raises(RequirementUnmet, match=r"judgement\.gate: error.*paylog training check credit"):
        require(gated, TrainingStatus.of(gated, mart))


@pytest.mark.usefixtures("resolved")
def test_nothing_loads_before_the_requirement_is_met(mart: DataMart, database: Connection) -> None:
    required = owner(require=["training_data"])
    window = Window(*WINDOW)
    with pytest.raises(RequirementUnmet):
        prepare(required)
    with pytest.raises(RequirementUnmet):
        ingest(required, Batch("0", (capture_object("a"),)), "run", window)
    assert mart.receipts("credit") == []
    checked(mart, finding(), oldest=59)
    prepare(required)
    load(mart, range(900), held(mart, required))
    receipt = reconcile(required, "run-a", window)
    assert receipt.training_data is not None
    document = receipt.as_dict()
    assert document["training data"]["status"] == "warning"
    assert document["training data"]["findings"] == [
        {"severity": "warning", "code": "CONSTANT_FEATURE", "column": "owner"}
    ]
    assert document["payload against training data"]["OUT_OF_RANGE age"] == 300
    assert "training data warning: CONSTANT_FEATURE owner" in receipt.as_text()
    assert "OUT_OF_RANGE age" in receipt.as_text()
    assert "training data" not in reconcile(owner(training_data=None), "run-a", window).as_dict()
