"""Payload rows → the payload records that the service takes, cut into chunks by rows and bytes.

The service numbers the rows of a record itself (``<scoring_id>-<n>``, contract 3.9): rows 1 … N of one
scoring request are posted as one record, so that the service gives them the ids that they have here.
Rows whose request is not complete (some were rejected) are posted one by one under their own ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from paylog.data_mart.delivered_rows import PayloadRow, Place
from paylog.model_schema import ModelSchema, Role
from paylog.subscription.delivery import Delivery, ServiceApi

_MOST_ID = 120
_Record: TypeAlias = tuple[bytes, list[PayloadRow], list[str]]
"""One payload record, its rows, and what the service will call them."""


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
    def span(self) -> tuple[datetime, datetime]:
        """First and last time that its rows were scored at."""
        times = [row.scoring_timestamp for row in self.members]
        return datetime.fromisoformat(min(times)), datetime.fromisoformat(max(times))

    @property
    def scoring_ids(self) -> tuple[str, ...]:
        """Of its rows, as they are called in the data mart."""
        return tuple(row.scoring_id for row in self.members)


class RecordWriter:
    """Writes payload records of one subscription."""

    def __init__(self, schema: ModelSchema, delivery: Delivery, deployment_id: str) -> None:
        inputs = [f.name for f in (*schema.features, *schema.of_role(Role.META_FIELD))]
        outputs = [f.name for f in schema.outputs]
        if schema.probability is not None:
            outputs.append(schema.probability.name)
        self.sides = inputs, outputs
        """Columns of request and response."""
        self._delivery = delivery
        constants = (
            {
                "binding_id": delivery.binding,
                "subscription_id": delivery.subscription,
                "deployment_id": deployment_id,
            }
            if delivery.api is ServiceApi.V1
            else {}
        )
        begin = f"{_json(constants)[:-1]}, " if constants else "{"
        self._begin = f'{begin}"request":{{"fields":{_json(inputs)},"values":['
        self._between = f']}},"response":{{"fields":{_json(outputs)},"values":['
        self._v2 = delivery.api is ServiceApi.V2

    def chunks(self, rows: Iterable[PayloadRow]) -> Iterator[Chunk]:
        """Chunks of at most ``delivery.rows`` rows and ``delivery.bytes`` bytes; a larger record is alone."""
        most_rows, most_bytes = self._delivery.rows, self._delivery.bytes
        parts: list[_Record] = []
        count = size = 0
        for part in self._records(rows):
            length, width = len(part[1]), len(part[0]) + 1
            if parts and (count + length > most_rows or size + width > most_bytes):
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
        event: list[PayloadRow] = []
        for row in rows:
            if event and not _same_event(event[0], row):
                yield from self._of(event)
                event = []
            event.append(row)
        if event:
            yield from self._of(event)

    def _of(self, event: list[PayloadRow]) -> Iterator[_Record]:
        """Records of the rows that share object, position and base of their scoring ids."""
        if len(event) == 1 and (name := event[0].scoring_id).endswith("-1") and len(name) <= _MOST_ID:
            yield self._record(name[:-2], event), event, [name]
            return
        base = event[0].base
        names = [row.scoring_id for row in event]
        if names == [f"{base}-{n}" for n in range(1, len(event) + 1)] and len(base) <= _MOST_ID:
            yield self._record(base, event), event, names
            return
        for row in event:
            yield self._record(row.scoring_id, [row]), [row], [on_its_own(row)]

    def _record(self, scoring_id: str, rows: Sequence[PayloadRow]) -> bytes:
        first = rows[0]
        requests, responses = (
            (first.request, first.response)
            if len(rows) == 1
            else (",".join(row.request for row in rows), ",".join(row.response for row in rows))
        )
        more = "" if first.response_time is None else f',"response_time":{first.response_time}'
        if self._v2:
            more += ',"multiple_records":true'
            if first.asset_revision is not None:
                more += f',"asset_revision":{_json(first.asset_revision)}'
        return (
            f"{self._begin}{requests}{self._between}{responses}"
            f']}},"scoring_timestamp":"{first.scoring_timestamp}","scoring_id":{_json(scoring_id)}{more}}}'
        ).encode()


def _same_event(one: PayloadRow, other: PayloadRow) -> bool:
    """Whether two rows share object, position and base of their scoring ids."""
    return one.position == other.position and one.object_id == other.object_id and one.base == other.base


def _chunk(parts: Sequence[_Record]) -> Chunk:
    return Chunk(
        b"[" + b",".join([body for body, _, _ in parts]) + b"]",
        tuple(row for _, rows, _ in parts for row in rows),
        tuple(one for _, _, names in parts for one in names),
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def on_its_own(row: PayloadRow) -> str:
    """What the service calls a row that is posted as a record of its own."""
    return f"{row.scoring_id}-1"


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC, with ``Z`` (contract 3.10)."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
