"""Every check of training data alone: a defect, and nothing but the check that names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from training_folder import TrainingFolder, codes

from paylog.subscription import Subscription
from paylog.subscription.check_codes import CheckCode
from paylog.testing.training_people import people
from paylog.training_data import Severity, Status, check
from paylog.training_data.checks import shipped_severities

Change = Callable[[pd.DataFrame, dict[str, Any]], pd.DataFrame | None]
TROUBLE = {CheckCode.UNREACHABLE, CheckCode.ACCESS_DENIED, CheckCode.NOT_FOUND, CheckCode.NOT_READABLE}
CASES: dict[str, Change] = {}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingFolder:
    return TrainingFolder(tmp_path, monkeypatch)


def case(change: Change) -> Change:
    """Register a defect; the function is named after the check that finds it."""
    CASES[change.__name__.upper()] = change
    return change


def field(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(f for f in document["model_schema"]["fields"] if f["name"] == name)


def drop_field(document: dict[str, Any], name: str) -> None:
    document["model_schema"]["fields"].remove(field(document, name))


@case
def empty(frame, document):
    return frame.iloc[:0]


@case
def few_rows(frame, document):
    document["training_data"]["thresholds"] = {"rows": len(frame) + 1}


@case
def rows_changed(frame, document):
    return frame.iloc[: len(frame) // 3]


@case
def duplicate_rows(frame, document):
    return pd.concat([frame, frame.head(50)])


@case
def header_missing(frame, document):
    return frame.set_axis([f"c{n}" for n in range(frame.shape[1])], axis=1)


@case
def column_missing(frame, document):
    return frame.drop(columns="Income")


@case
def column_name(frame, document):
    return frame.rename(columns={"Income": "in_come"})


@case
def column_extra(frame, document):
    return frame.assign(Note="x")


@case
def column_order(frame, document):
    return frame[["Sex", "Age", *frame.columns[2:]]]


@case
def column_type(frame, document):
    frame["Age"] = frame["Age"].astype(object)
    frame.loc[5, "Age"] = "old"


@case
def all_null(frame, document):
    frame["Income"] = None


@case
def null_in_required(frame, document):
    frame["Age"] = frame["Age"].astype(object)
    frame.loc[3, "Age"] = None


@case
def many_nulls(frame, document):
    frame.loc[:400, "Income"] = None


@case
def constant(frame, document):
    frame["Income"] = 1.5


@case
def outliers(frame, document):
    frame.loc[7, "Income"] = 99_999_999.0


@case
def high_cardinality(frame, document):
    frame["City"] = [f"person {n}" for n in range(len(frame))]


@case
def category_unknown(frame, document):
    frame.loc[4, "Purpose"] = "yacht"


@case
def category_missing(frame, document):
    frame["Purpose"] = frame["Purpose"].replace("car", "house")


@case
def category_encoding(frame, document):
    frame["Purpose"] = frame["Purpose"].map({"car": "0", "house": "1", "school": "2"})


@case
def category_variants(frame, document):
    frame.loc[frame["City"] == "Oslo", "City"] = "oslo "
    frame.loc[3, "City"] = "Oslo"


@case
def encoded_text(frame, document):
    frame["City"] = frame["City"].factorize()[0]


@case
def text_damaged(frame, document):
    frame["City"] = [name.encode().decode("latin-1") for name in frame["City"]]


@case
def label_not_declared(frame, document):
    drop_field(document, "Risk")
    return frame.drop(columns="Risk")


@case
def label_missing(frame, document):
    return frame.drop(columns="Risk")


@case
def label_null(frame, document):
    frame.loc[3, "Risk"] = None


@case
def label_constant(frame, document):
    drop_field(document, "probability")
    field(document, "prediction")["type"] = field(document, "Risk")["type"] = "double"
    document["model_schema"] |= {"problem_type": "regression", "class_labels": []}
    del document["fairness"]
    frame["Risk"] = 1.5


@case
def label_is_feature(frame, document):
    frame["City"] = frame["Risk"]


@case
def label_type(frame, document):
    field(document, "Risk")["type"] = "integer"
    del document["fairness"]
    frame["Risk"] = (frame["Risk"] == "Risk").astype(int)


@case
def probability_missing(frame, document):
    drop_field(document, "probability")


@case
def class_unknown(frame, document):
    frame.loc[3, "Risk"] = "Maybe"


@case
def class_missing(frame, document):
    document["model_schema"] |= {"problem_type": "multiclass", "class_labels": ["No Risk", "Risk", "Unclear"]}


@case
def class_encoding(frame, document):
    frame["Risk"] = (frame["Risk"] == "Risk").astype(int)
    del document["fairness"]


@case
def class_rare(frame, document):
    document["training_data"]["thresholds"] = {"minority_class": 0.4}


@case
def class_order(frame, document):
    document["model_schema"]["class_labels"] = ["Risk", "No Risk"]


@case
def fairness_type(frame, document):
    document["fairness"]["attributes"] = [
        {"feature": "Employed", "majority": ["true"], "minority": ["false"]}
    ]


@case
def fairness_group_empty(frame, document):
    document["fairness"]["attributes"][0]["minority"] = ["diverse"]


@case
def fairness_group_small(frame, document):
    document["fairness"]["min_records"] = 400
    del document["fairness"]["attributes"][0]


@case
def fairness_outcome_missing(frame, document):
    frame.loc[frame["Sex"] == "male", "Risk"] = "Risk"
    frame.loc[frame["Sex"] == "female", "Risk"] = "No Risk"


def test_clean_data_raises_nothing(store: TrainingFolder) -> None:
    first = store.check(people())
    assert (first.findings, first.status) == ((), Status.PASSED)
    assert store.check(people(seed=1), previous=first.profile).findings == ()


@pytest.mark.parametrize("code", CASES)
def test_only_the_check_that_names_it(store: TrainingFolder, code: str) -> None:
    before = store.check(people()).profile if code == "ROWS_CHANGED" else None
    frame, document = people(), store.reference()
    frame = frame if (changed := CASES[code](frame, document)) is None else changed
    result = store.check(frame, document, before)
    assert set(codes(result)) == {code}
    assert {f.severity for f in result.findings} == {shipped_severities()[CheckCode(code)]}
    assert all(f.expected and f.found and f.remedy for f in result.findings)


def test_every_check_has_a_case() -> None:
    assert set(CASES) == {str(code) for code in CheckCode} - {str(code) for code in TROUBLE}
    assert set(shipped_severities()) == set(CheckCode)


def test_not_found(store: TrainingFolder) -> None:
    store.write("people-2024.csv", people(10))
    result = check(store.subscription(object="people-2023.csv"))
    assert codes(result) == ["NOT_FOUND"]
    assert "did you mean 'people-2024.csv'" in result.findings[0].found


def test_not_readable(store: TrainingFolder) -> None:
    result = store.check(b"Age,Sex\n1,2\n1,2,3\n")
    assert codes(result) == ["NOT_READABLE"]
    assert "line 3 has 3 cells, 2 expected" in result.findings[0].found
    assert (result.status, result.profile, result.retriable) == (Status.ERROR, None, False)


def test_access_denied(store: TrainingFolder, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "people.csv"
    elsewhere.write_text("Age\n1\n")
    (store.folder / "people.csv").symlink_to(elsewhere)
    assert codes(check(store.subscription())) == ["ACCESS_DENIED"]


def test_severity_is_the_subscriptions_to_choose(store: TrainingFolder) -> None:
    document = store.reference(severity={"COLUMN_EXTRA": "error", "CONSTANT": "ignore"})
    result = store.check(people().assign(Note="x", Income=1.5), document)
    assert [(f.code, f.severity) for f in result.findings] == [("COLUMN_EXTRA", Severity.ERROR)]


def test_errors_come_first(store: TrainingFolder) -> None:
    result = store.check(people().assign(Note="x").drop(columns="Age"))
    assert codes(result) == ["COLUMN_MISSING", "COLUMN_EXTRA"]
    assert result.status is Status.ERROR


def test_category_names_are_shown_only_where_they_may_be(store: TrainingFolder) -> None:
    def said(**settings: Any) -> str:
        document = store.reference()
        field(document, "Purpose").update(settings)
        frame = people()
        frame.loc[4, "Purpose"] = "yacht"
        (finding,) = store.check(frame, document).findings
        return str(finding)

    assert "also 'yacht'" in said()
    assert "yacht" not in said(sensitive=True)
    assert "1 categories (not shown)" in said(sensitive=True)


def test_a_value_of_a_free_text_is_never_shown(store: TrainingFolder) -> None:
    frame = people()
    frame.loc[frame["City"] == "Oslo", "City"] = "oslo "
    frame.loc[3, "City"] = "Oslo"
    (finding,) = store.check(frame).findings
    assert "slo" not in str(finding)


def test_a_file_without_a_header_does_not_put_values_into_names(store: TrainingFolder) -> None:
    content = b"\n".join(people().to_csv(index=False).encode().splitlines()[1:]) + b"\n"
    result = store.check(content)
    assert codes(result) == ["HEADER_MISSING"]
    assert result.profile is not None
    assert [column.name for column in result.profile.found][:2] == ["column 1", "column 2"]


def test_a_decoded_target_maps_a_label_of_another_type(store: TrainingFolder) -> None:
    document = store.reference()
    field(document, "prediction")["type"] = "integer"
    document["model_schema"]["class_labels"] = [0, 1]
    document["fairness"] |= {"favourable": [0], "unfavourable": [1]}
    del document["fairness"]
    decoded = {"name": "decoded", "type": "string", "role": "decoded-target"}
    without = store.check(people(), document)
    document["model_schema"]["fields"].append(decoded)
    assert (codes(without), codes(store.check(people(), document))) == (["LABEL_TYPE"], [])


def test_a_check_without_training_data_is_a_mistake_of_configuration(store: TrainingFolder) -> None:
    from paylog.errors import ConfigurationError

    document = store.reference()
    del document["training_data"]
    with pytest.raises(ConfigurationError, match="names no training data"):
        check(Subscription.model_validate(document))
