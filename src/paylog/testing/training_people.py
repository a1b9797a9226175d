"""Generated training data with a column of every type, and a subscription that it fits exactly."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd

CITIES = ("Berlin", "Zürich", "Málaga", "Łódź", "Paris", "Oslo", "Bern", "Graz")
PURPOSES = ("car", "house", "school")
SUBSCRIPTION: dict[str, Any] = {
    "id": "people",
    "service_provider": "custom_machine_learning",
    "deployment": {"id": "people"},
    "logs": {},
    "data_mart": {"schema": "mart"},
    "model_schema": {
        "problem_type": "binary",
        "class_labels": ["No Risk", "Risk"],
        "fields": [
            {"name": "Age", "type": "integer", "required": True},
            {"name": "Sex", "type": "string", "required": True, "categorical": True},
            {"name": "Income", "type": "double"},
            {"name": "Purpose", "type": "string", "categories": list(PURPOSES)},
            {"name": "City", "type": "string"},
            {"name": "Employed", "type": "boolean"},
            {"name": "Since", "type": "timestamp"},
            {"name": "Born", "type": "timestamp"},
            {"name": "prediction", "type": "string", "role": "prediction"},
            {"name": "probability", "type": "array", "role": "probability"},
            {"name": "Risk", "type": "string", "role": "target"},
        ],
    },
    "fairness": {
        "favourable": ["No Risk"],
        "unfavourable": ["Risk"],
        "min_records": 10,
        "attributes": [
            {"feature": "Sex", "majority": ["male"], "minority": ["female"]},
            {"feature": "Age", "majority": [[26, 90]], "minority": [[18, 25]]},
        ],
    },
}
"""A subscription without its ``training_data``; take a copy (:func:`document`)."""


def document(**training_data: Any) -> dict[str, Any]:
    """A subscription as plain values, to be changed and validated."""
    return copy.deepcopy(SUBSCRIPTION) | {"training_data": training_data}


def people(rows: int = 1000, seed: int = 0) -> pd.DataFrame:
    """People with their label: every declared type, nulls, text beyond ASCII, a decimal with two places."""
    rng = np.random.default_rng(seed)
    since = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**8, rows), unit="s")
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 18_000, rows), unit="D")
    income = np.round(rng.lognormal(8, 0.5, rows), 2)
    frame = pd.DataFrame(
        {
            "Age": rng.integers(18, 80, rows),
            "Sex": rng.choice(["male", "female"], rows),
            "Income": np.where(rng.random(rows) < 0.05, np.nan, income),
            "Purpose": rng.choice(PURPOSES, rows),
            "City": rng.choice(CITIES, rows),
            "Employed": rng.random(rows) < 0.7,
            "Since": since,
            "Born": born.date,
            "Risk": rng.choice(["No Risk", "Risk"], rows, p=[0.7, 0.3]),
        }
    )
    return frame.astype(dict.fromkeys(("Sex", "Purpose", "City", "Risk"), object))


def as_csv(frame: pd.DataFrame, **options: Any) -> bytes:
    """UTF-8 CSV with a header; ``options`` as ``DataFrame.to_csv`` takes them."""
    encoding = options.pop("encoding", "utf-8")
    return str(frame.to_csv(index=False, **options)).encode(encoding)
