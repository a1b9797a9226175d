"""Regular records straight to payload columns, without a look at any cell in Python.

For most logs the native scanner can see to everything that ``normalize`` would: each column comes from
one slot of the pattern, and a record whose values are not just so is irregular. What this does not cover
(scores without a prediction, a time that is the object's, …) is left to ``normalize``.
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
from paylog.native.pattern import Cell, Pattern
from paylog.native.scanner import Scanned
from paylog.outputs import largest

TRANSACTION_ID = "transaction_id"
# A scoring time (µs since 1970) outside of this is none: most often seconds were taken for milliseconds.
EARLIEST = 0
LATEST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_VECTOR = "probability"
_CELLS = {
    FieldType.STRING: Cell.TEXT,
    FieldType.INTEGER: Cell.INTEGER,
    FieldType.DOUBLE: Cell.DOUBLE,
    FieldType.BOOLEAN: Cell.BOOLEAN,
    FieldType.TIMESTAMP: Cell.TIMESTAMP,
}
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
        self, found: Scanned, first: int, constants: Mapping[str, str | int | None], seed: int, repeated: Repeated
    ) -> pa.RecordBatch:
        """The record batch of scanned lines.

        :param first: position of the block's first line in its object.
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
    cells = {str(node.slot): node.cell for node in pattern.root.walk()}
    envelope = {
        "scoring_id": "event_id",
        "scoring_timestamp": "timestamp",
        "asset_revision": "revision",
        "_response_time": "response_time",
        "_transaction_id": TRANSACTION_ID if TRANSACTION_ID in cells else pattern.requests.get(TRANSACTION_ID),
    }
    slots = {column: slot for column, slot in envelope.items() if slot in cells}
    rules = {
        "event_id": Rule(Cell.FIRST_ROW, required=True),
        "timestamp": Rule(Cell.TIMESTAMP, required=True, span=(EARLIEST, LATEST - 1)),
        "response_time": Rule(Cell.ROUNDED),
    }
    inputs = {f: pattern.requests.get(f.name) for f in schema.inputs}
    outputs = {f: pattern.responses.get(by_meaning.get(f.name, f.name)) for f in schema.outputs[1:]}
    for field, slot in (inputs | outputs).items():
        if slot is not None:
            slots[field.name], rules[slot] = slot, Rule(_CELLS.get(field.type), required=field.required)
        elif field.required or field.role is Role.FEATURE:
            return None
    prediction = _prediction(schema, pattern.responses.get(by_meaning.get("prediction", "")))
    probability = _probability(schema, pattern, by_meaning)
    if prediction is None or probability is None:
        return None
    for found_slots, found_rules in (prediction, probability):
        slots |= found_slots
        rules |= found_rules
    cells |= {slot: rule.cell for slot, rule in rules.items() if rule.cell is not None}
    if not {"scoring_id", "scoring_timestamp"} <= set(slots) or not _of_right_types(schema, slots, cells):
        return None
    return RegularColumns(schema, slots, rules)


def headers_stand_out(schema: ModelSchema) -> bool:
    """Whether a CSV header that was scored as a row cannot pass for a row of values."""
    for field in schema.features:
        if field.type is not FieldType.STRING:
            column, bad = cast(pa.array([field.name]), field.type)
            if bad is not None or column.null_count:
                return True
    return False


_Found = tuple[dict[str, str], dict[str, Rule]]


def _prediction(schema: ModelSchema, slot: str | None) -> _Found | None:
    """Where the prediction comes from: column → slot, slot → rule."""
    field = schema.prediction
    if slot is None or field.type not in _CELLS:
        return None
    labels: list[str] | list[int] = []
    if schema.class_labels and schema.problem_type != "regression":
        labels = cast(pa.array(list(map(str, schema.class_labels))), field.type)[0].to_pylist()
        if field.type not in (FieldType.STRING, FieldType.INTEGER) or None in labels:
            return None
    return {field.name: slot}, {slot: Rule(_CELLS[field.type], required=True, labels=labels)}


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


def _of_right_types(schema: ModelSchema, slots: Mapping[str, str], cells: Mapping[str, Cell]) -> bool:
    types = {column.name: column.arrow_type for column in schema.columns}
    vectors = (pa.types.is_list(types[column]) for column in slots)
    return all(
        vector or TYPES[cells[slot]] == types[column]
        for (column, slot), vector in zip(slots.items(), vectors, strict=True)
    )
