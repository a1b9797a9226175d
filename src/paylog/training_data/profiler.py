"""Training data → its profile, in one pass and bounded memory."""

from __future__ import annotations

import hashlib
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from paylog.errors import StopError
from paylog.model_schema import Field, Role
from paylog.subscription import Subscription
from paylog.training_data import TrainingData
from paylog.training_data.column_tally import ColumnTally
from paylog.training_data.group_tally import GroupTally
from paylog.training_data.hash_sample import Hashes, HashSample, cell_hashes, mixed, salt
from paylog.training_data.profile import Profile, SourceColumn, has_names
from paylog.training_data.typed import TypedColumn, typed

_ROWS = 1 << 20
_LANE = np.uint64(0xD6E8FEB86659FD93)


def profiled(data: TrainingData, subscription: Subscription) -> Profile:
    """See :func:`paylog.training_data.profile`."""
    tally = _Tally(data, subscription)
    for chunk in data.chunks(tally.names):
        tally.add(chunk)
    return tally.profile()


def expected_fields(subscription: Subscription) -> list[Field]:
    """The fields that training data has: all but what the model gives, in declared order."""
    outputs = (Role.PREDICTION, Role.PROBABILITY)
    return [f for f in subscription.model_schema.fields if f.role not in outputs]


class _Tally:
    """All columns of some training data, chunk by chunk."""

    def __init__(self, data: TrainingData, subscription: Subscription) -> None:
        reference = subscription.training_data
        assert reference is not None
        self._has_names = has_names(data.columns, subscription.model_schema)
        found = {column.name for column in data.columns} if self._has_names else set()
        self._data, self._reference, self._subscription = data, reference, subscription
        self._fields = [f for f in expected_fields(subscription) if f.name in found]
        self._label = next((f for f in self._fields if f.role is Role.TARGET), None)
        self._zone = ZoneInfo(subscription.logs.timezone or "UTC")
        attributes = {a.feature for a in subscription.fairness.attributes} if subscription.fairness else set()
        self._columns = [
            ColumnTally(f, f.categorical or f.name in attributes or self._is_class(f)) for f in self._fields
        ]
        self._groups = self._group_tallies()
        self._rows = HashSample(_ROWS)
        self._content = [0, 0]
        self._read = 0

    @property
    def names(self) -> list[str]:
        return [field.name for field in self._fields]

    def add(self, chunk: pa.RecordBatch) -> None:
        self._read += chunk.num_rows
        self._refuse_too_many()
        columns = {f.name: typed(chunk.column(f.name), f.type, self._zone) for f in self._fields}
        cells = {name: cell_hashes(c.values, c.misfits) for name, c in columns.items()}
        rows = _row_hashes(cells, chunk.num_rows)
        if (kept := self._sampled(rows)) is not None:
            columns = {name: _kept(column, kept) for name, column in columns.items()}
            cells, rows = {name: hashes[kept] for name, hashes in cells.items()}, rows[kept]
        self._count(columns, cells, rows)

    def profile(self) -> Profile:
        sample = self._reference.sample
        return Profile(
            rows=self._rows.total,
            rows_read=self._read,
            columns=tuple(column.profile() for column in self._columns),
            found=self._found,
            content_hash=self._content_hash(),
            duplicate_rows=self._rows.repeated,
            schema_version=self._subscription.model_schema.version,
            source=self._data.version,
            groups=tuple(group.profile() for group in self._groups.values()),
            sample_share=sample.share if sample else None,
            sample_seed=sample.seed if sample else None,
        )

    @property
    def _found(self) -> tuple[SourceColumn, ...]:
        columns = self._data.columns
        if self._has_names:
            return columns
        return tuple(SourceColumn(f"column {n}", column.type) for n, column in enumerate(columns, start=1))

    def _count(self, columns: dict[str, TypedColumn], cells: dict[str, Hashes], rows: Hashes) -> None:
        self._rows.add(rows)
        for lane, constant in enumerate((np.uint64(0), _LANE)):
            self._content[lane] = (self._content[lane] + int(mixed(rows ^ constant).sum())) % 2**64
        label = self._label
        for field, tally in zip(self._fields, self._columns, strict=True):
            alike = label is not None and field is not label and field.type is label.type
            tally.add(columns[field.name], cells[field.name], cells[label.name] if alike and label else None)
        if label is not None:
            for name, group in self._groups.items():
                group.add(columns[name].values, columns[label.name].values)

    def _is_class(self, field: Field) -> bool:
        return field.role is Role.TARGET and self._subscription.model_schema.problem_type != "regression"

    def _group_tallies(self) -> dict[str, GroupTally]:
        fairness = self._subscription.fairness
        if fairness is None or self._label is None:
            return {}
        regression = self._subscription.model_schema.problem_type == "regression"
        attributes = [a for a in fairness.attributes if a.feature in self.names]
        return {a.feature: GroupTally(a, fairness, regression) for a in attributes}

    def _sampled(self, rows: Hashes) -> NDArray[np.bool_] | None:
        sample = self._reference.sample
        if sample is None:
            return None
        return np.asarray(mixed(rows ^ salt(f"sample {sample.seed}")) < np.uint64(sample.share * 2.0**64))

    def _refuse_too_many(self) -> None:
        limit = self._reference.max_rows
        if limit is not None and self._read > limit:
            raise StopError(
                f"{self._data.version.location} has more than {limit:,} rows: raise training_data.max_rows "
                f"of subscription {self._subscription.id!r} if that is right"
            )

    def _content_hash(self) -> str:
        text = f"{self._rows.total} {self._content[0]} {self._content[1]}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _row_hashes(cells: dict[str, Hashes], rows: int) -> Hashes:
    """The same whatever the order of the columns."""
    total = np.zeros(rows, np.uint64)
    for name, hashes in cells.items():
        total += mixed(hashes ^ salt(name))
    return mixed(total)


def _kept(column: TypedColumn, rows: NDArray[np.bool_]) -> TypedColumn:
    misfits = None if column.misfits is None else column.misfits[rows]
    return TypedColumn(column.values.filter(pa.array(rows)), misfits)
