"""Records in quarantine, loaded again: what is taken up, under which entries, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, any_, bindparam, cast, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT
from sqlalchemy.orm import aliased

from paylog.data_mart import ledger
from paylog.data_mart.control_tables import objects, pending, quarantine
from paylog.data_mart.load import Load
from paylog.data_mart.object_load import ObjectLoad
from paylog.data_mart.partners import Freed
from paylog.data_mart.session import raw as psycopg_link
from paylog.engines import Halves
from paylog.errors import Reason
from paylog.records import CaptureObject, Counts, Receipt


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
    partner: tuple[Origin, int] | None


@dataclass(slots=True)
class _Entry:
    """What is replayed of one entry: the records that it was made for, and those that were left out."""

    target: ObjectLoad
    records: Sequence[OpenRecord]
    filtered: set[int]


class ReplayLoad(Load):
    """Loads records in quarantine, those of each object under an entry of its own, and closes them."""

    _entries: dict[int, _Entry] | None = None

    def take(self, quarantine_ids: Sequence[int]) -> list[OpenRecord]:
        """Those of these records that are still open, now held by this load; of objects that stand.

        A load that replaces one of their objects waits for this one, or has it wait.
        """
        self._entries = {}
        ids = any_(cast(list(quarantine_ids), ARRAY(BIGINT)))
        concerned = select(func.unnest(func.array([quarantine.c.object_id, quarantine.c.partner_id]))).where(
            quarantine.c.quarantine_id == ids
        )
        uris = select(objects.c.uri).where(objects.c.object_id.in_(concerned))
        self._connection.execute(
            select(objects.c.object_id)
            .where(objects.c.subscription_id == self._name.subscription_id, objects.c.uri.in_(uris))
            .order_by(objects.c.uri, objects.c.object_id)
            .with_for_update(read=True)
        )
        query = _OPEN.where(quarantine.c.quarantine_id == ids).with_for_update(of=quarantine)
        return [_open_record(row) for row in self._connection.execute(query)]

    @contextmanager
    def again(
        self, origin: Origin, records: Sequence[OpenRecord], filtered: set[int]
    ) -> Iterator[ObjectLoad]:
        """Load records of one entry's object.

        :param filtered: positions that turn out to hold nothing to load; filled by the caller.
        """
        assert self._entries is not None, "take the records first"
        item = replace(origin.item, size=sum(len(record.raw) for record in records))
        target = self._target(item, ledger.claim_beside(self._connection, self._claimant, item))
        self._entries[target.object_id] = _Entry(target, records, filtered)
        try:
            yield target
        except BaseException:
            self._broken = True
            raise
        self._finish(target)

    def pair_with(self, origin: Origin, halves: Sequence[Halves], positions: Sequence[int], by: int) -> None:
        """Offer the other halves of pairs, of an object that stands.

        :param by: object id of an entry of this load that they are for.
        """
        assert self._entries is not None, "take the records first"
        freed = Freed(origin.object_id, origin.item.uri, origin.item.version, 0, np.array(positions))
        self._pairs.supply(freed, halves, self._entries[by].target)

    def account(self, state: str) -> Receipt:
        return replace(super().account(state), replayed=self._replayed)

    def write_account(self, connection: Connection, receipt: Receipt) -> None:
        """Keep the receipt, unless nothing could be tried."""
        if self._entries:
            super().write_account(connection, receipt)

    @property
    def _replayed(self) -> int:
        return sum(record.rows for entry in (self._entries or {}).values() for record in entry.records)

    def _unexpected(self) -> Counts:
        """The budget is for rows that were not rejected before: the others cost nothing more."""
        return replace(self._counts, rejected=max(0, self._counts.rejected - self._replayed))

    def _check(self) -> None:
        self._close()
        super()._check()

    def _close(self) -> None:
        """Give each record its outcome. One that is rejected as before stays what and where it is."""
        closing = _Closing(self._connection, list(self._entries or ()), self._table.qualified)
        kept: list[dict[str, Any]] = []
        states: list[dict[str, Any]] = []
        for object_id, entry in (self._entries or {}).items():
            fates = closing.fates(object_id, entry)
            for record in entry.records:
                again = fates.rejected_again(record)
                if again is not None:
                    kept.append({"id": record.quarantine_id, **again})
                else:
                    states.append({"id": record.quarantine_id, "new_state": fates.state(record)})
        closing.keep(kept)
        closing.close(states, self._claimant.receipt_id)


_Place = tuple[int, int | None]


@dataclass(slots=True)
class _Fates:
    """What is in the data mart of one entry.

    :param rejects: quarantine rows by position and row; those that take an old one's place are used up.
    :param loaded: record and row of what was inserted; row None: of some row of the record.
    """

    filtered: set[int]
    waiting: set[int]
    rejects: dict[_Place, Any]
    loaded: set[_Place]

    def rejected_again(self, record: OpenRecord) -> dict[str, Any] | None:
        """The new reject, if it says of the same rows what the old one said, maybe for another reason."""
        found = self.rejects.get((record.position, record.row))
        if found is None or found.rows != record.rows:
            return None
        del self.rejects[record.position, record.row]
        return {
            "object_id": found.object_id,
            "gone": found.quarantine_id,
            "new_reason": found.reason,
            "new_column": found.column_name,
            "rows": found.rows,
        }

    def state(self, record: OpenRecord) -> str:
        """The state that a record is closed with."""
        if record.position in self.waiting:
            return "pending"
        if record.position in self.filtered:
            return "filtered"
        if (record.position, record.row) in self.loaded:
            return "loaded"
        same = (record.position, record.row) in self.rejects
        if same or (record.row is None and any(place[0] == record.position for place in self.rejects)):
            return "rejected"
        return "duplicate"


class _Closing:
    """Reads what became of the records of some entries, and writes it to the quarantine."""

    def __init__(self, connection: Connection, object_ids: Sequence[int], payload: str) -> None:
        self._connection = connection
        self._payload = payload.replace("%", "%%")
        mine = any_(cast(list(object_ids), ARRAY(BIGINT)))
        self._rejects: dict[int, dict[_Place, Any]] = {}
        for row in connection.execute(select(*_REJECT).where(quarantine.c.object_id == mine)):
            self._rejects.setdefault(row.object_id, {})[row.position, row.row] = row
        self._waiting: dict[int, set[int]] = {}
        for object_id, position in connection.execute(
            select(pending.c.object_id, pending.c.position).where(pending.c.object_id == mine)
        ):
            self._waiting.setdefault(object_id, set()).add(position)

    def fates(self, object_id: int, entry: _Entry) -> _Fates:
        waiting, rejects = self._waiting.get(object_id, set()), self._rejects.get(object_id, {})
        return _Fates(entry.filtered, waiting, rejects, self._loaded(object_id, entry))

    def _loaded(self, object_id: int, entry: _Entry) -> set[_Place]:
        """Rows that are in the table, by their numbers in the records where a record has several."""
        outcome = entry.target.outcome()
        if not outcome.counts.loaded:
            return set()
        rows = psycopg_link(self._connection).execute(
            f"SELECT _position, scoring_id FROM {self._payload} "
            "WHERE scoring_timestamp BETWEEN %s AND %s AND _object_id = %s".encode(),
            (outcome.min_scoring_timestamp, outcome.max_scoring_timestamp, object_id),
        )
        found = [(position, scoring_id.rpartition("-")[2]) for position, scoring_id in rows.fetchall()]
        wanted = Counter(record.position for record in entry.records)
        numbered = {(position, int(n)) for position, n in found if n.isdigit() and len(n) < 10}
        # A record's only row need not say its number in its id.
        single = {(r.position, r.row) for r in entry.records if wanted[r.position] == 1}
        somehow: set[int] = {position for position, _ in found}
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
        gone = any_(cast([row["gone"] for row in kept], ARRAY(BIGINT)))
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


_PARTNER = aliased(objects, name="partner")
_ITEM = ("object_id", "uri", "version", "size", "last_modified")
_REJECT = [
    quarantine.c[name]
    for name in ("quarantine_id", "object_id", "position", "row", "rows", "reason", "column_name")
]
_OPEN = (
    select(
        *(quarantine.c[name] for name in ("quarantine_id", "position", "row", "rows", "reason", "raw")),
        quarantine.c.partner_position,
        *(objects.c[name].label(f"own_{name}") for name in _ITEM),
        *(_PARTNER.c[name].label(f"other_{name}") for name in _ITEM),
    )
    .join_from(quarantine, objects)
    .outerjoin(_PARTNER, _PARTNER.c.object_id == quarantine.c.partner_id)
    .where(quarantine.c.state == "open")
    .order_by(quarantine.c.quarantine_id)
)


def _open_record(row: Any) -> OpenRecord:
    partner = _origin(row, "other") if row.other_object_id is not None else None
    return OpenRecord(
        row.quarantine_id,
        _origin(row, "own"),
        row.position,
        row.row,
        row.rows,
        Reason(row.reason),
        bytes(row.raw),
        None if partner is None else (partner, row.partner_position),
    )


def _origin(row: Any, side: str) -> Origin:
    object_id, uri, version, size, modified = (getattr(row, f"{side}_{name}") for name in _ITEM)
    return Origin(object_id, CaptureObject(uri, "", version, size, modified))
