"""The profile of training data: what it is, and its documented JSON.

Every figure is the same for the same rows, whatever their order, the size of the chunks, the format and
the store; only ``source`` says where they came from. Bounds of what a profile holds are in ``docs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from paylog.model_schema import FieldType, ModelSchema, Role

PROFILE_VERSION = 1


@dataclass(frozen=True, slots=True)
class DataVersion:
    """Which training data it was.

    :param location: ``cos://bucket/key``, ``file:///…`` or ``db2://SCHEMA.TABLE``; no credentials.
    :param version: changes when the data does: ETags, or Db2's alter time and row count.
    :param objects: objects read (Db2: 1).
    :param bytes: as stored (Db2: 0).
    """

    location: str
    version: str
    modified: datetime | None = None
    objects: int = 1
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column as the store has it: its own name and its own word for the type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Quarter:
    """The values of one quartile bin ``(low, high]``; the first one holds its low too."""

    count: int
    min: float
    max: float
    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class NumericProfile:
    """Figures of a column of numbers; timestamps are seconds since 1970 in UTC.

    :param std: of the sample (n - 1); 0 for one value.
    :param quantiles: ``"0.05"`` → value; within 0.4 % of a true one, exact up to 10,000 distinct values.
    :param edges: n + 1 rising edges of the histogram's bins ``(low, high]``; the first holds its low too.
        Bins hold about the same number of values each. One value only: ``[v, v]``.
    :param counts: n counts.
    :param quarters: of the quartiles; fewer where a value repeats over more than one.
    """

    min: float
    max: float
    mean: float
    std: float
    quantiles: Mapping[str, float]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    quarters: tuple[Quarter, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One declared field that the data has.

    :param count: values of the declared type. ``rows = count + nulls + misfits``.
    :param nulls: nulls, empty texts, NaN and infinities.
    :param misfits: values that are not of the declared type.
    :param distinct: of the values; exact up to 4,096, else an estimate within some 3 %.
    :param numeric: for integer, double and timestamp.
    :param categories: text → count, most frequent first, then by name; for strings, booleans, the label,
        fairness attributes and fields that are declared categorical. At most 1,000; then it is empty and
        ``other`` is ``count``.
    :param numeric_text: values of a text field that read as numbers (0 when there are no categories).
    :param damaged: texts that lost characters when they were converted (U+FFFD, U+001A) or were read in the
        wrong encoding (``Ã¤`` for ``ä``).
    :param same_as_label: rows in which the value is that of the label.
    """

    name: str
    type: FieldType
    role: Role
    count: int
    nulls: int
    misfits: int
    distinct: int
    categorical: bool = False
    sensitive: bool = False
    numeric: NumericProfile | None = None
    categories: Mapping[str, int] = field(default_factory=dict)
    other: int = 0
    numeric_text: int = 0
    damaged: int = 0
    same_as_label: int = 0


@dataclass(frozen=True, slots=True)
class GroupProfile:
    """A fairness attribute's groups against the label.

    :param labels: ``"majority"`` | ``"minority"`` | ``"other"`` → class label (regression: ``"favourable"``,
        ``"unfavourable"``, ``"other"``) → rows. Rows without the feature or the label are left out.
    :param values: value of the feature as text → class label → rows; empty beyond 1,000 values.
    """

    feature: str
    labels: Mapping[str, Mapping[str, int]]
    values: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def rows(self, group: str) -> int:
        """Rows of ``majority``, ``minority`` or ``other``."""
        return sum(self.labels.get(group, {}).values())


@dataclass(frozen=True, slots=True)
class Profile:
    """What training data is like.

    :param rows: rows profiled.
    :param rows_read: rows of the data; more than ``rows`` when a sample is profiled.
    :param columns: the declared fields that the data has, in declared order.
    :param found: all columns of the data, in the data's order; ``column 1``, ``column 2`` … without a header
        (:func:`has_names`), since what stands there are values.
    :param duplicate_rows: rows that repeat another one in all declared fields; exact up to 1,000,000
        distinct rows, else an estimate.
    :param content_hash: 32 hex digits over the multiset of rows (declared fields by name).
    :param schema_version: ``ModelSchema.version`` that it was made for.
    """

    rows: int
    rows_read: int
    columns: tuple[ColumnProfile, ...]
    found: tuple[SourceColumn, ...]
    content_hash: str
    duplicate_rows: int
    schema_version: str
    source: DataVersion
    groups: tuple[GroupProfile, ...] = ()
    sample_share: float | None = None
    sample_seed: int | None = None
    version: int = PROFILE_VERSION

    def column(self, name: str) -> ColumnProfile | None:
        """The field of that name, if the data has it."""
        return next((c for c in self.columns if c.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON; ``from_dict`` reads it back."""
        document = asdict(self)
        modified = self.source.modified
        document["source"]["modified"] = modified.isoformat() if modified else None
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Profile:
        """:raises ValueError: a version of the format that this paylog does not know."""
        if document.get("version") != PROFILE_VERSION:
            raise ValueError(f"a profile of version {document.get('version')!r}; known: {PROFILE_VERSION}")
        parts = dict(document)
        modified = document["source"]["modified"]
        source = dict(document["source"], modified=datetime.fromisoformat(modified) if modified else None)
        parts |= {
            "columns": tuple(_column(c) for c in document["columns"]),
            "found": tuple(SourceColumn(**c) for c in document["found"]),
            "groups": tuple(GroupProfile(**g) for g in document["groups"]),
            "source": DataVersion(**source),
        }
        return cls(**parts)


def _column(document: Mapping[str, Any]) -> ColumnProfile:
    numeric = document["numeric"]
    kinds = {"type": FieldType(document["type"]), "role": Role(document["role"])}
    return ColumnProfile(**dict(document) | kinds | {"numeric": _numeric(numeric) if numeric else None})


def _numeric(document: Mapping[str, Any]) -> NumericProfile:
    sequences = {key: tuple(document[key]) for key in ("edges", "counts")}
    quarters = tuple(Quarter(**quarter) for quarter in document["quarters"])
    return NumericProfile(**dict(document) | sequences | {"quarters": quarters})


def has_names(found: Sequence[SourceColumn], schema: ModelSchema) -> bool:
    """Whether these are names: at least half of the features are among them, in whatever spelling."""
    names = {letters(column.name) for column in found}
    known = sum(letters(feature.name) in names for feature in schema.features)
    return 2 * known >= len(schema.features)


def letters(name: str) -> str:
    """A name without what people write differently: case, spaces, punctuation."""
    return "".join(c for c in name.casefold() if c.isalnum())
