"""The ``judgement`` section: how payload records are held against the training data's profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import Field, StrictInt

from paylog.subscription.names import Text
from paylog.subscription.section import Problem, Section
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
