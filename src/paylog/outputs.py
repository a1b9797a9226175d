"""Response columns → prediction, probability vector and winning probability."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from paylog.casts import cast
from paylog.codecs import Mask, Rows, Side
from paylog.errors import Reason
from paylog.model_schema import ARROW_TYPES, FieldType, ModelSchema


@dataclass(slots=True)
class Faults:
    """The first fault of each row, as (reason, column); a row without an entry is good."""

    rows: int
    found: dict[int, tuple[Reason, str | None]] = field(default_factory=dict)

    def add(self, bad: Mask | None, reason: Reason, column: str | None = None) -> None:
        if bad is not None:
            for row in np.flatnonzero(bad):
                self.found.setdefault(int(row), (reason, column))

    def good(self) -> Mask | None:
        """One flag a row; None when every row is good."""
        if not self.found:
            return None
        good = np.ones(self.rows, bool)
        good[list(self.found)] = False
        return good


class Outputs:
    """How a response's columns become the payload columns of a model schema."""

    def __init__(self, schema: ModelSchema, zone: ZoneInfo | None = None) -> None:
        self.schema = schema
        self.zone = zone
        self.by_meaning = self._mapping()
        self.labels = [str(label) for label in schema.class_labels]
        self._label_array = cast(pa.array(self.labels, pa.string()), schema.prediction.type)[0]

    def _mapping(self) -> dict[str, str]:
        """Meaning → response column. Unless declared, the response names the fields themselves."""
        if self.schema.response:
            return {meaning: column for column, meaning in self.schema.response if meaning != "ignore"}
        prediction, *others = self.schema.outputs
        fields = {"prediction": prediction.name} | {f.name: f.name for f in others}
        if self.schema.probability:
            fields["probability"] = self.schema.probability.name
        return fields

    def types(self) -> dict[str, FieldType]:
        """Type of each response column that is of use."""
        types: dict[str, FieldType] = {}
        for meaning, column in self.by_meaning.items():
            if meaning == "prediction":
                types[column] = self.schema.prediction.type
            elif meaning == "probability":
                types[column] = FieldType.ARRAY
            elif meaning.startswith("P("):
                types[column] = FieldType.DOUBLE
            else:
                types[column] = next(f.type for f in self.schema.fields if f.name == meaning)
        return types

    def side(self) -> Side:
        """What a codec has to look for in a response."""
        types = self.types()
        return Side(
            positional=self._positional(),
            wanted=tuple(dict.fromkeys((*types, *self._scores()))),
            arrays=frozenset(c for c, kind in types.items() if kind is FieldType.ARRAY),
            types=tuple(types.items()),
        )

    def _vectors(self, rows: Rows, faults: Faults) -> pa.Array | None:
        assert self.schema.probability is not None
        if (tokens := rows.columns.get(self.by_meaning.get("probability", ""))) is None:
            return None
        vectors, bad = cast(tokens, FieldType.ARRAY)
        faults.add(bad, Reason.TYPE_MISMATCH, self.schema.probability.name)
        return self._of_right_length(vectors, faults)

    def _positional(self) -> tuple[str, ...]:
        """Columns of a CSV response: as declared, else prediction and the vector cell by cell."""
        if self.schema.response:
            return tuple(column for column, _ in self.schema.response)
        return (self.schema.prediction.name, *self._scores())

    def _scores(self) -> tuple[str, ...]:
        """Columns of the vector's cells in an undeclared CSV response."""
        if self.schema.response or not self.schema.probability:
            return ()
        return tuple(f"P({label})" for label in self.schema.class_labels)

    def columns(self, rows: Rows, count: int, faults: Faults) -> dict[str, pa.Array]:
        """Payload columns of ``count`` rows; what does not fit is noted in ``faults``."""
        schema = self.schema
        probability = self._probability(rows, count, faults)
        prediction = self._prediction(rows, count, probability, faults)
        found = {schema.prediction.name: prediction}
        for declared in schema.outputs[1:]:
            tokens = rows.columns.get(self.by_meaning.get(declared.name, declared.name))
            if tokens is None:
                found[declared.name] = pa.nulls(count, ARROW_TYPES[declared.type])
                continue
            found[declared.name], bad = cast(tokens, declared.type, self.zone)
            faults.add(bad, Reason.TYPE_MISMATCH, declared.name)
        if schema.probability:
            found[schema.probability.name] = probability
            found["prediction_probability"] = largest(probability)
        return found

    def _prediction(self, rows: Rows, count: int, probability: pa.Array | None, faults: Faults) -> pa.Array:
        declared = self.schema.prediction
        column = self.by_meaning.get("prediction")
        if column is None:
            prediction = self._most_probable(probability, count)
        elif (tokens := rows.columns.get(column)) is None:
            prediction = pa.nulls(count, ARROW_TYPES[declared.type])
        else:
            prediction, bad = cast(tokens, declared.type, self.zone)
            faults.add(bad, Reason.TYPE_MISMATCH, declared.name)
        if prediction.null_count:
            faults.add(_flags(prediction.is_null()), Reason.MISSING_PREDICTION, declared.name)
        if self.labels and self.schema.problem_type != "regression":
            known = pc.is_in(prediction, self._label_array)
            if not pc.all(known).as_py():
                faults.add(~_flags(known), Reason.UNKNOWN_CLASS, declared.name)
        return prediction

    def _most_probable(self, probability: pa.Array | None, count: int) -> pa.Array:
        """A response that is declared to hold scores only: the label of the largest probability."""
        kind = ARROW_TYPES[self.schema.prediction.type]
        if probability is None or not self.labels:
            return pa.nulls(count, kind)
        winners = np.zeros(count, np.int64)
        valid = _flags(probability.is_valid())
        vectors = probability.drop_null().flatten().to_numpy().reshape(-1, len(self.labels))
        winners[valid] = vectors.argmax(axis=1)
        return self._label_array.take(pa.array(winners, mask=~valid))

    def _probability(self, rows: Rows, count: int, faults: Faults) -> pa.Array | None:
        """A row's vector, else its scores by class."""
        if self.schema.probability is None:
            return None
        scores: dict[str, pa.Array] = {}
        for label in self.labels:
            column = self.by_meaning.get(f"P({label})", f"P({label})")
            if (tokens := rows.columns.get(column)) is not None:
                scores[label], bad = cast(tokens, FieldType.DOUBLE)
                faults.add(bad, Reason.TYPE_MISMATCH, self.schema.probability.name)
        vectors = self._vectors(rows, faults)
        if vectors is None:
            return self._interleaved(scores, count)
        if scores and vectors.null_count:
            vectors = pc.if_else(vectors.is_valid(), vectors, self._interleaved(scores, count))
        return vectors

    def _of_right_length(self, vectors: pa.Array, faults: Faults) -> pa.Array:
        lengths = pc.list_value_length(vectors)
        if self.labels and not pc.all(pc.equal(lengths, len(self.labels))).as_py():
            wrong = pc.not_equal(lengths, len(self.labels))
            name = self.schema.probability.name if self.schema.probability else None
            faults.add(_flags(wrong), Reason.PROBABILITY_MISMATCH, name)
            vectors = pc.if_else(wrong, pa.scalar(None, vectors.type), vectors)
        return _without_gaps(vectors)

    def _interleaved(self, scores: dict[str, pa.Array], count: int) -> pa.Array:
        """One score a class → vectors. Of two classes, one is enough: the other is the rest."""
        if len(self.labels) == 2 and scores:
            first, second = (scores.get(label, pa.nulls(count, pa.float64())) for label in self.labels)
            pair = pc.coalesce(first, pc.subtract(1.0, second)), pc.coalesce(second, pc.subtract(1.0, first))
            scores = dict(zip(self.labels, pair, strict=True))
        if len(scores) != len(self.labels) or not scores:
            return pa.nulls(count, ARROW_TYPES[FieldType.ARRAY])
        ordered = [scores[label] for label in self.labels]
        values = np.stack([score.to_numpy(zero_copy_only=False) for score in ordered], axis=1)
        offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
        gaps = np.isnan(values).any(axis=1)
        mask = pa.array(gaps) if gaps.any() else None
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()), mask=mask)


def _without_gaps(vectors: pa.Array) -> pa.Array:
    """A vector with a null (NaN) in it says nothing: it becomes null whole."""
    values = vectors.flatten()
    if not values.null_count:
        return vectors
    lengths = pc.fill_null(pc.list_value_length(vectors), 0).to_numpy()
    gaps = np.zeros(len(vectors), bool)
    gaps[np.repeat(np.arange(len(vectors)), lengths)[_flags(values.is_null())]] = True
    return pc.if_else(pa.array(gaps), pa.scalar(None, vectors.type), vectors)


def largest(vectors: pa.Array) -> pa.Array:
    """The winning class's probability of each vector; null for a null or empty one."""
    values = vectors.flatten().to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(vectors)
    if not vectors.null_count and len(values) and pc.all(pc.equal(lengths, width := lengths[0])).as_py():
        return pa.array(reduce(np.maximum, values.reshape(-1, width.as_py()).T))
    valid = _flags(pc.greater(lengths, 0))
    largest = np.zeros(len(vectors))
    if valid.any():
        sizes = lengths.to_numpy(zero_copy_only=False)[valid].astype(np.int64)
        largest[valid] = np.maximum.reduceat(values, np.concatenate(([0], np.cumsum(sizes)[:-1])))
    return pa.array(largest, mask=None if valid.all() else ~valid)


def _flags(flags: pa.Array) -> Mask:
    return np.asarray(pc.fill_null(flags, False).to_numpy(zero_copy_only=False), bool)
