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
    :param first, last: places of its first and last row.
    :param scoring_ids: of its rows, as they are called in the data mart.
    :param expected_ids: as the service will call them, in the same order.
    """

    body: bytes
    scoring_ids: tuple[str, ...]
    expected_ids: tuple[str, ...]
    first: Place
    last: Place

    @property
    def rows(self) -> int:
        return len(self.scoring_ids)


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
                yield _Record(self._record(row.scoring_id, [row]), [row], [f"{row.scoring_id}-1"])

    def _record(self, scoring_id: str, rows: Sequence[PayloadRow]) -> bytes:
        first = rows[0]
        record: dict[str, Any] = {
            **self._constants,
            "request": {"fields": self._inputs, "values": [_cells(row, self._inputs) for row in rows]},
            "response": {"fields": self._outputs, "values": [_cells(row, self._outputs) for row in rows]},
            "scoring_timestamp": _time(first.scoring_timestamp),
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
    rows = [row for part in parts for row in part.rows]
    return Chunk(
        b"[" + b",".join(part.body for part in parts) + b"]",
        tuple(row.scoring_id for row in rows),
        tuple(one for part in parts for one in part.expected_ids),
        rows[0].place,
        rows[-1].place,
    )


def _base(scoring_id: str) -> str:
    head, dash, number = scoring_id.rpartition("-")
    return head if dash and number.isdigit() else scoring_id


def _cells(row: PayloadRow, names: Sequence[str]) -> list[Any]:
    return [_time(cell) if isinstance(cell := row.cells[name], datetime) else cell for name in names]


def _time(moment: datetime) -> str:
    """ISO 8601 in UTC, with ``Z`` (contract 3.10)."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
