"""Replay: what a broken model schema rejected, loaded with the mended one, is what a clean load gives."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from paylog import pipeline, replay
from paylog.data_mart.session import quoted
from paylog.errors import Reason
from paylog.record_replay import LeftOpen
from paylog.subscription import Subscription
from paylog.testing.collector_logs import INPUTS, OUTPUTS
from paylog.testing.decoded import with_missing_feature
from paylog.testing.exactly_once.books import ask, books
from paylog.testing.exactly_once.collector import Calls, collector, inputs, outputs, paired_books
from paylog.testing.exactly_once.runs import clean_run, in_schema, run, run_until_done
from paylog.testing.exactly_once.served_model import (
    DAY,
    LogFolder,
    churn,
    churn_log,
    credit,
    credit_log,
    hours,
)
from paylog.testing.scoring_logs import Defect

_DEFECTS = {Defect.MALFORMED_JSON: 2, Defect.MISSING_RESPONSE: 2, Defect.ROW_COUNT_MISMATCH: 1}
_numbers = count(1)


def replayed(subscription: Subscription, **chosen: Any) -> replay.ReplayReceipt:
    pipeline.prepare(subscription)
    return replay.replay(subscription, f"replay-{next(_numbers)}", replay.Selection(**chosen))


def states(subscription: Subscription) -> dict[str, int]:
    table = quoted(subscription.data_mart.schema_name, "paylog_quarantine")
    return dict(ask(f"SELECT state, count(*) FROM {table} GROUP BY 1"))


@pytest.mark.parametrize("model", ["credit", "churn"])
def test_what_a_mended_schema_makes_of_rejects_is_a_clean_load(folder: LogFolder, model: str) -> None:
    owner = credit() if model == "credit" else churn()
    log = credit_log if model == "credit" else churn_log
    folder.fill(log(records=150, rows_per_record=2, objects_count=4, defects=_DEFECTS))
    run(with_missing_feature(owner))
    assert not books(owner).rows

    receipt = replayed(owner)
    assert receipt.receipt.counts.balanced
    assert receipt.receipt.counts.loaded
    assert not receipt.left
    clean = clean_run(owner)
    found = books(owner)
    assert found.without_origin().rows == books(clean).without_origin().rows
    assert sorted(found.quarantine, key=repr) == sorted(books(clean).quarantine, key=repr)
    assert set(states(owner)) == {"open", "loaded"}

    run(owner)  # nothing of it is loaded twice
    again = replayed(owner)
    assert again.receipt.counts.loaded == 0
    assert books(owner) == found


def test_many_records_go_in_pieces(folder: LogFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "PIECE_RECORDS", 40)
    owner = credit()
    folder.fill(credit_log(records=100, objects_count=3))
    run(with_missing_feature(owner))
    receipt = replayed(owner)
    assert (receipt.replayed, receipt.receipt.counts.loaded, receipt.receipt.batches) == (100, 100, 3)
    assert books(owner).without_origin().rows == books(clean_run(owner)).without_origin().rows


def test_pairs_are_replayed_with_both_halves(folder: LogFolder) -> None:
    """Requests and responses in objects of their own, loaded in one batch and in several runs."""
    calls, owner = Calls(24), collector(logs={"lookback": "0h"})
    folder.write(inputs(0), calls.of(INPUTS, *range(12)))
    folder.write(outputs(0), calls.of(OUTPUTS, *range(0, 24, 2)))
    run(with_missing_feature(owner), hours(0, 6))
    folder.write(inputs(12), calls.of(INPUTS, *range(12, 24)))
    folder.write(outputs(12), calls.of(OUTPUTS, *range(1, 24, 2)))
    run(with_missing_feature(owner))
    assert not paired_books(owner).rows

    replayed(owner)
    clean = clean_run(owner)
    assert paired_books(owner) == paired_books(clean)
    folder.write(inputs(0), calls.of(INPUTS, *range(2, 12)))  # overwritten: its pairs go, with those replayed
    run_until_done(owner)
    assert paired_books(owner) == paired_books(clean_run(owner))


def test_pairs_whose_objects_are_gone_are_replayed_from_their_bytes(folder: LogFolder) -> None:
    calls, owner = Calls(12), collector(logs={"lookback": "0h"})
    for side, key in ((INPUTS, inputs(0)), (OUTPUTS, outputs(0))):
        folder.write(key, calls.of(side, *range(12)))
    run(with_missing_feature(owner))
    clean = clean_run(owner)
    for key in folder.keys:
        (folder.root / key).unlink()
    replayed(owner)
    assert paired_books(owner) == paired_books(clean)


def test_halves_that_came_too_late_wait_again_and_pair(folder: LogFolder) -> None:
    calls = Calls(8)
    impatient, patient = (collector(logs={"lookback": "0h", "pending": limit}) for limit in ("0h", "9d"))
    folder.write(inputs(0), calls.of(INPUTS, *range(8)))
    run(impatient)
    folder.write(outputs(12), calls.of(OUTPUTS, *range(4)))
    run(impatient)
    assert states(impatient) == {"open": 12}

    receipt = replayed(patient, reason=Reason.UNPAIRED)
    assert receipt.replayed == 12
    folder.write(outputs(18), calls.of(OUTPUTS, *range(4, 8)))
    run(patient)
    clean = in_schema(patient, "clean")
    run(clean)
    assert paired_books(patient) == paired_books(clean)


def test_a_table_row_is_read_out_of_its_object_again(folder: LogFolder) -> None:
    owner = flat()
    rows = [f"id-{n},2024-03-04T0{n}:00:00Z,{n}.5,{n},yes" for n in range(6)]
    header = "scoring_id,scoring_timestamp,height,age,prediction"
    folder.write("2024/03/04/00/a.csv", "\n".join((header, *rows, "")).encode())
    folder.write("2024/03/04/01/gone.csv", "\n".join((header, *rows[:2], "")).replace("id-", "x-").encode())
    run(with_missing_feature(owner))
    clean = clean_run(owner)
    (folder.root / "2024/03/04/01/gone.csv").unlink()

    receipt = replayed(owner)
    assert receipt.receipt.counts.loaded == 6
    assert receipt.left == {LeftOpen.OBJECT_GONE: 2}
    kept = [row for row in books(clean).without_origin().rows if not str(row[0]).startswith("x")]
    assert books(owner).without_origin().rows == kept
    assert states(owner) == {"loaded": 6, "open": 2}


def test_a_record_that_is_rejected_again_keeps_its_first_reason(folder: LogFolder) -> None:
    owner = credit()
    folder.fill(credit_log(records=40, objects_count=2, defects={Defect.TYPE_MISMATCH: 3}))
    run(with_missing_feature(owner))
    replayed(owner)
    quarantine = quoted(owner.data_mart.schema_name, "paylog_quarantine")
    columns = "first_reason, reason, replays, count(*)"
    found = ask(f"SELECT {columns} FROM {quarantine} WHERE state = 'open' GROUP BY 1, 2, 3")
    assert found == [("MISSING_FEATURE", "TYPE_MISMATCH", 1, 3)]
    replayed(owner)
    found = ask(f"SELECT {columns} FROM {quarantine} WHERE state = 'open' GROUP BY 1, 2, 3")
    assert found == [("MISSING_FEATURE", "TYPE_MISMATCH", 2, 3)]
    books(owner)


def test_only_the_chosen_reason_and_window(folder: LogFolder) -> None:
    owner = credit()
    folder.fill(credit_log(records=96, objects_count=4, defects=_DEFECTS))
    run(with_missing_feature(owner))
    assert replayed(owner, reason=Reason.TYPE_MISMATCH).replayed == 0
    first = replayed(owner, reason=Reason.MISSING_FEATURE, window=hours(0, 12)).receipt.counts
    second = replayed(owner, reason=Reason.MISSING_FEATURE, window=DAY).receipt.counts
    assert first.loaded
    assert second.loaded
    assert books(owner).without_origin().rows == books(clean_run(owner)).without_origin().rows


def flat() -> Subscription:
    """Rows of CSV files."""
    fields = [
        {"name": "height", "type": "double"},
        {"name": "age", "type": "integer"},
        {"name": "prediction", "type": "string", "role": "prediction"},
    ]
    return Subscription.model_validate(
        credit().document()
        | {
            "id": "flat",
            "service_provider": "files",
            "model_schema": {"fields": fields, "problem_type": "binary", "class_labels": ["yes", "no"]},
        }
    )
