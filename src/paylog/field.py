"""A field of a model: its type and modeling role."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

RESERVED_NAMES = frozenset(
    {"scoring_id", "scoring_timestamp", "deployment_id", "asset_revision", "prediction_probability"}
)
"""Columns that every payload table has, whatever the model; no field may be named like one."""


class FieldType(StrEnum):
    """Type of a field, in OpenScale's words. ``array`` is a list of doubles (a probability vector)."""

    STRING = "string"
    INTEGER = "integer"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    ARRAY = "array"


class Role(StrEnum):
    """Modeling role, in OpenScale's words."""

    FEATURE = "feature"
    TARGET = "target"
    PREDICTION = "prediction"
    PROBABILITY = "probability"
    DECODED_TARGET = "decoded-target"
    META_FIELD = "meta-field"


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field. ``required`` rejects a null; ``categorical`` and ``categories`` are informative.

    :param sensitive: no value of it, not even a category's name, goes into a finding.
    """

    name: str
    type: FieldType
    role: Role = Role.FEATURE
    required: bool = False
    categorical: bool = False
    categories: tuple[str, ...] = ()
    sensitive: bool = False
