"""Maintenance: partitions ahead, old ones gone, and nothing of what went comes back."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from cli_site import DAY as DAY_OF_LOG
from cli_site import WINDOW, Site, keys, log
from payload_blocks import SCHEMA, block, capture_object, load, query, subscription

from paylog.connections import Connection, postgres_dsn, use_resolver
from paylog.data_mart import DataMart, clearing
from paylog.errors import Reason, RetriableError
from paylog.records import CaptureObject, Counts, Reject
from paylog.subscription import Subscription
from paylog.upkeep import Upkeep, maintain

NOW = datetime(2024, 6, 15, tzinfo=UTC)
DAY = timedelta(days=1)
OLD, YOUNG = datetime(2024, 1, 10, tzinfo=UTC), datetime(2024, 5, 10, tzinfo=UTC)
TABLE = '"paylog test"."Payload_credit"'
POLICY = {"payload": "60d", "quarantine": "30d", "ledger": "100d"}


def kept(**policy: str) -> Subscription:
    """A subscription with a retention, in the tests' schema."""
    plain = subscription().document()
    plain["data_mart"]["schema"] = SCHEMA
    return Subscription.model_validate(plain | {"retention": policy or POLICY})


def written(name: str, moment: datetime, version: str = "v1") -> CaptureObject:
    item = capture_object(name, version)
    return CaptureObject(item.uri, item.key, version, item.size, moment)


@pytest.fixture(autouse=True)
def connections(database: Connection) -> Iterator[None]:
    use_resolver(lambda _: database)
    yield
    use_resolver(None)


def age(database: Connection, moment: datetime) -> None:
    """Make everything in the control tables look as old as that."""
    for table, column in (("paylog_object", "loaded_at"), ("paylog_receipt", "finished_at"),
                          ("paylog_quarantine", "created_at"), ("paylog_batch", "planned_at")):  # fmt: skip
        query(database, f'UPDATE "paylog test".{table} SET {column} = %s', moment)


def leaves(database: Connection) -> list[str]:
    found = query(
        database, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'Payload_credit_%'"
    )
    return sorted(name.removeprefix("Payload_credit_") for (name,) in found)


def stored(database: Connection) -> list[tuple[Any, ...]]:
    return query(database, 'SELECT scoring_id FROM "paylog test"."Payload_credit" ORDER BY 1')


def two_months(data_mart: DataMart, owner: Subscription) -> None:
    data_mart.ensure(owner)
    load(data_mart, owner, {written("old", OLD): [block(owner, range(5), start=OLD)]}, "run-1")
    load(data_mart, owner, {written("young", YOUNG): [block(owner, range(10, 13), start=YOUNG)]}, "run-2")


def test_a_dry_run_changes_nothing_and_says_what_applying_does(
    data_mart: DataMart, database: Connection
) -> None:
    owner = kept()
    two_months(data_mart, owner)
    age(database, OLD)
    said = maintain(owner, apply=False, now=NOW)
    assert leaves(database) == ["2024_01", "2024_05"]
    assert len(stored(database)) == 8
    done = maintain(owner, apply=True, now=NOW)
    assert (said.made, said.removed) == (done.made, done.removed)
    assert said.made == ("2024-06", "2024-07", "2024-08")
    assert done.removed == ("Payload_credit_2024_01",)
    assert (said.retained_from, done.retained_from) == (datetime(2024, 4, 1, tzinfo=UTC),) * 2
    assert leaves(database) == ["2024_05", "2024_06", "2024_07", "2024_08"]
    assert len(stored(database)) == 3
    assert done.sizes.partitions == 4
    assert 0 < done.sizes.table_bytes < said.sizes.table_bytes + 100_000
    assert nothing_done(maintain(owner, apply=True, now=NOW))


def nothing_done(upkeep: Upkeep) -> bool:
    return upkeep.as_text().startswith("nothing to do; ")


def test_what_was_dropped_is_filtered_when_it_comes_again(data_mart: DataMart, database: Connection) -> None:
    owner = kept()
    two_months(data_mart, owner)
    maintain(owner, apply=True, now=NOW)
    again = [block(owner, range(5), start=OLD), block(owner, range(20, 22), start=YOUNG)]
    receipt = load(data_mart, owner, {written("old", NOW, "v2"): again, written("copy", NOW): again}, "run-3")
    assert receipt.counts == Counts(read=14, loaded=2, duplicate=2, filtered=10)
    assert leaves(database) == ["2024_05", "2024_06", "2024_07", "2024_08"]
    assert len(stored(database)) == 5
    # The run whose rows were dropped can be reconciled as before.
    assert [c.stored for c in data_mart.stored_counts("credit", "run-3")] == [2, 0]
    assert data_mart.stored_counts("credit", "run-1") == []


def test_a_run_whose_rows_were_dropped_still_reconciles(data_mart: DataMart) -> None:
    owner = kept()
    two_months(data_mart, owner)
    maintain(owner, apply=True, now=NOW)
    assert [count.stored for count in data_mart.stored_counts("credit", "run-1")] == [None]


def test_the_ledger_and_its_receipts_go_after_the_rows(data_mart: DataMart, database: Connection) -> None:
    owner = kept()
    reject = Reject(0, Reason.MALFORMED_JSON, b"{")
    data_mart.ensure(owner)
    first = [block(owner, range(5), start=OLD, rejects=[reject])]
    load(data_mart, owner, {written("old", OLD): first}, "run-1")
    load(data_mart, owner, {written("young", YOUNG): [block(owner, range(10, 13), start=YOUNG)]}, "run-2")
    age(database, OLD)
    done = maintain(owner, apply=True, now=NOW)
    assert (done.cleared.rejects, done.cleared.objects, done.cleared.receipts) == (1, 1, 1)
    assert len(data_mart.receipts("credit")) == 1
    assert query(database, 'SELECT receipts, read, loaded, rejected FROM "paylog test".paylog_retention') == [
        (1, 6, 5, 1)
    ]
    assert data_mart.pending("credit").halves == 0
    assert data_mart.maintenance.marks("credit").forgotten_before == NOW - 100 * DAY


def test_many_rows_go_a_few_at_a_time(
    data_mart: DataMart, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "AT_ONCE", 2)
    owner = kept()
    data_mart.ensure(owner)
    rejects = [Reject(n, Reason.MALFORMED_JSON, b"{") for n in range(5)]
    for n in range(5):
        blocks = [block(owner, [n], start=OLD, rejects=rejects if n == 0 else [])]
        load(data_mart, owner, {written(f"old-{n}", OLD): blocks}, f"run-{n}")
    load(data_mart, owner, {written("young", YOUNG): [block(owner, [9], start=YOUNG)]}, "run-9")
    age(database, OLD)
    cleared = maintain(owner, apply=True, now=NOW).cleared
    assert (cleared.rejects, cleared.objects, cleared.receipts) == (5, 5, 5)
    assert query(database, 'SELECT receipts, read, loaded, rejected FROM "paylog test".paylog_retention') == [
        (5, 10, 5, 5)
    ]


def test_an_entry_whose_rows_stand_stays_however_old(data_mart: DataMart, database: Connection) -> None:
    owner = kept()
    data_mart.ensure(owner)
    item = written("old", OLD)
    load(data_mart, owner, {item: [block(owner, range(3), start=YOUNG)]})
    age(database, OLD)
    assert maintain(owner, apply=True, now=NOW).cleared.objects == 0
    assert data_mart.ledger("credit", [item.uri]) == {item.uri: "v1"}


def test_detached_months_stay_as_tables(data_mart: DataMart, database: Connection) -> None:
    owner = kept(payload="60d", action="detach")
    two_months(data_mart, owner)
    done = maintain(owner, apply=True, now=NOW)
    assert "1 partitions detached" in done.as_text()
    assert query(database, 'SELECT count(*) FROM "paylog test"."Payload_credit_2024_01"') == [(5,)]
    assert len(stored(database)) == 3
    assert done.sizes.detached_bytes > 0
    # Neither is it dropped when the policy changes later.
    assert maintain(kept(payload="60d"), apply=True, now=NOW).removed == ()
    assert "2024_01" in leaves(database)


def test_loads_in_progress_are_waited_for_and_others_go_on(data_mart: DataMart, database: Connection) -> None:
    owner = kept()
    two_months(data_mart, owner)
    results: list[Upkeep] = []
    upkeep = threading.Thread(target=lambda: results.append(maintain(owner, apply=True, now=NOW)))
    with (
        data_mart.load(owner, "0", "run-3", (OLD, NOW)) as batch,
        batch.object(written("late", NOW)) as target,
    ):
        assert target is not None
        target.add(block(owner, range(100, 105), start=OLD))
        batch._write([target])  # its rows are in the old month, not committed
        upkeep.start()
        wait_for_detach(database)
        with DataMart(database, SCHEMA) as other:
            receipt = load(
                other, owner, {written("b", NOW): [block(owner, range(30, 40), start=YOUNG)]}, "run-4"
            )
            assert receipt.counts.loaded == 10
        assert upkeep.is_alive()
    upkeep.join(30)
    assert results[0].removed == ("Payload_credit_2024_01",)
    assert [c.stored for c in data_mart.stored_counts("credit", "run-3")] == [None]
    assert len(stored(database)) == 13


def wait_for_detach(database: Connection) -> None:
    """Until the detachment waits for the load."""
    for _ in range(200):
        pending = query(database, "SELECT 1 FROM pg_inherits WHERE inhdetachpending")
        if pending:
            return
        threading.Event().wait(0.05)
    raise AssertionError("the detachment did not begin")


def test_what_was_interrupted_is_finished_the_next_time(data_mart: DataMart, database: Connection) -> None:
    owner = kept()
    two_months(data_mart, owner)
    with closing(psycopg.connect(postgres_dsn(database))) as reader:
        reader.execute(b'SELECT 1 FROM "paylog test"."Payload_credit_2024_01"')
        data_mart.maintenance.retain("credit", datetime(2024, 4, 1, tzinfo=UTC))
        [old, _] = data_mart.maintenance.partitions("credit")
        with closing(psycopg.connect(postgres_dsn(database), autocommit=True)) as impatient:
            leaf = '"paylog test"."Payload_credit_2024_01"'
            impatient.execute(f"COMMENT ON TABLE {leaf} IS 'paylog: retention drops this table'".encode())
            impatient.execute(b"SET lock_timeout = '200ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                impatient.execute(f"ALTER TABLE {TABLE} DETACH PARTITION {leaf} CONCURRENTLY".encode())
    [left, _] = data_mart.maintenance.partitions("credit")
    assert (old.leaving, left.leaving, left.condemned) == (False, True, True)
    assert maintain(owner, apply=True, now=NOW).removed == ("Payload_credit_2024_01",)
    assert "2024_01" not in leaves(database)


def test_two_at_once_take_turns(data_mart: DataMart) -> None:
    owner = kept()
    two_months(data_mart, owner)
    with (
        data_mart.maintenance.exclusive("credit"),
        pytest.raises(RetriableError, match="another maintenance is at work"),
    ):
        maintain(owner, apply=True, now=NOW)


def test_objects_that_the_ledger_has_forgotten_are_not_read(
    tmp_path: Path, empty_database: Connection
) -> None:
    use_resolver(None)
    site = Site(tmp_path, empty_database)
    site.subscribe(retention={"payload": "30d", "ledger": "90d"}, error_budget={"share": None})
    site.write(log(records=60, objects=3, defects={}))
    for file in keys(tmp_path / "logs"):
        os.utime(file, (DAY_OF_LOG.timestamp(), DAY_OF_LOG.timestamp()))
    assert site.json("run", "credit-risk", *WINDOW)["read"] == 60
    for table, column in (("paylog_object", "loaded_at"), ("paylog_receipt", "finished_at")):
        query(empty_database, f"UPDATE payload.{table} SET {column} = '2024-03-05'")
    assert [each["cleared"]["objects"] for each in site.json("maintain")] == [3]
    [done] = site.json("maintain", "--apply")
    assert done["cleared"] == {"rejects": 0, "objects": 3, "receipts": 1, "batches": 0}
    planned = site.json("plan", "credit-risk", *WINDOW)
    assert (planned["objects"], planned["forgotten"]) == (0, 3)
    assert site.json("run", "credit-risk", *WINDOW)["read"] == 0
    assert query(empty_database, 'SELECT count(*) FROM payload."Payload_credit-risk"') == [(0,)]


def test_an_object_that_the_ledger_calls_stale_is_not_forgotten(
    tmp_path: Path, empty_database: Connection
) -> None:
    use_resolver(None)
    site = Site(tmp_path, empty_database)
    assert site.environment
    site.subscribe(error_budget={"share": None})
    site.write(log(records=60, objects=3, defects={}))
    assert site.json("run", "credit-risk", *WINDOW)["read"] == 60
    for statement in (
        "UPDATE payload.paylog_object SET state = 'stale' WHERE object_id = 1",
        "INSERT INTO payload.paylog_retention (subscription_id, forgotten_before) "
        "VALUES ('credit-risk', now() + interval '1 day')",
    ):
        query(empty_database, statement)
    planned = site.json("plan", "credit-risk", *WINDOW)
    assert (planned["objects"], planned["again"], planned["forgotten"]) == (1, 1, 0)


def test_a_month_that_was_dropped_gets_no_partition(data_mart: DataMart) -> None:
    owner = kept()
    data_mart.ensure(owner)
    data_mart.maintenance.retain("credit", datetime(2024, 4, 1, tzinfo=UTC))
    with pytest.raises(RetriableError, match="Retention dropped that month"):
        data_mart.make_partitions(owner, [np.datetime64("2024-03", "M")])
    data_mart.make_partitions(owner, [np.datetime64("2024-04", "M")])
    # The mark never goes back.
    marks = data_mart.maintenance.retain("credit", datetime(2023, 1, 1, tzinfo=UTC))
    assert marks.retained_from == datetime(2024, 4, 1, tzinfo=UTC)


def test_rows_that_are_not_delivered_yet_keep_their_month(data_mart: DataMart, database: Connection) -> None:
    document = kept().document() | {"deliver": {"connection": "service", "data_set": "d"}}
    owner = Subscription.model_validate(document)
    two_months(data_mart, owner)
    done = maintain(owner, apply=True, now=NOW)
    assert (done.removed, done.retained_from) == ((), datetime(2024, 1, 1, tzinfo=UTC))
    assert "rows from 2024-01-10 on are not delivered yet" in done.as_text()
    assert len(stored(database)) == 8


def test_a_dry_run_knows_that_a_mark_never_goes_back(data_mart: DataMart) -> None:
    two_months(data_mart, kept())
    maintain(kept(), apply=True, now=NOW)
    for longer in (kept(payload="90d"), kept(quarantine="30d")):
        said, done = (maintain(longer, apply=apply, now=NOW) for apply in (False, True))
        assert said.retained_from == done.retained_from == datetime(2024, 4, 1, tzinfo=UTC)


def test_rows_that_were_replaced_before_their_delivery_keep_no_month(data_mart: DataMart) -> None:
    document = kept().document() | {"deliver": {"connection": "service", "data_set": "d"}}
    owner = Subscription.model_validate(document)
    two_months(data_mart, owner)
    load(data_mart, owner, {written("old", OLD, "v2"): [block(owner, range(5), start=YOUNG)]}, "run-3")
    done = maintain(owner, apply=True, now=NOW)
    assert (done.removed, done.left) == (("Payload_credit_2024_01",), None)
