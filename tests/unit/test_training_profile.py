"""One profile whatever the format, the parts and the order; its JSON, samples, groups and limits."""

from __future__ import annotations

import gzip
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from training_folder import TrainingFolder

from paylog.errors import StopError
from paylog.subscription import Subscription
from paylog.testing.training_people import as_csv, people
from paylog.training_data import Profile, open_source, profile

SAMPLE = Path(__file__).parents[3] / "shared/samples/ibm/credit_risk_training.csv"
PLACE = ("source", "found")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingFolder:
    return TrainingFolder(tmp_path, monkeypatch)


def profiled(subscription: Subscription) -> Profile:
    return profile(open_source(subscription), subscription)


def figures(found: Profile) -> dict[str, Any]:
    """All of it but where it came from."""
    return {key: value for key, value in found.to_dict().items() if key not in PLACE}


def parquet(frame: pd.DataFrame, row_group: int = 300) -> bytes:
    """Physical types other than those that pandas would choose."""
    income = [None if np.isnan(v) else Decimal(f"{v:.2f}") for v in frame["Income"]]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.set_column(2, "Income", pa.array(income, pa.decimal128(12, 2)))
    table = table.set_column(0, "Age", table["Age"].cast(pa.int8()))
    table = table.set_column(1, "Sex", table["Sex"].cast(pa.large_string()))
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=row_group)
    return file.getvalue()


def test_every_format_gives_the_same_profile(store: TrainingFolder) -> None:
    frame = people(2_000)
    shuffled = frame.sample(frac=1, random_state=1)
    store.write("people.csv", frame)
    store.write("packed.csv.gz", gzip.compress(as_csv(shuffled)))
    store.write("marked.csv", b"\xef\xbb\xbf" + as_csv(frame))
    store.write("wide.csv", as_csv(frame, encoding="utf-16", sep=";", header=False))
    store.write("latin.csv", as_csv(frame, encoding="iso8859-2", errors="replace", quoting=1))
    store.write("people.parquet", parquet(shuffled))
    store.write("parts/1.csv", shuffled.iloc[:700])
    store.write("parts/2.csv", shuffled.iloc[700:])
    wide = {"encoding": "utf-16", "delimiter": ";", "header": False, "columns": list(frame.columns)}
    expected = figures(profiled(store.subscription()))
    for reference in (
        {"object": "packed.csv.gz"},
        {"object": "marked.csv"},
        {"object": "wide.csv", **wide},
        {"object": "people.parquet"},
        {"prefix": "parts/"},
    ):
        assert figures(profiled(store.subscription(**reference))) == expected, reference


def test_figures_against_pandas(store: TrainingFolder) -> None:
    frame = people(3_000)
    store.write("people.csv", frame)
    found = profiled(store.subscription())
    assert (found.rows, found.rows_read, found.duplicate_rows) == (3_000, 3_000, 0)
    for name in ("Age", "Income"):
        column = found.column(name)
        assert column is not None
        assert column.numeric is not None
        assert (column.count, column.nulls) == (frame[name].count(), frame[name].isna().sum())
        assert column.distinct == frame[name].nunique()
        assert column.numeric.mean == pytest.approx(frame[name].mean(), rel=1e-14)
        assert column.numeric.std == pytest.approx(frame[name].std(), rel=1e-12)
        assert column.numeric.quantiles["0.3"] == pytest.approx(frame[name].quantile(0.3))
    city, since = found.column("City"), found.column("Since")
    assert city is not None
    assert city.categories == frame["City"].value_counts().to_dict()
    assert list(city.categories.values()) == sorted(city.categories.values(), reverse=True)
    assert since is not None
    assert since.numeric is not None
    assert since.numeric.max == frame["Since"].max().timestamp()


def test_groups_against_pandas(store: TrainingFolder) -> None:
    frame = people(3_000)
    store.write("people.csv", frame)
    sex, age = profiled(store.subscription()).groups
    young = frame[frame["Age"] <= 25]["Risk"].value_counts().to_dict()
    assert sex.labels["minority"] == frame[frame["Sex"] == "female"]["Risk"].value_counts().to_dict()
    assert (age.labels["minority"], age.rows("minority")) == (young, sum(young.values()))
    assert sum(age.values["30"].values()) == (frame["Age"] == 30).sum()


def test_its_json_reads_back(store: TrainingFolder) -> None:
    store.write("people.csv", people())
    found = profiled(store.subscription(sample={"share": 0.5}))
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert Profile.from_dict(json.loads(text)) == found
    with pytest.raises(ValueError, match="version 99"):
        Profile.from_dict(found.to_dict() | {"version": 99})


def test_the_content_hash_is_that_of_the_rows(store: TrainingFolder) -> None:
    def content(frame: pd.DataFrame) -> str:
        store.write("people.csv", frame)
        return profiled(store.subscription()).content_hash

    frame = people()
    swapped = frame.copy()
    swapped.loc[[1, 2], "Age"] = frame.loc[[2, 1], "Age"].to_numpy()
    assert content(frame) == content(frame.iloc[::-1]) == content(frame[frame.columns[::-1]])
    others = (frame.iloc[:-1], swapped, pd.concat([frame, frame.head(1)]))
    assert len({content(frame), *map(content, others)}) == 4


def test_a_sample_is_stated_and_the_same_everywhere(store: TrainingFolder) -> None:
    frame = people(4_000)
    store.write("people.csv", frame)
    store.write("people.parquet", parquet(frame.sample(frac=1, random_state=3)))
    one = profiled(store.subscription(sample={"share": 0.25}))
    assert (one.rows_read, one.sample_share, one.sample_seed) == (4_000, 0.25, 0)
    assert one.rows == pytest.approx(1_000, rel=0.15)
    same = profiled(store.subscription(object="people.parquet", sample={"share": 0.25}))
    assert figures(same) == figures(one)
    other = profiled(store.subscription(sample={"share": 0.25, "seed": 1}))
    assert other.content_hash != one.content_hash


def test_more_rows_than_allowed_stop_it(store: TrainingFolder) -> None:
    store.write("people.csv", people(200))
    assert profiled(store.subscription(max_rows=200)).rows == 200
    with pytest.raises(StopError, match="more than 199 rows"):
        profiled(store.subscription(max_rows=199))


def test_many_values_are_counted_in_bounded_memory(store: TrainingFolder) -> None:
    frame = people(3_000)
    frame["City"] = [f"street {n % 2500}" for n in range(len(frame))]
    store.write("people.csv", frame)
    city = profiled(store.subscription()).column("City")
    assert city is not None
    assert (city.categories, city.other, city.distinct) == ({}, 3_000, 2_500)


def test_groups_of_a_regression_and_of_more_values_than_are_kept(store: TrainingFolder) -> None:
    document = store.reference()
    fields = document["model_schema"]["fields"]
    document["model_schema"]["fields"] = [f for f in fields if f["name"] != "probability"]
    for field in fields:
        if field["name"] in ("prediction", "Risk"):
            field["type"] = "double"
    document["model_schema"] |= {"problem_type": "regression", "class_labels": []}
    low, high = [[0, 3000]], [[3000.01, 1e9]]
    document["fairness"] = {
        "favourable": [[0.5, 1]],
        "unfavourable": [[0, 0.4]],
        "attributes": [{"feature": "Income", "majority": high, "minority": low}],
    }
    frame = people(3_000)
    frame["Risk"] = np.round(np.linspace(0, 1, 3_000), 2)
    store.write("people.csv", frame)
    (group,) = profiled(Subscription.model_validate(document)).groups
    poor = frame[frame["Income"] <= 3000]["Risk"]
    expected = {"favourable": (poor >= 0.5).sum(), "unfavourable": (poor <= 0.4).sum()}
    assert group.values == {}
    assert {k: group.labels["minority"][k] for k in expected} == expected


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample files are not there")
def test_the_german_credit_data_with_its_byte_order_mark(store: TrainingFolder) -> None:
    from paylog.subscription import load_subscriptions
    from paylog.training_data import check

    root = Path(__file__).parents[2]
    document = load_subscriptions(root / "subscriptions/credit_risk.yaml")[0].document()
    store.write("german.csv", SAMPLE.read_bytes())
    reference = store.reference(object="german.csv")["training_data"]
    result = check(Subscription.model_validate(document | {"training_data": reference}))
    assert result.findings == ()
    assert result.profile is not None
    assert (result.profile.rows, result.profile.duplicate_rows) == (5_000, 18)
    label = result.profile.column("Risk")
    assert label is not None
    assert label.categories == {"No Risk": 3330, "Risk": 1670}
