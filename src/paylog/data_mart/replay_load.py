"""Records in quarantine, loaded again: what is taken up, under which entries, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, select
from sqlalchemy.orm import aliased

from paylog.data_mart import ledger
from paylog.data_mart.control_tables import objects, quarantine
from paylog.data_mart.load import Load
from paylog.data_mart.object_load import ObjectLoad
from paylog.data_mart.partners import Freed
from paylog.data_mart.replay_outcome import Closing, Entry, OpenRecord, Origin
from paylog.data_mart.session import any_of
from paylog.engines import Halves
from paylog.errors import Reason
from paylog.records import CaptureObject, Counts, Receipt


class ReplayLoad(Load):
    """Loads records in quarantine, those of each object under an entry of its own, and closes them."""

    _entries: dict[int, Entry] | None = None

    def take(self, quarantine_ids: Sequence[int]) -> list[OpenRecord]:
        """Those of these records that are still open, now held by this load; of objects that stand.

        A load that replaces one of their objects waits for this one, or has it wait.
        """
        self._entries = {}
        ids = any_of(quarantine_ids)
        mine = quarantine.c.quarantine_id == ids
        concerned = (
            select(quarantine.c.object_id).where(mine).union(select(quarantine.c.partner_id).where(mine))
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
        self._entries[target.object_id] = Entry(target, records, filtered)
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
        closing = Closing(self._connection, list(self._entries or ()), self._table.qualified)
        kept: list[dict[str, Any]] = []
        states: list[dict[str, Any]] = []
        followed: list[dict[str, Any]] = []
        for object_id, entry in (self._entries or {}).items():
            fates = closing.fates(object_id, entry)
            for record in entry.records:
                again = fates.rejected_again(record)
                if again is not None:
                    kept.append({"id": record.quarantine_id, **again})
                else:
                    states.append({"id": record.quarantine_id, "new_state": fates.state(record)})
                    followed += fates.followers(record)
        closing.keep(kept)
        closing.follow(followed)
        closing.close(states, self._claimant.receipt_id)


_PARTNER = aliased(objects, name="partner")
_ITEM = ("object_id", "uri", "version", "size", "last_modified")
_OPEN = (
    select(
        *(quarantine.c[name] for name in ("quarantine_id", "position", "row", "rows", "reason", "raw")),
        *(quarantine.c[name] for name in ("first_reason", "replays")),
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
        row.first_reason or row.reason,
        row.replays,
        None if partner is None else (partner, row.partner_position),
    )


def _origin(row: Any, side: str) -> Origin:
    object_id, uri, version, size, modified = (getattr(row, f"{side}_{name}") for name in _ITEM)
    return Origin(object_id, CaptureObject(uri, "", version, size, modified))
