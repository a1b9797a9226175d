"""Retract: as if a batch had never been loaded, and loaded again it is the table of one clean run."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from paylog import pipeline, posted, replay, retract
from paylog.data_mart.deliveries import DeliveryState, Settlement
from paylog.data_mart.maintenance import Cutoffs
from paylog.data_mart.session import quoted
from paylog.errors import ConfigurationError
from paylog.layout import Window
from paylog.subscription import Subscription
from paylog.testing.collector_logs import INPUTS, OUTPUTS
from paylog.testing.decoded import with_missing_feature
from paylog.testing.exactly_once.books import ask, books
from paylog.testing.exactly_once.collector import Calls, collector, inputs, outputs, paired_books
from paylog.testing.exactly_once.runs import clean_run, run, run_until_done
from paylog.testing.exactly_once.served_model import (
    DAY,
    LogFolder,
    credit,
    credit_log,
    hours,
)
from paylog.testing.scoring_logs import Defect

_DEFECTS = {Defect.TYPE_MISMATCH: 3, Defect.MALFORMED_JSON: 2}


def taken_back(subscription: Subscription, **chosen: Any) -> retract.Retracted:
    """Taken back; the dry run must have said exactly how much."""
    selection = retract.Selection(**chosen)
    before = everything(subscription)
    expected = retract.preview(subscription, selection)
    assert not expected.done
    assert everything(subscription) == before
    found = retract.retract(subscription, selection, actor="me", reason="wrong logs")
    assert asdict(found.extent) == asdict(expected.extent)
    return found


def everything(subscription: Subscription) -> list[Any]:
    schema = subscription.data_mart.schema_name
    names = ("paylog_object", "paylog_receipt", "paylog_quarantine", "paylog_pending", "paylog_watermark")
    return [ask(f"SELECT * FROM {quoted(schema, name)} ORDER BY 1, 2") for name in names]


def watermark(subscription: Subscription) -> Any:
    with pipeline.open_data_mart(subscription) as data_mart:
        return data_mart.watermark(subscription.id)


def test_a_window_goes_and_comes_back(folder: LogFolder) -> None:
    owner = credit(logs={"lookback": "0h"})
    folder.fill(credit_log(records=120, objects_count=4, defects=_DEFECTS))
    run(owner, hours(0, 12))
    before = books(owner)
    run(owner)
    whole = books(owner)
    found = taken_back(owner, window=hours(12, 24))
    assert found.extent.rows == len(whole.rows) - len(before.rows)
    assert found.extent.objects == 2
    assert books(owner) == before
    assert watermark(owner).complete_through == hours(12, 24).start
    run(owner, hours(12, 24))
    assert books(owner) == whole
    assert watermark(owner).complete_through == DAY.end


def test_a_window_leaves_what_was_posted_at_another_time(folder: LogFolder) -> None:
    """Its address has no time, and nobody could load it again."""
    owner = credit(logs={"lookback": "0h"})
    logged, handed_over = credit_log(records=40, objects_count=2).objects()
    folder.write("2024/03/04/00/a.jsonl", logged.data)
    run(owner)
    with pipeline.open_data_mart(owner) as data_mart:
        receipt = posted.store(data_mart, owner, handed_over.data)
    assert receipt.counts.loaded
    assert taken_back(owner, window=DAY).extent.objects == 1
    assert len(books(owner).rows) == receipt.counts.loaded
    posted_at = receipt.window_start, receipt.window_end
    assert taken_back(owner, window=Window(*posted_at)).extent.rows == receipt.counts.loaded


def test_a_run_and_a_batch_are_taken_back_with_an_audit(folder: LogFolder) -> None:
    owner = credit(logs={"lookback": "0h"})
    folder.fill(credit_log(records=120, objects_count=4, defects=_DEFECTS))
    first, second = run(owner, hours(0, 12)).run_id, run(owner).run_id
    assert taken_back(owner, run=second).extent.objects == 2
    with pipeline.open_data_mart(owner) as data_mart:
        (receipt,) = (r for r in data_mart.receipts(owner.id) if r.run_id == first)
        taken_back(owner, batch=receipt.receipt_id)
        states = {r.run_id: r.state for r in data_mart.receipts(owner.id)}
        audits = data_mart.retractions.history(owner.id)
    assert states[first] == states[second] == "retracted"
    assert not books(owner).rows
    assert [(audit.actor, audit.reason) for audit in audits] == [("me", "wrong logs")] * 2
    assert audits[0].selection == {"batch": receipt.receipt_id}
    assert audits[0].counts["rows"] == receipt.counts.loaded
    with pytest.raises(ConfigurationError, match="nothing of run"):
        retract.preview(owner, retract.Selection(run=second))
    run(owner)
    assert books(owner).without_origin() == books(clean_run(owner)).without_origin()


def test_deliveries_say_how_many_of_their_rows_are_gone(folder: LogFolder) -> None:
    """Two requests that meet in the middle of a record's rows, and an object that was not delivered."""
    owner = credit(logs={"lookback": "0h"})
    folder.fill(credit_log(records=40, rows_per_record=2, objects_count=2))
    run(owner)
    schema, places = owner.data_mart.schema_name, places_of(owner)
    mine = [place for place in places if place[0] == places[0][0]]
    middle = next(n for n, place in enumerate(mine) if n > 5 and place[2] == 2)
    with pipeline.open_data_mart(owner) as data_mart:
        ((receipt_id,),) = ask(f"SELECT DISTINCT receipt_id FROM {quoted(schema, 'paylog_object')}")
        for some in (mine[:middle], mine[middle:]):
            (number_of,) = data_mart.delivery.begin(owner.id, receipt_id, [(some[0], some[-1], len(some))])
            data_mart.delivery.settle(Settlement(number_of, DeliveryState.CONFIRMED, confirmed=len(some)))
    assert taken_back(owner, batch=receipt_id).extent.delivered == len(mine)
    found = ask(f"SELECT rows, retracted, state FROM {quoted(schema, 'paylog_delivery')} ORDER BY 1")
    parts = sorted((middle, len(mine) - middle))
    assert found == [(part, part, "confirmed") for part in parts]


def places_of(owner: Subscription) -> list[Any]:
    """Object, position and row of the payload records, in the order of their delivery."""
    table = quoted(owner.data_mart.schema_name, f"Payload_{owner.id}")
    return ask(
        f"SELECT _object_id, _position, split_part(scoring_id, '-', 6)::int FROM {table} ORDER BY 1, 2, 3"
    )


def delivered(owner: Subscription, *requests: list[Any]) -> list[int]:
    """Note requests of one receipt as confirmed; the receipts that are not wholly delivered then."""
    with pipeline.open_data_mart(owner) as data_mart:
        ((receipt_id,),) = ask(
            f"SELECT DISTINCT receipt_id FROM {quoted(owner.data_mart.schema_name, 'paylog_object')}"
        )
        for some in requests:
            (number,) = data_mart.delivery.begin(owner.id, receipt_id, [(some[0], some[-1], len(some))])
            data_mart.delivery.settle(Settlement(number, DeliveryState.CONFIRMED, confirmed=len(some)))
        return [one.receipt_id for one in data_mart.delivery.undelivered(owner.id)]


def test_what_went_before_its_delivery_is_not_waited_for(folder: LogFolder) -> None:
    """The second of three objects is taken back; then the others are delivered, the last in two steps."""
    owner = credit(logs={"lookback": "0h"})
    folder.fill(credit_log(records=60, rows_per_record=2, objects_count=3))
    run(owner)
    taken_back(owner, window=hours(8, 16))
    left = places_of(owner)
    assert len({place[0] for place in left}) == 2
    assert delivered(owner)
    assert delivered(owner, left[:-1])
    assert not delivered(owner, left[-1:])
    with pipeline.open_data_mart(owner) as data_mart:
        assert data_mart.delivery.counts(owner.id).open == 0


def test_what_went_after_its_delivery_does_not_count_as_another_one(folder: LogFolder) -> None:
    owner = credit(logs={"lookback": "0h"})
    folder.fill(credit_log(records=60, rows_per_record=2, objects_count=3))
    run(owner)
    places = places_of(owner)
    last = places[-1][0]
    delivered(owner, [place for place in places if place[0] < last])
    taken_back(owner, window=hours(0, 16))
    assert {place[0] for place in places_of(owner)} == {last}
    assert delivered(owner)
    assert not delivered(owner, places_of(owner))


def test_a_duplicate_of_what_goes_comes_back(folder: LogFolder) -> None:
    owner = credit(logs={"lookback": "0h"})
    (item,) = credit_log(records=20).objects()
    folder.write("2024/03/04/00/a.jsonl", item.data)
    run(owner)
    folder.write("2024/03/04/06/b.jsonl", item.data)
    run(owner)
    taken_back(owner, window=hours(0, 1))
    assert not books(owner).rows
    (folder.root / "2024/03/04/00/a.jsonl").unlink()
    run_until_done(owner)
    assert books(owner).without_origin() == books(clean_run(owner)).without_origin()


@pytest.mark.parametrize("side", [0, 12])
def test_the_other_halves_wait_again(folder: LogFolder, side: int) -> None:
    """Either the requests' run is taken back or the responses'."""
    calls, owner = Calls(24), collector(logs={"lookback": "0h", "pending": "900d"})
    folder.write(inputs(0), calls.of(INPUTS, *range(24)))
    run(owner, hours(0, 6))
    alone = paired_books(owner) if side else None
    folder.write(outputs(12), calls.of(OUTPUTS, *range(20)))
    run(owner)
    whole = paired_books(owner)
    found = taken_back(owner, window=hours(side, side + 1))
    assert found.extent.rows == len(whole.rows)
    assert paired_books(owner).rows == []
    if alone:
        assert paired_books(owner) == alone
    run_until_done(owner)
    assert paired_books(owner) == whole == paired_books(clean_run(owner))


CALLS = Calls(13)


def requests_twice(folder: LogFolder) -> Subscription:
    """Twelve requests of hour 0, their responses of hour 6, the requests once more, of hour 12: loaded."""
    owner = collector(logs={"lookback": "0h", "pending": "900d"})
    folder.write(inputs(0), CALLS.of(INPUTS, *range(12)))
    folder.write(outputs(6), CALLS.of(OUTPUTS, *range(12)))
    run(owner)
    folder.write(inputs(12), CALLS.of(INPUTS, *range(12)))
    run(owner)
    return owner


def test_a_half_that_is_wanted_again_meets_a_repeated_one_that_waits(folder: LogFolder) -> None:
    owner = requests_twice(folder)
    whole = paired_books(owner)
    taken_back(owner, window=hours(0, 1))
    with pipeline.open_data_mart(owner) as data_mart:
        assert data_mart.pending(owner.id).halves == 24
    run_until_done(owner)
    assert paired_books(owner) == whole


@pytest.mark.parametrize("taken", [True, False])
def test_a_half_that_is_wanted_again_is_paired_with_a_repeated_one_that_waits(
    folder: LogFolder, taken: bool
) -> None:
    """The requests that came first are gone for good, taken back or overwritten: the repeated ones count."""
    owner = requests_twice(folder)
    whole = paired_books(owner)
    if taken:
        taken_back(owner, window=hours(0, 1))
        (folder.root / inputs(0)).unlink()
    else:
        folder.write(inputs(0), CALLS.of(INPUTS, 12))
    run_until_done(owner)
    assert paired_books(owner).rows == whole.rows
    assert paired_books(owner) == paired_books(clean_run(owner))


def test_halves_of_two_pairs_of_one_key_whose_partners_go(folder: LogFolder) -> None:
    """Calls that were made twice under one id: the requests of one time go, the responses of the other."""
    calls, owner = Calls(12), collector(logs={"lookback": "0h", "pending": "900d"})
    later = [line.replace(b"2024-03-04T", b"2024-03-05T") for line in calls.lines[INPUTS]]
    folder.write(inputs(0), calls.of(INPUTS, *range(12)))
    folder.write(outputs(2), calls.of(OUTPUTS, *range(12)))
    run(owner)
    rows = len(paired_books(owner).rows)
    folder.write(inputs(4), b"".join(later))
    run(owner)
    folder.write(outputs(0), calls.of(OUTPUTS, *range(12)))
    run(owner)
    assert len(paired_books(owner).rows) == 2 * rows
    taken_back(owner, window=hours(0, 1))
    for gone in (inputs(0), outputs(0)):
        (folder.root / gone).unlink()
    run_until_done(owner)
    assert paired_books(owner) == paired_books(clean_run(owner))


def test_halves_that_were_taken_back_are_accounted_for_when_the_receipts_go(folder: LogFolder) -> None:
    calls, owner = Calls(12), collector(logs={"lookback": "0h", "pending": "900d"})
    folder.write(inputs(0), calls.of(INPUTS, *range(12)))
    run(owner)
    taken_back(owner, window=DAY)
    with pipeline.open_data_mart(owner) as data_mart:
        assert data_mart.pending(owner.id).halves == 0
        later = Cutoffs(ledger=datetime.now(UTC) + timedelta(days=1))
        cleared = data_mart.maintenance.clear(owner.id, later, DAY.start)
        assert (cleared.objects, cleared.receipts) == (1, 2)
        assert data_mart.pending(owner.id).halves == 0


def test_a_replay_is_taken_back_and_its_records_are_open_again(folder: LogFolder) -> None:
    calls, owner = Calls(12), collector(logs={"lookback": "0h", "pending": "900d"})
    folder.write(inputs(0), calls.of(INPUTS, *range(12)))
    folder.write(outputs(0), calls.of(OUTPUTS, *range(10)))
    run(with_missing_feature(owner))
    before = paired_books(owner)
    pipeline.prepare(owner)
    replay.replay(owner, "replayed")
    mended = paired_books(owner)
    assert mended.rows
    found = taken_back(owner, run="replayed")
    assert found.extent.reopened
    undone = paired_books(owner)
    assert (undone.rows, undone.waiting) == (before.rows, before.waiting)
    assert sum(undone.rejects.values()) == sum(before.rejects.values())
    replay.replay(owner, "again")
    assert paired_books(owner) == mended
    taken_back(owner, window=DAY)  # the objects go with their replays
    assert paired_books(owner).rows == []
    run(owner)
    assert paired_books(owner) == mended == paired_books(clean_run(owner))


def test_the_last_part_of_a_growing_object(folder: LogFolder) -> None:
    owner = growing()
    rows = [f"id-{n},2024-03-04T0{n}:00:00Z,{n}.5,yes" for n in range(6)]
    header = "scoring_id,scoring_timestamp,height,prediction"
    folder.write("2024/03/04/00/a.csv", "\n".join((header, *rows[:3], "")).encode())
    run(owner)
    before = books(owner)
    folder.write("2024/03/04/00/a.csv", "\n".join((header, *rows, "")).encode())
    last = run(owner)
    assert last.counts.loaded == 3
    whole = books(owner)
    taken_back(owner, run=last.run_id)
    assert books(owner).without_origin().rows == before.without_origin().rows
    assert run(owner).counts.loaded == 3
    assert books(owner).without_origin().rows == whole.without_origin().rows


def growing() -> Subscription:
    """Rows of CSV files that are appended to."""
    fields = [
        {"name": "height", "type": "double"},
        {"name": "prediction", "type": "string", "role": "prediction"},
    ]
    return Subscription.model_validate(
        credit(logs={"lookback": "0h"}).document()
        | {
            "id": "growing",
            "service_provider": "files",
            "model_schema": {"fields": fields, "problem_type": "binary", "class_labels": ["yes", "no"]},
        }
    )
