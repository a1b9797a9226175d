"""OpenScale's training statistics JSON, against figures that pandas gives for the same data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from training_folder import TrainingFolder

from paylog.subscription import Subscription
from paylog.testing.training_people import people
from paylog.training_data import check, statistics


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingFolder:
    return TrainingFolder(tmp_path, monkeypatch)


def made(store: TrainingFolder, frame: pd.DataFrame, changed: dict[str, Any] | None = None) -> dict[str, Any]:
    store.write("people.csv", frame)
    subscription = Subscription.model_validate(changed or store.reference())
    result = check(subscription)
    assert result.profile is not None
    found = statistics(result.profile, subscription)
    return json.loads(json.dumps(found, allow_nan=False))


def test_common_configuration(store: TrainingFolder) -> None:
    common = made(store, people())["common_configuration"]
    features = ["Age", "Sex", "Income", "Purpose", "City", "Employed", "Since", "Born"]
    assert common["problem_type"] == "binary"
    assert common["label_column"] == "Risk"
    assert common["feature_fields"] == features
    assert common["categorical_fields"] == ["Sex", "Purpose", "City", "Employed"]
    assert (common["prediction"], common["probability"]) == ("prediction", ["probability"])
    fields = {f["name"]: f for f in common["input_data_schema"]["fields"]}
    assert fields["Sex"]["metadata"] == {"modeling_role": "feature", "measure": "discrete"}
    assert (fields["Age"]["type"], fields["Risk"]["metadata"]["modeling_role"]) == ("integer", "target")


def test_explainability_of_numbers(store: TrainingFolder) -> None:
    frame = people(2_000)
    explained = made(store, frame)["explainability_configuration"]
    ages = frame["Age"].to_numpy()
    cuts = np.percentile(ages, [25, 50, 75])
    bins = np.searchsorted(cuts, ages)
    assert explained["d_bins"]["0"] == cuts.tolist()
    assert explained["d_means"]["0"] == pytest.approx([ages[bins == b].mean() for b in range(4)])
    assert explained["d_stds"]["0"] == pytest.approx([ages[bins == b].std() for b in range(4)], rel=1e-9)
    assert explained["d_mins"]["0"] == [ages.min(), *cuts]
    assert explained["d_maxs"]["0"] == [*cuts, ages.max()]
    assert explained["feature_values"]["0"] == [0, 1, 2, 3]
    assert explained["feature_frequencies"]["0"] == np.bincount(bins).tolist()
    assert explained["base_values"]["0"] == np.median(ages)
    assert explained["stds"]["0"] == pytest.approx(np.std(ages))


def test_explainability_of_categories(store: TrainingFolder) -> None:
    frame = people(2_000)
    explained = made(store, frame)["explainability_configuration"]
    counts = frame["Purpose"].value_counts()
    assert explained["categorical_columns_encoding_mapping"]["3"] == ["car", "house", "school"]
    assert explained["feature_values"]["3"] == [0, 1, 2]
    assert explained["feature_frequencies"]["3"] == [counts[n] for n in ("car", "house", "school")]
    assert explained["categorical_counts"]["3"] == counts.to_dict()
    assert explained["base_values"]["3"] == counts.idxmax()
    assert explained["categorical_columns_encoding_mapping"]["5"] == [False, True]
    assert explained["class_labels"] == ["No Risk", "Risk"]
    assert "3" not in explained["d_means"]


def test_quartiles_that_coincide(store: TrainingFolder) -> None:
    frame = people(1_000)
    frame["Age"] = np.where(np.arange(1_000) < 900, 30, 40)
    explained = made(store, frame)["explainability_configuration"]
    assert explained["d_bins"]["0"] == [30]
    assert explained["d_means"]["0"] == [30, 40]
    assert explained["feature_frequencies"]["0"] == [900, 100]


def test_fairness_configuration(store: TrainingFolder) -> None:
    frame = people(2_000)
    fairness = made(store, frame)["fairness_configuration"]
    assert fairness["parameters"]["favourable_class"] == ["No Risk"]
    assert fairness["parameters"]["features"][1]["minority"] == [[18, 25]]
    limits = fairness["thresholds"][0]["specific_values"]
    assert [(x["applies_to"][0]["value"], x["value"]) for x in limits] == [("Sex", 80), ("Age", 80)]
    sex, age, label = fairness["distributions"]
    table = pd.crosstab(frame["Sex"], frame["Risk"])
    found = {x["label"]: {c["class_value"]: c["count"] for c in x["counts"]} for x in sex["class_labels"]}
    assert found == {name: row.to_dict() for name, row in table.iterrows()}
    assert (age["min"], age["max"]) == (frame["Age"].min(), frame["Age"].max())
    assert label == {"attribute": "Risk", "is_class_label": True, "distinct_values": ["No Risk", "Risk"]}


def test_ranges_do_not_reach_over_a_group(store: TrainingFolder) -> None:
    """62 ages are more than 45 values: ranges, none of which spans 25 and 26."""
    frame = people(2_000)
    age = made(store, frame)["fairness_configuration"]["distributions"][1]
    ranges = [json.loads(x["label"]) for x in age["class_labels"]]
    assert len(ranges) < frame["Age"].nunique()
    assert not any(low <= 25 and high >= 26 for low, high in ranges)
    counted = sum(c["count"] for x in age["class_labels"] for c in x["counts"])
    assert counted == 2_000


def test_without_fairness_there_is_no_such_part(store: TrainingFolder) -> None:
    document = store.reference()
    del document["fairness"]
    assert set(made(store, people(), document)) == {"common_configuration", "explainability_configuration"}


def test_a_regression_has_no_class_labels(store: TrainingFolder) -> None:
    document = store.reference()
    schema = document["model_schema"]
    schema["fields"] = [f for f in schema["fields"] if f["name"] != "probability"]
    for field in schema["fields"]:
        if field["name"] in ("prediction", "Risk"):
            field["type"] = "double"
    schema |= {"problem_type": "regression", "class_labels": []}
    document["fairness"] |= {"favourable": [[0.5, 1]], "unfavourable": [[0, 0.4]]}
    frame = people(1_000).assign(Risk=np.linspace(0, 1, 1_000))
    found = made(store, frame, document)
    assert found["explainability_configuration"]["class_labels"] == []
    assert found["fairness_configuration"]["distributions"][-1]["distinct_values"] == [[0.5, 1], [0, 0.4]]
