"""Payload rows → the payload records that the service takes, cut into chunks by rows and bytes.

The service numbers the rows of a record itself (``<scoring_id>-<n>``, contract 3.9): rows 1 … N of one
scoring request are posted as one record, so that the service gives them the ids that they have here.
Rows whose request is not complete (some were rejected) are posted one by one under their own ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import msgspec

from paylog.data_mart.delivered_rows import PayloadRow, Place
from paylog.model_schema import ModelSchema, Role
from paylog.subscription.delivery import Delivery, ServiceApi

_MOST_ID = 120


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one request posts.

    :param body: the JSON array.
    :param members: its rows.
    :param expected_ids: as the service will call them, in the same order.
    :param already: rows of the same delivery that the service has and that are not in the chunk.
    """

    body: bytes
    members: tuple[PayloadRow, ...]
    expected_ids: tuple[str, ...]
    already: int = 0

    @property
    def rows(self) -> int:
        return len(self.members)

    @property
    def first(self) -> Place:
        return self.members[0].place

    @property
    def last(self) -> Place:
        return self.members[-1].place

    @property
    def scoring_ids(self) -> tuple[str, ...]:
        """Of its rows, as they are called in the data mart."""
        return tuple(row.scoring_id for row in self.members)


@dataclass(frozen=True, slots=True)
class _Record:
    """One payload record, its rows, and what the service will call them."""

    body: bytes
    rows: list[PayloadRow]
    expected_ids: list[str]


class RecordWriter:
    """Writes payload records of one subscription."""

    def __init__(self, schema: ModelSchema, delivery: Delivery, deployment_id: str) -> None:
        self._inputs = [f.name for f in (*schema.features, *schema.of_role(Role.META_FIELD))]
        self._outputs = [f.name for f in schema.outputs]
        if schema.probability is not None:
            self._outputs.append(schema.probability.name)
        self._delivery = delivery
        self._constants = (
            {
                "binding_id": delivery.binding,
                "subscription_id": delivery.subscription,
                "deployment_id": deployment_id,
            }
            if delivery.api is ServiceApi.V1
            else {}
        )

    def chunks(self, rows: Iterable[PayloadRow]) -> Iterator[Chunk]:
        """Chunks of at most ``delivery.rows`` rows and ``delivery.bytes`` bytes; a larger record is alone."""
        parts: list[_Record] = []
        count = size = 0
        for part in self._records(rows):
            length, width = len(part.rows), len(part.body) + 1
            if parts and (count + length > self._delivery.rows or size + width > self._delivery.bytes):
                yield _chunk(parts)
                parts, count, size = [], 0, 0
            parts.append(part)
            count, size = count + length, size + width
        if parts:
            yield _chunk(parts)

    def whole(self, rows: Iterable[PayloadRow]) -> Chunk | None:
        """One chunk of all rows, whatever its size; None when there are none."""
        parts = list(self._records(rows))
        return _chunk(parts) if parts else None

    def _records(self, rows: Iterable[PayloadRow]) -> Iterator[_Record]:
        for (base, _), group in groupby(rows, key=lambda row: (_base(row.scoring_id), row.event)):
            event = list(group)
            whole = [f"{base}-{n}" for n in range(1, len(event) + 1)]
            if [row.scoring_id for row in event] == whole and len(base) <= _MOST_ID:
                yield _Record(self._record(base, event), event, whole)
                continue
            for row in event:
                yield _Record(self._record(row.scoring_id, [row]), [row], [on_its_own(row)])

    def _record(self, scoring_id: str, rows: Sequence[PayloadRow]) -> bytes:
        first = rows[0]
        record: dict[str, Any] = {
            **self._constants,
            "request": {"fields": self._inputs, "values": [_cells(row, self._inputs) for row in rows]},
            "response": {"fields": self._outputs, "values": [_cells(row, self._outputs) for row in rows]},
            "scoring_timestamp": iso(first.scoring_timestamp),
            "scoring_id": scoring_id,
        }
        if first.response_time is not None:
            record["response_time"] = first.response_time
        if self._delivery.api is ServiceApi.V2:
            record["multiple_records"] = True
            if first.asset_revision is not None:
                record["asset_revision"] = first.asset_revision
        return msgspec.json.encode(record)


def _chunk(parts: Sequence[_Record]) -> Chunk:
    return Chunk(
        b"[" + b",".join(part.body for part in parts) + b"]",
        tuple(row for part in parts for row in part.rows),
        tuple(one for part in parts for one in part.expected_ids),
    )


def on_its_own(row: PayloadRow) -> str:
    """What the service calls a row that is posted as a record of its own."""
    return f"{row.scoring_id}-1"


def _base(scoring_id: str) -> str:
    head, dash, number = scoring_id.rpartition("-")
    return head if dash and number.isdigit() else scoring_id


def _cells(row: PayloadRow, names: Sequence[str]) -> list[Any]:
    return [iso(cell) if isinstance(cell := row.cells[name], datetime) else cell for name in names]


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC, with ``Z`` (contract 3.10)."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
