"""The blocks of a subscription for training data and fairness, and the mistakes in them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from paylog.subscription import Subscription
from paylog.subscription.monitors import Monitor, Requirement
from paylog.subscription.section import problems_of
from paylog.subscription.training_data import CosReference, Db2Reference
from paylog.testing.training_people import document

COS = {"type": "cos", "object": "a.csv"}


def problems(changed: dict[str, Any]) -> list[str]:
    try:
        Subscription.model_validate(changed)
    except ValidationError as error:
        return [f"{'.'.join(map(str, p.path))}: {p.message}" for p in problems_of(error)]
    return []


def with_fairness(**changes: Any) -> dict[str, Any]:
    changed = document(**COS)
    changed["fairness"] |= changes
    return changed


def attribute(**changes: Any) -> dict[str, Any]:
    return with_fairness(
        attributes=[{"feature": "Age", "majority": [[26, 90]], "minority": [[18, 25]]} | changes]
    )


def test_references() -> None:
    cos = Subscription.model_validate(document(**COS, delimiter="\t", encoding="cp1252")).training_data
    assert isinstance(cos, CosReference)
    assert (cos.connection, cos.delimiter, cos.encoding) == ("ibm_cos_default", "\t", "cp1252")
    db2 = Subscription.model_validate(document(type="db2", schema="S", table="T")).training_data
    assert isinstance(db2, Db2Reference)
    assert (db2.connection, db2.schema_name, db2.table) == ("ibm_db2_default", "S", "T")


def test_a_document_round_trips() -> None:
    changed = document(**COS, severity={"CONSTANT": "ignore"}, sample={"share": 0.5})
    changed |= {"monitors": ["fairness", "drift"], "require": ["training_data"]}
    one = Subscription.model_validate(changed)
    assert one.monitors == (Monitor.FAIRNESS, Monitor.DRIFT)
    assert one.require == (Requirement.TRAINING_DATA,)
    assert Subscription.model_validate(one.document()) == one


def test_categories_make_a_field_categorical() -> None:
    fields = Subscription.model_validate(document(**COS)).model_schema.fields
    purpose = next(f for f in fields if f.name == "Purpose")
    assert (purpose.categorical, purpose.categories) == (True, ("car", "house", "school"))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (document(type="csv"), "training_data: training data is of type db2 or cos"),
        (document(), "training_data: training data is of type db2 or cos"),
        (document(type="cos"), "training_data: name one object or the prefix"),
        (document(**COS, prefix="p/"), "training_data.object: name one object or the prefix"),
        (document(**COS, bukcet="b"), "training_data.bukcet: unknown key 'bukcet', did you mean 'bucket'?"),
        (document(**COS, password="x"), "training_data.password: 'password' looks like a secret"),
        (document(**COS, encoding="utf-9"), "training_data.encoding: 'utf-9' is not an encoding"),
        (document(**COS, delimiter=";;"), "training_data.delimiter: a delimiter is one ASCII character"),
        (document(**COS, columns=["a"]), "training_data.columns: the header names the columns"),
        (document(type="cos", object="s3://b/k"), "training_data.object: a key is relative"),
        (document(**COS, severity={"CONSTNAT": "ignore"}), "did you mean 'CONSTANT'"),
        (document(**COS, sample={"share": 1.5}), "training_data.sample.share: should be less than 1"),
        (document(type="db2"), "training_data.table: this key is required"),
        (
            attribute(feature="Agee"),
            "fairness.attributes.0.feature: 'Agee' is no feature, did you mean 'Age'?",
        ),
        (attribute(minority=[[20, 30]]), "fairness.attributes.0.minority: majority and minority overlap"),
        (
            attribute(minority=["young"]),
            "fairness.attributes.0.minority: majority and minority must be of one",
        ),
        (attribute(minority=[[25, 18]]), "fairness.attributes.0.minority.0: a range is [lowest, highest]"),
        (
            attribute(minority=[[1, 2], "x"]),
            "fairness.attributes.0.minority: a group is made of categories or",
        ),
        (attribute(minority=[True]), "fairness.attributes.0.minority.0: YAML reads"),
        (attribute(minority=[]), "fairness.attributes.0.minority: must not be empty"),
        (attribute(threshold=0), "fairness.attributes.0.threshold: should be greater than 0"),
        (attribute(threshold=1.1), "fairness.attributes.0.threshold: should be less than or equal to 1"),
        (with_fairness(favourable=["Rsik"]), "fairness.favourable.0: 'Rsik' is no class label, did you mean"),
        (with_fairness(favourable=["Risk"]), "fairness.unfavourable: favourable and unfavourable overlap"),
        (with_fairness(attributes=[]), "fairness.attributes: must not be empty"),
        (document(**COS) | {"monitors": ["bias"]}, "monitors.0: unknown value 'bias'"),
    ],
)
def test_mistakes(changed: dict[str, Any], expected: str) -> None:
    found = problems(changed)
    assert any(expected in message for message in found), found
    assert not any("[cos]" in message or "[db2]" in message for message in found)
