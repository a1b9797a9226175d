"""Two small real models over generated people: German-credit risk and telecom churn.

A model draws applicants with the category shares of IBM's published training data and scores them by
logistic regression with fixed weights, so that a log made of them has the shape of a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paylog.model_schema import Field, FieldType

Columns = dict[str, NDArray[Any]]
Levels = Mapping[str, tuple[float, float]]
"""Category → (share of the population, weight in the score)."""


@dataclass(frozen=True)
class Model:
    """A scorer and its population.

    :param features: in the order the model takes them.
    :param class_labels: in the order of the probability vector; the second one is scored.
    :param draw: (generator, rows) → one array per feature, in feature order.
    """

    features: tuple[Field, ...]
    class_labels: tuple[str, str] | tuple[int, int]
    draw: Callable[[np.random.Generator, int], tuple[Columns, NDArray[np.float64]]] = field(repr=False)

    def score(self, rng: np.random.Generator, rows: int) -> tuple[Columns, NDArray[np.float64]]:
        """People and P(second class label) for each, as float64 of shape (rows,)."""
        columns, logit = self.draw(rng, rows)
        return columns, 1.0 / (1.0 + np.exp(-logit))


def _category(
    rng: np.random.Generator, rows: int, levels: Levels
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    names = np.array(list(levels), dtype=object)
    shares = np.cumsum([share for share, _ in levels.values()])
    weights = np.array([weight for _, weight in levels.values()])
    codes = np.searchsorted(shares / shares[-1], rng.random(rows), side="right")
    return names[codes], weights[codes]


_CREDIT_LEVELS: dict[str, Levels] = {
    "CheckingStatus": {
        "no_checking": (0.399, 0.5), "less_0": (0.28, -0.6), "0_to_200": (0.261, -0.3),
        "greater_200": (0.06, 0.0),
    },
    "CreditHistory": {
        "prior_payments_delayed": (0.337, 0.2), "credits_paid_to_date": (0.298, -0.2),
        "outstanding_credit": (0.188, 0.6), "all_credits_paid_back": (0.154, -0.6),
        "no_credits": (0.023, -0.7),
    },
    "LoanPurpose": {
        "car_new": (0.189, -0.3), "furniture": (0.171, 0.0), "car_used": (0.162, 0.1),
        "radio_tv": (0.151, 0.1), "appliances": (0.112, 0.2), "repairs": (0.057, 0.2),
        "vacation": (0.041, 0.0), "education": (0.033, 0.2), "retraining": (0.033, -0.2),
        "business": (0.028, 0.3), "other": (0.023, 0.4),
    },
    "ExistingSavings": {
        "less_100": (0.371, -0.4), "100_to_500": (0.227, -0.1), "500_to_1000": (0.216, 0.2),
        "greater_1000": (0.111, 0.4), "unknown": (0.075, 0.5),
    },
    "EmploymentDuration": {
        "1_to_4": (0.294, -0.1), "4_to_7": (0.28, 0.2), "greater_7": (0.186, 0.4), "less_1": (0.181, -0.4),
        "unemployed": (0.059, -0.5),
    },
    "Sex": {"male": (0.621, 0.1), "female": (0.379, -0.2)},
    "OthersOnLoan": {"none": (0.835, -0.1), "co-applicant": (0.143, 0.5), "guarantor": (0.022, 0.3)},
    "OwnsProperty": {
        "savings_insurance": (0.332, 0.0), "car_other": (0.308, 0.1), "real_estate": (0.217, -0.3),
        "unknown": (0.143, 0.4),
    },
    "InstallmentPlans": {"none": (0.703, 0.0), "stores": (0.204, -0.3), "bank": (0.093, -0.1)},
    "Housing": {"own": (0.639, 0.0), "rent": (0.213, -0.3), "free": (0.148, 0.4)},
    "Job": {
        "skilled": (0.68, 0.0), "unskilled": (0.135, -0.1), "management_self-employed": (0.128, 0.2),
        "unemployed": (0.057, -0.2),
    },
    "Telephone": {"none": (0.588, -0.1), "yes": (0.412, 0.2)},
    "ForeignWorker": {"yes": (0.975, 0.0), "no": (0.025, -0.8)},
}  # fmt: skip
_CREDIT_ORDER = (
    "CheckingStatus", "LoanDuration", "CreditHistory", "LoanPurpose", "LoanAmount", "ExistingSavings",
    "EmploymentDuration", "InstallmentPercent", "Sex", "OthersOnLoan", "CurrentResidenceDuration",
    "OwnsProperty", "Age", "InstallmentPlans", "Housing", "ExistingCreditsCount", "Job", "Dependents",
    "Telephone", "ForeignWorker",
)  # fmt: skip


def _draw_credit(rng: np.random.Generator, rows: int) -> tuple[Columns, NDArray[np.float64]]:
    columns: Columns = {
        "LoanDuration": np.clip(rng.normal(21.4, 11.2, rows), 4, 64).astype(np.int64),
        "LoanAmount": np.clip(rng.normal(3480, 2488, rows), 250, 11676).astype(np.int64),
        "InstallmentPercent": rng.integers(1, 6, rows),
        "CurrentResidenceDuration": rng.integers(1, 6, rows),
        "Age": np.clip(rng.normal(36, 10.6, rows), 19, 74).astype(np.int64),
        "ExistingCreditsCount": rng.integers(1, 4, rows),
        "Dependents": rng.integers(1, 3, rows),
    }
    logit = -0.6 + 0.04 * (columns["LoanDuration"] - 21) + 0.0002 * (columns["LoanAmount"] - 3480)
    logit = logit + 0.02 * (columns["Age"] - 36) + 0.25 * (columns["InstallmentPercent"] - 3)
    for name, levels in _CREDIT_LEVELS.items():
        columns[name], weight = _category(rng, rows, levels)
        logit = logit + weight
    return {name: columns[name] for name in _CREDIT_ORDER}, logit


def _fields(columns: Columns) -> tuple[Field, ...]:
    kinds = {"O": FieldType.STRING, "i": FieldType.INTEGER, "f": FieldType.DOUBLE, "b": FieldType.BOOLEAN}
    return tuple(
        Field(name, kinds[values.dtype.kind], categorical=values.dtype.kind == "O")
        for name, values in columns.items()
    )


CREDIT_RISK = Model(_fields(_draw_credit(np.random.default_rng(0), 1)[0]), ("No Risk", "Risk"), _draw_credit)

_STATES: Levels = {
    "CA": (0.2, 0.1), "TX": (0.17, 0.2), "FL": (0.13, 0.0), "NY": (0.13, 0.0), "NJ": (0.09, 0.3),
    "IL": (0.09, -0.1), "PA": (0.08, 0.0), "OH": (0.07, -0.1), "VA": (0.04, -0.4),
}  # fmt: skip
_CONTRACTS: Levels = {"Month-to-month": (0.55, 0.6), "One year": (0.21, -0.5), "Two year": (0.24, -1.2)}


def _minutes(rng: np.random.Generator, rows: int, mean: float) -> NDArray[np.float64]:
    return np.maximum(rng.normal(mean, mean / 4, rows), 0.0).round(1)


def _draw_churn(rng: np.random.Generator, rows: int) -> tuple[Columns, NDArray[np.float64]]:
    state, state_weight = _category(rng, rows, _STATES)
    contract, contract_weight = _category(rng, rows, _CONTRACTS)
    international, voice_mail = rng.random(rows) < 0.1, rng.random(rows) < 0.28
    calls = rng.poisson(1.5, rows)
    day = _minutes(rng, rows, 180.0)
    columns: Columns = {
        "state": state,
        "account_length": np.clip(rng.normal(101, 40, rows), 1, 243).astype(np.int64),
        "international_plan": international,
        "voice_mail_plan": voice_mail,
        "voice_mail_messages": np.where(voice_mail, rng.integers(4, 52, rows), 0),
        "day_minutes": day,
        "day_calls": rng.poisson(100, rows),
        "evening_minutes": _minutes(rng, rows, 201.0),
        "night_minutes": _minutes(rng, rows, 201.0),
        "international_minutes": _minutes(rng, rows, 10.3),
        "customer_service_calls": calls,
        "contract": contract,
    }
    logit = -1.4 + 0.013 * (day - 180) + 0.5 * (calls - 1.5) + 2.0 * international - 0.9 * voice_mail
    return columns, logit + state_weight + contract_weight


CHURN = Model(_fields(_draw_churn(np.random.default_rng(0), 1)[0]), (0, 1), _draw_churn)
