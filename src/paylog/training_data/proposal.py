"""A model schema proposed from training data, as commented YAML for a person to review."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from paylog.errors import ConfigurationError
from paylog.model_schema import FieldType
from paylog.subscription.section import did_you_mean
from paylog.training_data.typed import typed

if TYPE_CHECKING:
    from paylog.training_data import TrainingData

# In this order: the first type that all values fit is proposed.
_CANDIDATES = (
    FieldType.INTEGER,
    FieldType.DOUBLE,
    FieldType.BOOLEAN,
    FieldType.TIMESTAMP,
    FieldType.STRING,
)
_PLAIN = re.compile(r"[A-Za-z_]([A-Za-z0-9_ -]*[A-Za-z0-9_])?")
_NO_TEXT = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf"})
_MOST_VALUES = 1_000
_LISTED = 20
_MOST_LABELS = 50
_NAMES_OF_LABELS = ("label", "target", "class", "y", "outcome")


@dataclass(slots=True)
class _Seen:
    """What was seen of one column. ``values`` is None when there were too many to keep."""

    name: str
    candidates: list[FieldType] = field(default_factory=lambda: list(_CANDIDATES))
    nulls: int = 0
    rows: int = 0
    values: Counter[str] | None = field(default_factory=Counter)

    def add(self, column: pa.Array) -> None:
        self.rows += len(column)
        zone = ZoneInfo("UTC")
        self.candidates = [kind for kind in self.candidates if typed(column, kind, zone).misfits is None]
        texts = typed(column, FieldType.STRING, zone).values
        self.nulls += texts.null_count
        if self.values is None:
            return
        for entry in pc.value_counts(texts.cast(pa.string()).drop_null()):
            self.values[entry["values"].as_py()] += entry["counts"].as_py()
            if len(self.values) > _MOST_VALUES:
                self.values = None
                return

    @property
    def type(self) -> FieldType:
        return self.candidates[0] if self.candidates and self.nulls < self.rows else FieldType.STRING

    @property
    def categories(self) -> list[str] | None:
        """Names of categories; None for what looks like quantities or free text."""
        few = self.values is not None and len(self.values) <= max(2, self.rows // 10)
        return sorted(self.values or ()) if few and self.type is FieldType.STRING else None

    @property
    def said(self) -> str:
        """A comment."""
        kinds = f"{len(self.values):,} values" if self.values is not None else f"over {_MOST_VALUES:,} values"
        parts = [kinds, *([f"{self.nulls:,} nulls"] if self.nulls else [])]
        if self.nulls == self.rows:
            return "all null: is it a feature?"
        if self.values is not None and len(self.values) == 1:
            parts.append("constant: is it a feature?")
        elif self.values is None and self.type is FieldType.STRING:
            parts.append("an id or free text: is it a feature?")
        return ", ".join(parts)


def proposed_schema(data: TrainingData, label: str | None = None, most_rows: int = 100_000) -> str:
    """The ``model_schema`` section for training data, as YAML with comments.

    :param label: name of the label; guessed when left out: a column of a usual name, else the last one.
    :param most_rows: so many rows are looked at.
    :raises ConfigurationError: there are no columns, or none of that name.
    """
    columns, rows = _look(data, most_rows)
    names = [seen.name for seen in columns]
    target = _label(columns, label)
    said = "as asked" if label else "a guess: name it with --label"
    lines = [
        f"# Proposed by paylog from {rows:,} rows of {data.version.location}. Review every line:",
        "# order of the features (it is that of positional requests), types, categories, class labels.",
        "model_schema:",
        *_target_lines(target),
        "  fields:",
        *(_field_line(seen) for seen in columns if seen is not target),
        f"    - {{name: {_quoted(target.name)}, type: {_label_type(target)}, role: target}}  # {said}",
        *_output_lines(target, names),
    ]
    return "\n".join(lines) + "\n"


def _look(data: TrainingData, most_rows: int) -> tuple[list[_Seen], int]:
    columns = [_Seen(column.name) for column in data.columns]
    rows = 0
    for chunk in data.chunks([seen.name for seen in columns]):
        chunk = chunk.slice(0, most_rows - rows)
        for seen, column in zip(columns, chunk.columns, strict=True):
            seen.add(column)
        rows += chunk.num_rows
        if rows >= most_rows:
            break
    if len(columns) < 2 or not rows:
        raise ConfigurationError(f"{data.version.location} has no rows of features and label to propose from")
    return columns, rows


def _label(columns: Sequence[_Seen], wanted: str | None) -> _Seen:
    by_name = {seen.name: seen for seen in columns}
    if wanted is None:
        usual = (seen for name, seen in by_name.items() if name.lower() in _NAMES_OF_LABELS)
        return next(usual, columns[-1])
    if wanted not in by_name:
        hint = did_you_mean(wanted, by_name) or f"; there are {', '.join(by_name)}"
        raise ConfigurationError(f"--label {wanted!r}: the training data has no such column{hint}")
    return by_name[wanted]


def _classes(target: _Seen) -> list[str] | None:
    """Class labels in the order of numbers or letters; None for a regression."""
    few = target.values is not None and len(target.values) <= _MOST_LABELS
    if not few or target.type not in (FieldType.STRING, FieldType.INTEGER, FieldType.BOOLEAN):
        return None
    values = list(target.values or ())
    return sorted(values, key=int) if target.type is FieldType.INTEGER else sorted(values)


def _label_type(target: _Seen) -> str:
    if _classes(target) is None:
        return FieldType.DOUBLE.value
    return FieldType.INTEGER.value if target.type is FieldType.INTEGER else FieldType.STRING.value


def _target_lines(target: _Seen) -> Iterator[str]:
    classes = _classes(target)
    if classes is None:
        yield "  problem_type: regression"
        return
    yield f"  problem_type: {'binary' if len(classes) == 2 else 'multiclass'}"
    whole = target.type is FieldType.INTEGER
    labels = ", ".join(str(int(x)) if whole else _quoted(x) for x in classes)
    yield f"  class_labels: [{labels}]  # put them in the order of the model's probability vector"


def _field_line(seen: _Seen) -> str:
    parts = [f"name: {_quoted(seen.name)}", f"type: {seen.type}"]
    if not seen.nulls:
        parts.append("required: true")
    categories = seen.categories
    if categories is not None:
        parts.append("categorical: true")
        if len(categories) <= _LISTED:
            parts.append(f"categories: [{', '.join(map(_quoted, categories))}]")
    return f"    - {{{', '.join(parts)}}}  # {seen.said}"


def _output_lines(target: _Seen, names: Sequence[str]) -> Iterator[str]:
    taken = {name.lower() for name in names}
    prediction = "prediction" if "prediction" not in taken else "model_prediction"
    kind = _label_type(target)
    yield f"    - {{name: {prediction}, type: {kind}, role: prediction}}  # of the label's type"
    if _classes(target) is not None:
        probability = "probability" if "probability" not in taken else "model_probability"
        yield f"    - {{name: {probability}, type: array, role: probability}}  # remove it if there is none"


def _quoted(text: str) -> str:
    """A YAML scalar in a flow mapping: quoted where YAML would take it for something else than text."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT
    return text if plain else json.dumps(text, ensure_ascii=False)
