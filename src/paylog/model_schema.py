"""The model schema: fields with type and modeling role → payload columns, Arrow and PostgreSQL.

Column order and names follow OpenScale's payload table; columns that are paylog's own start with ``_``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from paylog.field import RESERVED_NAMES as RESERVED_NAMES
from paylog.field import Field as Field
from paylog.field import FieldType as FieldType
from paylog.field import Role as Role


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the payload table, in table order."""

    name: str
    arrow_type: pa.DataType
    pg_type: str
    nullable: bool = True


TIMESTAMP = pa.timestamp("us", tz="UTC")
ARROW_TYPES: dict[FieldType, pa.DataType] = {
    FieldType.STRING: pa.string(),
    FieldType.INTEGER: pa.int64(),
    FieldType.DOUBLE: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.TIMESTAMP: TIMESTAMP,
    FieldType.ARRAY: pa.list_(pa.float64()),
}
PG_TYPES: dict[FieldType, str] = {
    FieldType.STRING: "text",
    FieldType.INTEGER: "bigint",
    FieldType.DOUBLE: "double precision",
    FieldType.BOOLEAN: "boolean",
    FieldType.TIMESTAMP: "timestamp with time zone",
    FieldType.ARRAY: "double precision[]",
}
_LEADING = (
    Column("scoring_id", pa.string(), "text", nullable=False),
    Column("scoring_timestamp", TIMESTAMP, "timestamp with time zone", nullable=False),
    Column("deployment_id", pa.string(), "text", nullable=False),
    Column("asset_revision", pa.string(), "text"),
)
PREDICTION_PROBABILITY = Column("prediction_probability", pa.float64(), "double precision")
_INTERNAL = (
    Column("_record_id", pa.binary(16), "uuid", nullable=False),
    Column("_object_id", pa.int64(), "bigint", nullable=False),
    Column("_position", pa.int64(), "bigint", nullable=False),
    Column("_transaction_id", pa.string(), "text"),
    Column("_response_time", pa.int64(), "bigint"),
    Column("_timestamp_approximate", pa.bool_(), "boolean"),
    Column("_partner_id", pa.int64(), "bigint"),
    Column("_partner_position", pa.int64(), "bigint"),
)


@dataclass(frozen=True)
class ModelSchema:
    """What a model takes and gives.

    :param class_labels: in the order of the probability vector, as the prediction writes them.
    :param response: response column → ``prediction``, ``probability``, ``P(<class label>)`` or a
        field name; its order is that of positional (CSV) responses. Empty: the fields themselves.
    """

    fields: tuple[Field, ...]
    class_labels: tuple[str | int, ...] = ()
    problem_type: str = "binary"
    response: tuple[tuple[str, str], ...] = ()

    def of_role(self, role: Role) -> tuple[Field, ...]:
        """The fields of one modeling role, in declared order."""
        return tuple(f for f in self.fields if f.role is role)

    @cached_property
    def features(self) -> tuple[Field, ...]:
        return self.of_role(Role.FEATURE)

    @cached_property
    def prediction(self) -> Field:
        return self.of_role(Role.PREDICTION)[0]

    @cached_property
    def probability(self) -> Field | None:
        return next(iter(self.of_role(Role.PROBABILITY)), None)

    @cached_property
    def inputs(self) -> tuple[Field, ...]:
        """What the request may carry, features first."""
        return (*self.features, *self.of_role(Role.META_FIELD))

    @cached_property
    def outputs(self) -> tuple[Field, ...]:
        """Prediction, then every other field that the response may carry, before probability."""
        return (self.prediction, *self.of_role(Role.DECODED_TARGET))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The payload table's columns, in order (OpenScale's, then paylog's own)."""
        declared = [*self.features, *self.outputs]
        if self.probability:
            declared.append(self.probability)
        trailing = (PREDICTION_PROBABILITY,) if self.probability else ()
        meta = self.of_role(Role.META_FIELD)
        return (
            *_LEADING,
            *(_column(f) for f in declared),
            *trailing,
            *(_column(f) for f in meta),
            *_INTERNAL,
        )

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """Arrow schema of a record batch, in table order."""
        return pa.schema([pa.field(c.name, c.arrow_type, c.nullable) for c in self.columns])

    @cached_property
    def version(self) -> str:
        """Short fingerprint: two schemas with the same columns and labels share it."""
        text = json.dumps(
            [[f.name, f.type, f.role, f.required] for f in self.fields]
            + [list(self.class_labels), list(self.response)]
        )
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _column(field: Field) -> Column:
    required = field.required or field.role is Role.PREDICTION
    return Column(field.name, ARROW_TYPES[field.type], PG_TYPES[field.type], nullable=not required)
