"""The ``judgement`` section: how payload records are held against the training data's profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import Field, SerializerFunctionWrapHandler, StrictInt, model_serializer

from paylog.subscription.names import Text
from paylog.subscription.section import Problem, Section, did_you_mean
from paylog.subscription.training_data import FindingSeverity

Share = Annotated[float, Field(ge=0, le=1)]


class Gate(StrEnum):
    """What a finding of severity error does to its batch."""

    WARN = "warn"
    ERROR = "error"


class Limits(NamedTuple):
    """What holds for one column. None: not judged."""

    unseen: float | None
    out_of_range: float | None
    missing: float | None
    type_drift: float | None
    distance: float | None
    severity: FindingSeverity


class ColumnJudgement(Section):
    """What is different for one column; what is left out is as for all."""

    unseen: Share | None = Field(default=None, description="As for all columns; null: not judged.")
    out_of_range: Share | None = Field(default=None, description="As for all columns; null: not judged.")
    missing: Share | None = Field(default=None, description="As for all columns; null: not judged.")
    type_drift: Share | None = Field(default=None, description="As for all columns; null: not judged.")
    distance: Share | None = Field(default=None, description="As for all columns; null: not judged.")
    severity: FindingSeverity = Field(
        default=FindingSeverity.WARNING, description="Of this column's findings. ignore: it is not judged."
    )

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Only what is given, since null means something."""
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}


class Judgement(Section):
    """How far payload records may be from the training data; shares are of the rows of a batch."""

    gate: Gate = Field(
        default=Gate.WARN,
        description="error: a finding of severity error rolls its batch back. warn: every batch loads.",
    )
    severity: FindingSeverity = Field(
        default=FindingSeverity.WARNING, description="Of the findings, where a column does not say otherwise."
    )
    min_rows: Annotated[StrictInt, Field(ge=1)] = Field(
        default=500, description="Of fewer rows neither a share nor a distance is judged, only single rows."
    )
    unseen: Share | None = Field(
        default=0.0, description="Share of rows with a category that the training data does not have."
    )
    out_of_range: Share | None = Field(
        default=0.01, description="Share of rows outside the training data's minimum and maximum."
    )
    missing: Share | None = Field(default=0.05, description="Share of nulls above that of the training data.")
    type_drift: Share | None = Field(
        default=0.0,
        description="Share of rows of another kind: rejected for their type, or fractions where the training "
        "data has whole numbers.",
    )
    distance: Share | None = Field(
        default=0.1, description="Jensen-Shannon distance of a feature's distribution, 0 to 1."
    )
    columns: dict[Text, ColumnJudgement] = Field(
        default_factory=dict, description="Feature → what is different for it."
    )

    def limits(self, column: str) -> Limits:
        """What holds for a column."""
        own = self.columns.get(column)
        given = own.model_fields_set if own is not None else frozenset()
        return Limits(**{name: getattr(own if name in given else self, name) for name in Limits._fields})

    @classmethod
    def contradictions(cls, data: Mapping[Any, Any]) -> Iterator[Problem]:
        columns = data.get("columns")
        own = columns.values() if isinstance(columns, Mapping) else ()
        severities = [data.get("severity"), *(c.get("severity") for c in own if isinstance(c, Mapping))]
        if data.get("gate") == Gate.ERROR and FindingSeverity.ERROR not in severities:
            yield Problem(
                ("gate",), "no finding can be an error: say severity: error, for all columns or for some"
            )


def without_training_data(data: Mapping[Any, Any]) -> Iterator[Problem]:
    """What a subscription asks for that takes training data, where it names none."""
    usual = (None, Judgement(), Judgement().model_dump(mode="json"))
    for key in ("require", "judgement"):
        asked = data.get(key)
        if data.get("training_data") is None and asked and asked not in usual:
            yield Problem((key,), "there is no training data to hold anything against: declare training_data")


def unknown_columns(data: Mapping[Any, Any]) -> Iterator[Problem]:
    """Columns to judge that the model schema does not have."""
    judgement, schema = data.get("judgement"), data.get("model_schema")
    columns = judgement.get("columns") if isinstance(judgement, Mapping) else None
    fields = schema.get("fields") if isinstance(schema, Mapping) else None
    if not isinstance(columns, Mapping) or not isinstance(fields, list | tuple):
        return
    names = [field.get("name") for field in fields if isinstance(field, Mapping)]
    for column in columns:
        if column not in names:
            hint = did_you_mean(column, names)
            yield Problem(("judgement", "columns", str(column)), f"{column!r} is no declared field{hint}")
