"""Defects of a training file, generated: the check that names each finds it, on several data sets."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from training_folder import TrainingFolder, codes

from paylog.testing.training_people import as_csv, people

Mutation = Callable[[pd.DataFrame, np.random.Generator], bytes | pd.DataFrame]


def some(frame: pd.DataFrame, rng: np.random.Generator, share: float = 0.02) -> np.ndarray:
    """A few rows."""
    return rng.choice(len(frame), max(1, int(share * len(frame))), replace=False)


def with_cells(column: str, value: object, share: float = 0.02) -> Mutation:
    def mutate(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        frame[column] = frame[column].astype(object)
        frame.loc[some(frame, rng, share), column] = value
        return frame

    return mutate


MUTATIONS: dict[str, tuple[str, Mutation]] = {
    "a column is dropped": (
        "COLUMN_MISSING",
        lambda f, r: f.drop(columns=r.choice(["Age", "City", "Since"])),
    ),
    "a name is written otherwise": ("COLUMN_NAME", lambda f, r: f.rename(columns={"City": "CITY"})),
    "an index column is added": ("COLUMN_EXTRA", lambda f, r: f.reset_index()),
    "columns change places": ("COLUMN_ORDER", lambda f, r: f[list(r.permutation(f.columns))]),
    "the header is lost": ("HEADER_MISSING", lambda f, r: as_csv(f, header=False)),
    "the delimiter is another": ("HEADER_MISSING", lambda f, r: as_csv(f, sep=";")),
    "the code page is another": ("NOT_READABLE", lambda f, r: as_csv(f, encoding="cp1250")),
    "UTF-8 is encoded twice": (
        "TEXT_DAMAGED",
        lambda f, r: as_csv(f).decode("latin-1").encode(),
    ),
    "characters are lost": ("TEXT_DAMAGED", lambda f, r: as_csv(f).replace("ü".encode(), "\ufffd".encode())),
    "only the header is left": ("EMPTY", lambda f, r: f.iloc[:0]),
    "the last line is cut": ("NOT_READABLE", lambda f, r: as_csv(f)[:-30]),
    "the gzip stream is cut": ("NOT_READABLE", lambda f, r: gzip.compress(as_csv(f))[:-200]),
    "a part is written twice": ("DUPLICATE_ROWS", lambda f, r: pd.concat([f, f.iloc[some(f, r, 0.2)]])),
    "most rows are lost": ("ROWS_CHANGED", lambda f, r: f.iloc[: len(f) // 4]),
    "decimal commas": (
        "COLUMN_TYPE",
        lambda f, r: as_csv(f.assign(Income=f["Income"].map("{:.2f}".format).str.replace(".", ","))),
    ),
    "text in a number": ("COLUMN_TYPE", with_cells("Age", "n/a")),
    "dates as people write them": ("COLUMN_TYPE", with_cells("Since", "31.01.2024")),
    "nulls in a required feature": ("NULL_IN_REQUIRED", with_cells("Sex", None)),
    "a column is blanked": ("ALL_NULL", lambda f, r: f.assign(Income=None)),
    "most of a column is blanked": ("MANY_NULLS", with_cells("City", None, 0.6)),
    "missing values are 999999999": ("OUTLIERS", with_cells("Income", 999_999_999, 0.005)),
    "categories are encoded": (
        "CATEGORY_ENCODING",
        lambda f, r: f.assign(Purpose=f["Purpose"].astype("category").cat.codes),
    ),
    "the fairness attribute is encoded": (
        "FAIRNESS_GROUP_EMPTY",
        lambda f, r: f.assign(Sex=(f["Sex"] == "male").astype(int)),
    ),
    "a new category": ("CATEGORY_UNKNOWN", with_cells("Purpose", "boat")),
    "a category is spelled otherwise": ("CATEGORY_VARIANTS", with_cells("City", "BERLIN ")),
    "the label is encoded": ("CLASS_ENCODING", lambda f, r: f.assign(Risk=(f["Risk"] == "Risk").astype(int))),
    "a class is lost": ("CLASS_MISSING", lambda f, r: f[f["Risk"] == "No Risk"]),
    "a new class": ("CLASS_UNKNOWN", with_cells("Risk", "Pending")),
    "labels are missing": ("LABEL_NULL", with_cells("Risk", None)),
    "the label leaks into a feature": ("LABEL_IS_FEATURE", lambda f, r: f.assign(City=f["Risk"])),
    "a group is lost": ("FAIRNESS_GROUP_EMPTY", lambda f, r: f[f["Age"] > 25]),
}


SEEDS = range(3)


def clean(seed: int) -> pd.DataFrame:
    return people(800 + 200 * seed, seed)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingFolder:
    return TrainingFolder(tmp_path, monkeypatch)


@pytest.mark.parametrize("seed", SEEDS)
def test_clean_data_raises_nothing(store: TrainingFolder, seed: int) -> None:
    assert codes(store.check(clean(seed))) == []


@pytest.mark.parametrize("kind", MUTATIONS)
def test_a_mutation_is_named(store: TrainingFolder, kind: str) -> None:
    expected, mutate = MUTATIONS[kind]
    for seed in SEEDS:
        previous = store.check(clean(seed)).profile if expected == "ROWS_CHANGED" else None
        mutated = mutate(clean(seed), np.random.default_rng(seed))
        assert expected in codes(store.check(mutated, previous=previous)), seed
