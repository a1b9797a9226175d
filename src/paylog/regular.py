"""Regular records straight to payload columns, without a look at any cell in Python.

For most logs the native scanner can see to everything that ``normalize`` would: each column comes from
one slot of the pattern, and a record whose values are not just so is irregular. What this does not cover
(scores without a prediction, ids of rows, a time that is the object's, …) is left to ``normalize``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from paylog import identity
from paylog.casts import cast
from paylog.field import FieldType, Role
from paylog.model_schema import ModelSchema
from paylog.native.columns import TYPES, Element, Rule
from paylog.native.pattern import CELLS, Cell, Pattern
from paylog.native.scanner import Scanned
from paylog.outputs import largest

TRANSACTION_ID = "transaction_id"
# A scoring time (µs since 1970) outside of this is none: most often seconds were taken for milliseconds.
EARLIEST = 0
LATEST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_VECTOR = "probability"
# Column → slot, slot → rule.
_Found = tuple[dict[str, str], dict[str, Rule]]
Constants = Mapping[str, str | int | None]
Repeated = Callable[[str | int | None, pa.DataType, int], pa.Array]


@dataclass(frozen=True, slots=True)
class RegularColumns:
    """Where the payload columns of records of one pattern come from.

    :param slots: payload column → slot or vector; the others are constants or made of these.
    :param rules: what the scanner has to see to, by slot.
    """

    schema: ModelSchema
    slots: Mapping[str, str]
    rules: Mapping[str, Rule]

    def batch(
        self, found: Scanned, first: int, seed: int, constants: Constants, repeated: Repeated
    ) -> pa.RecordBatch:
        """The record batch of scanned lines.

        :param first: position of the block's first line in its object.
        :param seed: of the record ids.
        :param constants: values of the columns that hold one each; null in those not named.
        :param repeated: makes a column of one value.
        """
        count = len(found.lines)
        columns = {name: found.columns[slot] for name, slot in self.slots.items()}
        columns["_record_id"] = identity.record_ids(columns["scoring_id"], seed)
        columns["_position"] = pa.array(found.lines + first)
        if self.schema.probability:
            columns["prediction_probability"] = largest(columns[self.schema.probability.name])
        return pa.RecordBatch.from_arrays(
            [
                columns[c.name] if c.name in columns else repeated(constants.get(c.name), c.arrow_type, count)
                for c in self.schema.columns
            ],
            schema=self.schema.arrow_schema,
        )


def regular_columns(
    schema: ModelSchema, pattern: Pattern, by_meaning: Mapping[str, str]
) -> RegularColumns | None:
    """How records of this pattern become payload columns; None: ``normalize`` has to do it.

    :param by_meaning: ``prediction``, ``probability``, ``P(<label>)`` or field → response column.
    """
    slots: dict[str, str] = {}
    rules: dict[str, Rule] = {}
    for found in (
        _envelope(pattern),
        _fields(schema, pattern, by_meaning),
        _prediction(schema, pattern.responses.get(by_meaning.get("prediction", ""))),
        _probability(schema, pattern, by_meaning),
    ):
        if found is None:
            return None
        slots |= found[0]
        rules |= found[1]
    return RegularColumns(schema, slots, rules) if _of_right_types(schema, pattern, slots, rules) else None


def headers_stand_out(schema: ModelSchema) -> bool:
    """Whether a CSV header that was scored as a row cannot pass for a row of values."""
    for field in schema.features:
        if field.type is not FieldType.STRING:
            column, bad = cast(pa.array([field.name]), field.type)
            if bad is not None or column.null_count:
                return True
    return False


def _envelope(pattern: Pattern) -> _Found | None:
    """What the engine says of a record, but for its bodies."""
    there = {node.slot for node in pattern.root.walk()}
    of_request = pattern.requests.get(TRANSACTION_ID)
    slots = {
        "scoring_id": "event_id",
        "scoring_timestamp": "timestamp",
        "asset_revision": "revision",
        "_response_time": "response_time",
        "_transaction_id": TRANSACTION_ID if TRANSACTION_ID in there else of_request,
    }
    rules = {
        "event_id": Rule(Cell.FIRST_ROW, required=True),
        "timestamp": Rule(Cell.TIMESTAMP, required=True, span=(EARLIEST, LATEST - 1)),
        "response_time": Rule(Cell.ROUNDED),
    }
    if pattern.row_ids or not there.issuperset({"event_id", "timestamp"}):
        return None
    return {column: slot for column, slot in slots.items() if slot is not None and slot in there}, rules


def _fields(schema: ModelSchema, pattern: Pattern, by_meaning: Mapping[str, str]) -> _Found | None:
    """Features, meta-fields, and what else than the prediction the response may carry."""
    slots, rules = {}, {}
    found = {field: pattern.requests.get(field.name) for field in schema.inputs}
    for field in schema.outputs[1:]:
        found[field] = pattern.responses.get(by_meaning.get(field.name, field.name))
    for field, slot in found.items():
        if slot is not None:
            slots[field.name], rules[slot] = slot, Rule(CELLS.get(field.type), required=field.required)
        elif field.required or field.role is Role.FEATURE:
            return None
    return slots, rules


def _prediction(schema: ModelSchema, slot: str | None) -> _Found | None:
    field = schema.prediction
    if slot is None or field.type not in CELLS:
        return None
    labels: list[str] | list[int] = []
    if schema.class_labels and schema.problem_type != "regression":
        labels = cast(pa.array(list(map(str, schema.class_labels))), field.type)[0].to_pylist()
        if field.type not in (FieldType.STRING, FieldType.INTEGER) or None in labels:
            return None
    return {field.name: slot}, {slot: Rule(CELLS[field.type], required=True, labels=labels)}


def _probability(schema: ModelSchema, pattern: Pattern, by_meaning: Mapping[str, str]) -> _Found | None:
    """Where the probabilities come from: a vector, or a score a class. Of two scores, one is enough."""
    if schema.probability is None:
        return {}, {}
    name, labels = schema.probability.name, schema.class_labels
    columns = [by_meaning.get(f"P({label})", f"P({label})") for label in labels]
    scores = [pattern.responses.get(column) for column in columns]
    vector = pattern.responses.get(by_meaning.get("probability", ""))
    if vector is not None:
        elements = {node.elements for node in pattern.root.walk() if node.slot == vector}
        if labels and elements != {len(labels)}:
            return None
        return {name: vector}, {score: Rule(Cell.DOUBLE) for score in scores if score is not None}
    lacking = scores.count(None)
    if not labels or lacking > (len(labels) == 2):
        return None
    rules = {}
    for i, score in enumerate(scores):
        if score is not None:
            element = Element(_VECTOR, i, len(labels), 1 - i if lacking else -1)
            rules[score] = Rule(Cell.DOUBLE, required=True, element=element)
    return {name: _VECTOR}, rules


def _of_right_types(
    schema: ModelSchema, pattern: Pattern, slots: Mapping[str, str], rules: Mapping[str, Rule]
) -> bool:
    cells = {str(node.slot): node.cell for node in pattern.root.walk()}
    cells |= {slot: rule.cell for slot, rule in rules.items() if rule.cell is not None}
    types = {column.name: column.arrow_type for column in schema.columns}
    vector = schema.probability.name if schema.probability else None
    return all(column == vector or TYPES[cells[slot]] == types[column] for column, slot in slots.items())
