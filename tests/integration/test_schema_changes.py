"""A new version of a model schema beside a table with rows: what is done, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from payload_blocks import FIELDS, block, capture_object, load, query, subscription

from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.errors import SchemaMismatch
from paylog.subscription import Subscription

A, B = capture_object("a"), capture_object("b")
TABLE = '"paylog test"."Payload_credit"'


def with_fields(*changes: dict[str, Any], **sections: Any) -> Subscription:
    """The subscription with some fields replaced, in their places, or added."""
    fields = {field["name"]: field for field in FIELDS} | {change["name"]: change for change in changes}
    return subscription(fields=tuple(fields.values()), **sections)


def renamed(was: str, now: str) -> Subscription:
    return subscription(fields=tuple(f | {"name": now} if f["name"] == was else f for f in FIELDS))


@pytest.fixture
def loaded(data_mart: DataMart) -> Subscription:
    owner = subscription()
    data_mart.ensure(owner)
    load(data_mart, owner, {A: [block(owner, range(3))]})
    return owner


def test_whole_numbers_become_doubles(
    data_mart: DataMart, database: Connection, loaded: Subscription
) -> None:
    wider = with_fields({"name": "age", "type": "double"})
    found = data_mart.schema_change(wider)
    assert (found.before, found.after) == (loaded.model_schema.version, wider.model_schema.version)
    assert found.statements == [f'ALTER TABLE {TABLE} ALTER COLUMN "age" TYPE double precision']
    assert data_mart.ensure(wider) == found.statements
    load(data_mart, wider, {B: [block(wider, range(10, 12), age=27.5)]})
    assert data_mart.schema_change(wider).statements == []

    versions = query(
        database,
        f"SELECT o.schema_version, count(*) FROM {TABLE} p "
        'JOIN "paylog test".paylog_object o ON o.object_id = p._object_id GROUP BY 1 ORDER BY 2',
    )
    assert versions == [(wider.model_schema.version, 2), (loaded.model_schema.version, 3)]


def test_but_not_where_that_would_change_one(
    data_mart: DataMart, database: Connection, loaded: Subscription
) -> None:
    query(database, f"UPDATE {TABLE} SET age = 9007199254740993 WHERE _position = 1")
    with pytest.raises(SchemaMismatch, match="'age' is bigint"):
        data_mart.ensure(with_fields({"name": "age", "type": "double"}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (renamed("income", "salary"), r"'income' seems to be called 'salary' now .*RENAME"),
        (
            with_fields({"name": "income", "type": "double", "role": "meta-field"}),
            r"'income' was feature, and is meta-field now \(take back",
        ),
        (with_fields({"name": "income", "type": "integer"}), r"'income' is double precision"),
    ],
)
def test_another_meaning_is_refused(
    data_mart: DataMart, loaded: Subscription, changed: Subscription, message: str
) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        data_mart.ensure(changed)
    found = data_mart.schema_change(changed)
    assert found.before == loaded.model_schema.version
    assert len(found.refused) == 1


def test_class_labels_keep_their_order(data_mart: DataMart, loaded: Subscription) -> None:
    labels = list(loaded.model_schema.class_labels)
    assert len(labels) >= 2
    with pytest.raises(SchemaMismatch, match="class_labels are others, or in another order"):
        data_mart.ensure(relabelled(loaded, labels[::-1]))


def test_nothing_is_refused_before_anything_is_loaded(data_mart: DataMart) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    data_mart.ensure(relabelled(owner, list(owner.model_schema.class_labels)[::-1]))


def test_a_column_that_was_renamed_by_hand_is_taken(
    data_mart: DataMart, database: Connection, loaded: Subscription
) -> None:
    query(database, f"ALTER TABLE {TABLE} RENAME COLUMN income TO salary")
    assert data_mart.ensure(renamed("income", "salary")) == []


def relabelled(owner: Subscription, labels: list[Any]) -> Subscription:
    document = owner.document()
    document["model_schema"]["class_labels"] = labels
    return Subscription.model_validate(document)
