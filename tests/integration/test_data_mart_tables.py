"""Payload tables: names, columns, and what happens when a model schema changes."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from payload_blocks import FIELDS, NOON, block, capture_object, load, query, subscription

from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.data_mart.feedback import FeedbackTable
from paylog.data_mart.session import quoted
from paylog.errors import Reason, RetriableError, SchemaMismatch
from paylog.model_schema import Field, FieldType
from paylog.records import Counts, Reject

A, B = capture_object("a"), capture_object("b")
TABLE = '"paylog test"."Payload_credit"'


def columns(database: Connection, name: str = "Payload_credit") -> list[tuple[Any, ...]]:
    return query(
        database,
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_schema = 'paylog test' AND table_name = %s ORDER BY ordinal_position",
        name,
    )


def changed(*changes: dict[str, Any], drop: str = "") -> tuple[dict[str, Any], ...]:
    """The fields with some replaced or added, by name."""
    by_name = {field["name"]: field for field in FIELDS if field["name"] != drop}
    return tuple((by_name | {change["name"]: change for change in changes}).values())


def test_the_table_follows_openscale(data_mart: DataMart, database: Connection) -> None:
    [created] = data_mart.ensure(subscription())
    assert created.startswith(f"CREATE TABLE {TABLE}")
    names = [name for name, _, _ in columns(database)]
    assert names[:4] == ["scoring_id", "scoring_timestamp", "deployment_id", "asset_revision"]
    assert names[4:11] == [*(f["name"] for f in FIELDS), "prediction_probability"]
    assert all(name.startswith("_") for name in names[11:])
    assert query(database, "SELECT pg_get_partkeydef(%s::regclass)", TABLE) == [
        ("RANGE (scoring_timestamp)",)
    ]
    [(key,)] = query(
        database,
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'",
        TABLE,
    )
    assert key == "PRIMARY KEY (scoring_timestamp, _record_id)"
    assert data_mart.ensure(subscription()) == []


def test_a_new_optional_field_is_added_and_recorded(data_mart: DataMart, database: Connection) -> None:
    data_mart.ensure(subscription())
    load(data_mart, subscription(), {A: [block(subscription(), range(3))]})
    wider = subscription(fields=changed({"name": "Größe 100%", "type": "double"}))
    [change] = data_mart.ensure(wider)
    assert change == f'ALTER TABLE {TABLE} ADD COLUMN "Größe 100%" double precision'
    load(data_mart, wider, {B: [block(wider, range(10, 13), **{"Größe 100%": 1.5})]})
    assert list(data_mart.payload.frame("credit", columns=["Größe 100%"])["Größe 100%"])[3:] == [1.5] * 3
    [(recorded, version)] = query(
        database, 'SELECT schema_changes, schema_version FROM "paylog test".paylog_subscription'
    )
    assert [entry["change"] for entry in recorded][1:] == [change]
    assert recorded[1]["to"] == version == wider.model_schema.version


def test_a_dropped_or_optional_field_keeps_its_column(data_mart: DataMart, database: Connection) -> None:
    strict = subscription(
        fields=changed(
            {"name": "age", "type": "integer", "required": True},
            {"name": "income", "type": "double", "required": True},
        )
    )
    data_mart.ensure(strict)
    narrower = subscription(fields=changed({"name": "age", "type": "integer"}, drop="income"))
    assert {change.split("ALTER COLUMN ")[1] for change in data_mart.ensure(narrower)} == {
        '"age" DROP NOT NULL',
        '"income" DROP NOT NULL',
    }
    assert load(data_mart, narrower, {A: [block(narrower, range(3), age=None)]}).counts.loaded == 3
    assert "income" in [name for name, _, _ in columns(database)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "age", "type": "string"}, r"'age' is bigint, the model schema says text"),
        ({"name": "zip", "type": "string", "required": True}, r"required column 'zip' is missing"),
    ],
)
def test_what_cannot_be_added_is_refused_with_the_way_out(
    data_mart: DataMart, database: Connection, change: dict[str, Any], message: str
) -> None:
    data_mart.ensure(subscription())
    before = columns(database)
    with pytest.raises(SchemaMismatch, match=message) as caught:
        data_mart.ensure(subscription(fields=changed(change)))
    assert "by hand" in str(caught.value)
    assert columns(database) == before


def test_a_foreign_table_of_that_name_is_left_alone(data_mart: DataMart, database: Connection) -> None:
    query(database, f"CREATE TABLE {TABLE} (scoring_id text)")
    with pytest.raises(SchemaMismatch, match="not a payload table of paylog"):
        data_mart.ensure(subscription())
    assert columns(database) == [("scoring_id", "text", "YES")]


def test_a_column_dropped_by_hand_is_told(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    query(database, f"ALTER TABLE {TABLE} DROP COLUMN income")
    with pytest.raises(SchemaMismatch, match="changed by hand"):
        load(data_mart, owner, {A: [block(owner, range(3))]})


def test_a_partition_dropped_for_retention_comes_back(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    load(data_mart, owner, {A: [block(owner, range(3))]})
    query(database, 'DROP TABLE "paylog test"."Payload_credit_2024_03"')
    with pytest.raises(RetriableError, match="partition was dropped"):
        load(data_mart, owner, {B: [block(owner, range(5))]})
    with DataMart(database, "paylog test") as retry:
        assert load(retry, owner, {B: [block(owner, range(5))]}).counts.loaded == 5


@pytest.mark.parametrize(
    "name",
    ["a" * 40, "Credit-Risk_2024", "0-percent", "select", "A_2024_01"],
)
def test_any_subscription_id_works(data_mart: DataMart, database: Connection, name: str) -> None:
    """40 characters leave room for the partition's name in PostgreSQL's 63 bytes."""
    owner = subscription(name)
    data_mart.ensure(owner)
    load(data_mart, owner, {A: [block(owner, range(3)), block(owner, range(2, 4))]})
    load(data_mart, owner, {capture_object("a", "v2"): [block(owner, range(6))]})
    assert len(data_mart.payload.frame(name)) == 6
    leaves = query(database, "SELECT relname FROM pg_class WHERE relname LIKE %s", f"%{name}\\_2024\\_03")
    assert leaves == [(f"Payload_{name}_2024_03",)]


HOSTILE = (
    "Mixed Case",
    "100% of it",
    "%s and %(name)s",
    "a:colon :name",
    "semi;colon--",
    "it's",
    "back\\slash",
    "{brace}",
    "$1",
    "Größe €",
    "年龄",
    "x" * 63,
    "é" * 31,
    "select",
    "user",
    "oid",
)


def test_any_field_name_works_in_every_statement(data_mart: DataMart, database: Connection) -> None:
    fields = changed(*({"name": name, "type": "string"} for name in HOSTILE))
    owner = subscription(fields=fields)
    data_mart.ensure(owner)
    assert data_mart.ensure(owner) == []
    values = {name: f"value of {name}" for name in HOSTILE}
    bad = Reject(1, Reason.MISSING_FEATURE, b"raw", column=HOSTILE[2])
    load(data_mart, owner, {A: [block(owner, range(5), rejects=[bad], **values)]})
    again = load(data_mart, owner, {B: [block(owner, range(3, 8), **values)]})
    assert again.counts == Counts(read=5, loaded=3, duplicate=2)
    load(data_mart, owner, {capture_object("a", "v2"): [block(owner, range(4), **values)]})
    frame = data_mart.payload.frame("credit", columns=HOSTILE)
    assert [*frame.columns] == [*HOSTILE]
    assert frame.drop_duplicates().to_dict("records") == [values]
    assert {entry.stored == entry.loaded for entry in data_mart.stored_counts("credit", "run-1")} == {True}


@pytest.mark.parametrize("schema", ["paylog", "Mixed Case", "100% :x {y}", "données", "s" * 63])
def test_any_schema_name_works(empty_database: Connection, schema: str) -> None:
    owner = subscription()
    with DataMart(empty_database, schema) as mart:
        mart.setup()
        mart.setup()
        mart.ensure(owner)
        load(mart, owner, {A: [block(owner, range(3), rejects=[Reject(9, Reason.NO_TIMESTAMP, b"")])]})
        load(mart, owner, {B: [block(owner, range(2, 5))]})
        load(mart, owner, {capture_object("a", "v2"): [block(owner, range(1))]})
        assert len(mart.payload.frame("credit")) == 3
        assert mart.stale_objects("credit") == {B.uri: "v1"}
    found = query(empty_database, "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'paylog%%'"
                  " AND schemaname = %s", schema)  # fmt: skip
    assert found == [(schema,)]


def test_two_schemas_of_one_database_are_apart(empty_database: Connection) -> None:
    owner = subscription()
    for schema in ("one", "two"):
        with DataMart(empty_database, schema) as mart:
            mart.setup()
            mart.ensure(owner)
            assert load(mart, owner, {A: [block(owner, range(3))]}).counts.loaded == 3
    for schema in ("one", "two"):
        assert query(empty_database, f"SELECT count(*) FROM {quoted(schema, 'Payload_credit')}") == [(3,)]


def test_feedback_of_more_cells_than_a_statement_has_parameters(data_mart: DataMart) -> None:
    fields = [Field(f"f{n}", FieldType.INTEGER) for n in range(80)]
    feedback, rows = FeedbackTable(data_mart.schema, "credit", fields), 1000
    columns = {f.name: pa.array(range(rows)) for f in fields}
    columns["record_timestamp"] = pa.array([NOON] * rows)
    columns["_record_id"] = pa.array([uuid4().bytes for _ in range(rows)], pa.uuid())
    assert data_mart.feedback.store(feedback, pa.table(columns)).loaded == rows
    assert data_mart.feedback.count(feedback) == rows
