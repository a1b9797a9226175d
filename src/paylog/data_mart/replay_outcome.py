"""How the replay of records in quarantine ended, and what of that their quarantine rows say then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from paylog.data_mart.control_tables import objects, pending, quarantine
from paylog.data_mart.delivered_rows import parted
from paylog.data_mart.object_load import ObjectLoad
from paylog.data_mart.session import any_of
from paylog.data_mart.session import raw as psycopg_link
from paylog.errors import Reason
from paylog.records import CaptureObject


@dataclass(frozen=True, slots=True)
class Origin:
    """The ledger entry that a record, or half of one, was read for.

    :param item: the object as it was then; ``key`` is empty, for the data mart knows addresses only.
    """

    object_id: int
    item: CaptureObject


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """A record in quarantine that waits for its replay.

    :param row: 1-based row in the record, None when all of the record was rejected.
    :param partner: of a pair, the entry and position of the other half.
    """

    quarantine_id: int
    origin: Origin
    position: int
    row: int | None
    rows: int
    reason: Reason
    raw: bytes
    first_reason: str
    replays: int
    partner: tuple[Origin, int] | None


@dataclass(slots=True)
class Entry:
    """What is replayed of one entry: the records that it was made for, and those that were left out."""

    target: ObjectLoad
    records: Sequence[OpenRecord]
    filtered: set[int]


_Place = tuple[int, int | None]


@dataclass(slots=True)
class Fates:
    """What is in the data mart of one entry.

    :param rejects: new quarantine rows by position and row; those that say what an old one said are used up.
    :param loaded: record and row of what was inserted; row None: of some row of the record.
    """

    filtered: set[int]
    waiting: set[int]
    rejects: dict[int, dict[int | None, Any]]
    loaded: set[_Place]

    def rejected_again(self, record: OpenRecord) -> dict[str, Any] | None:
        """The new reject, if it says of the same rows what the old one said, maybe for another reason."""
        of_record = self.rejects.get(record.position, {})
        found = of_record.get(record.row)
        if found is None or found.rows != record.rows:
            return None
        del of_record[record.row]
        return {
            "object_id": found.object_id,
            "gone": found.quarantine_id,
            "new_reason": found.reason,
            "new_column": found.column_name,
            "rows": found.rows,
        }

    def followers(self, record: OpenRecord) -> list[dict[str, Any]]:
        """New rejects of the record: of some of its rows, or of more than it seemed to have."""
        return [
            {"id": found.quarantine_id, "before": record.first_reason, "times": record.replays + 1}
            for row, found in self.rejects.get(record.position, {}).items()
            if record.row in (None, row)
        ]

    def state(self, record: OpenRecord) -> str:
        """The state that a record is closed with."""
        if record.position in self.waiting:
            return "pending"
        if record.position in self.filtered:
            return "filtered"
        if (record.position, record.row) in self.loaded:
            return "loaded"
        return "rejected" if self.followers(record) else "duplicate"


class Closing:
    """Reads what became of the records of some entries, and writes it to the quarantine."""

    def __init__(self, connection: Connection, object_ids: Sequence[int], payload: str) -> None:
        self._connection = connection
        self._payload = payload.replace("%", "%%")
        mine = any_of(object_ids)
        self._rejects: dict[int, dict[int, dict[int | None, Any]]] = {}
        for row in connection.execute(select(*_REJECT).where(quarantine.c.object_id == mine)):
            of_object = self._rejects.setdefault(row.object_id, {})
            of_object.setdefault(row.position, {})[row.row] = row
        self._waiting: dict[int, set[int]] = {}
        for object_id, position in connection.execute(
            select(pending.c.object_id, pending.c.position).where(pending.c.object_id == mine)
        ):
            self._waiting.setdefault(object_id, set()).add(position)

    def fates(self, object_id: int, entry: Entry) -> Fates:
        waiting, rejects = self._waiting.get(object_id, set()), self._rejects.get(object_id, {})
        return Fates(entry.filtered, waiting, rejects, self._loaded(object_id, entry))

    def _loaded(self, object_id: int, entry: Entry) -> set[_Place]:
        """Rows that are in the table, by their numbers in the records where a record has several."""
        outcome = entry.target.outcome()
        if not outcome.counts.loaded:
            return set()
        rows = psycopg_link(self._connection).execute(
            f"SELECT _position, scoring_id FROM {self._payload} "
            "WHERE scoring_timestamp BETWEEN %s AND %s AND _object_id = %s".encode(),
            (outcome.min_scoring_timestamp, outcome.max_scoring_timestamp, object_id),
        )
        numbered = {(position, parted(scoring_id)[1]) for position, scoring_id in rows}
        wanted = Counter(record.position for record in entry.records)
        # A record's only row need not say its number in its id.
        single = {(r.position, r.row) for r in entry.records if wanted[r.position] == 1}
        somehow: set[int] = {position for position, _ in numbered}
        return numbered | {(p, None) for p in somehow} | {place for place in single if place[0] in somehow}

    def keep(self, kept: Sequence[dict[str, Any]]) -> None:
        """Of rejects that came back, keep the old rows with the new reasons, and drop the new ones."""
        if not kept:
            return
        reason = func.coalesce(quarantine.c.first_reason, quarantine.c.reason)
        self._connection.execute(
            update(quarantine)
            .where(quarantine.c.quarantine_id == bindparam("id"))
            .values(
                first_reason=reason,
                reason=bindparam("new_reason"),
                column_name=bindparam("new_column"),
                replays=quarantine.c.replays + 1,
            ),
            [{name: row[name] for name in ("id", "new_reason", "new_column")} for row in kept],
        )
        gone = any_of([row["gone"] for row in kept])
        self._connection.execute(quarantine.delete().where(quarantine.c.quarantine_id == gone))
        freed: Counter[int] = Counter()
        for row in kept:
            freed[row["object_id"]] += row["rows"]
        self._connection.execute(
            update(objects)
            .where(objects.c.object_id == bindparam("entry"))
            .values(freed_rejects=objects.c.freed_rejects + bindparam("rows")),
            [{"entry": object_id, "rows": rows} for object_id, rows in freed.items()],
        )

    def follow(self, followed: Sequence[dict[str, Any]]) -> None:
        """Keep with new rejects what their records were rejected for at first."""
        if followed:
            self._connection.execute(
                update(quarantine)
                .where(quarantine.c.quarantine_id == bindparam("id"))
                .values(first_reason=bindparam("before"), replays=bindparam("times")),
                list(followed),
            )

    def close(self, states: Sequence[dict[str, Any]], receipt_id: int) -> None:
        if states:
            self._connection.execute(
                update(quarantine)
                .where(quarantine.c.quarantine_id == bindparam("id"))
                .values(
                    state=bindparam("new_state"),
                    closed_by=receipt_id,
                    closed_at=func.now(),
                    replays=quarantine.c.replays + 1,
                ),
                list(states),
            )


_REJECT = [
    quarantine.c[name]
    for name in ("quarantine_id", "object_id", "position", "row", "rows", "reason", "column_name")
]
