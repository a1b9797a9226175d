"""Taking back what batches loaded, in one transaction, so that it is as if they had never been loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, insert, select, update

from paylog.data_mart import ledger, partners, retracted_rows, watermark
from paylog.data_mart.control_tables import GONE, batches, objects, receipts
from paylog.data_mart.ledger import LiveEntry
from paylog.data_mart.load import Load
from paylog.data_mart.object_load import ObjectLoad
from paylog.data_mart.operation_tables import audits
from paylog.data_mart.partners import Freed
from paylog.data_mart.retracted_rows import Extent
from paylog.data_mart.session import any_of
from paylog.engines import Halves
from paylog.records import CaptureObject, Counts

RETRACT_BATCH = "retract"


@dataclass(frozen=True, slots=True)
class Order:
    """Who takes back what, and why; for the audit table.

    :param selection: the batch, run or window, as it was asked for.
    :param windows: what is no longer complete.
    """

    actor: str
    reason: str
    selection: Mapping[str, Any]
    windows: Sequence[tuple[datetime, datetime]]


class Retraction(Load):
    """Deletes entries with all that they brought; counts nothing but halves that are wanted again."""

    _taken: Sequence[LiveEntry] = ()
    _order: Order | None = None
    _extent = Extent()
    _again: dict[int, ObjectLoad] | None = None

    def take_back(self, entries: Mapping[str, Sequence[int]], order: Order) -> Extent:
        """Delete these entries of these objects, and the later parts and replays of the same objects.

        Halves of objects that stand, ``freed``, are to be supplied afterwards.

        :param entries: object ids by URI. Those that are gone meanwhile are passed over.
        :returns: how much went.
        """
        link, mine = self._connection, self._name.subscription_id
        standing = ledger.standing(link, mine, sorted(entries))
        self._taken = with_dependents(standing, entries)
        ids = [entry.object_id for entry in self._taken]
        self._order, self._extent = order, retracted_rows.extent(link, self._table, mine, self._taken)
        retracted_rows.mark_deliveries(link, self._table, self._taken)
        self._superseded += ledger.supersede(link, self._taken, self._table, "retracted")
        retracted_rows.reopen_replayed(link, ids)
        _expose_earlier_parts(link, standing, set(ids))
        return self._extent

    def freed(self) -> list[Freed]:
        found = partners.freed(self._connection)
        self._again = {freed.object_id: self._beside(freed) for freed in found}
        return found

    def supply(self, freed: Freed, halves: Sequence[Halves]) -> None:
        self._pairs.supply(freed, halves, self._account_of(freed))

    def lose(self, freed: Freed) -> None:
        self._pairs.lose(freed, self._account_of(freed))

    @property
    def _gone(self) -> list[int]:
        return [entry.object_id for entry in self._taken]

    def _unexpected(self) -> Counts:
        return Counts()

    def _account_of(self, freed: Freed) -> ObjectLoad:
        assert self._again is not None, "ask for the freed halves first"
        return self._again[freed.object_id]

    def _beside(self, freed: Freed) -> ObjectLoad:
        """An entry that counts the halves of an object that stands, when they are wanted again."""
        row = self._connection.execute(
            select(objects.c.uri, objects.c.version, objects.c.last_modified).where(
                objects.c.object_id == freed.object_id
            )
        ).one()
        item = CaptureObject(row.uri, "", row.version, 0, row.last_modified)
        target = self._target(item, ledger.claim_beside(self._connection, self._claimant, item))
        self._unsettled.append(target)
        return target

    def _check(self) -> None:
        super()._check()
        assert self._order is not None, "take something back first"
        mine = self._name.subscription_id
        _retract_receipts(self._connection, self._gone)
        watermark.uncover(self._connection, mine, self._order.windows)
        self._connection.execute(
            insert(audits).values(
                subscription_id=mine,
                action="retract",
                actor=self._order.actor,
                reason=self._order.reason,
                selection=dict(self._order.selection),
                counts=asdict(self._extent),
                receipt_id=self._claimant.receipt_id,
            )
        )


def with_dependents(
    standing: Sequence[tuple[str, LiveEntry]], entries: Mapping[str, Sequence[int]]
) -> list[LiveEntry]:
    """The chosen ones among the entries that stand, and what builds on them: later parts, replays.

    :param standing: by URI, the oldest first.
    """
    chosen = {object_id for ids in entries.values() for object_id in ids}
    first: dict[str, int] = {}
    for uri, entry in standing:
        if entry.object_id in chosen and entry.state != "replayed":
            first.setdefault(uri, entry.object_id)
    return [
        entry
        for uri, entry in standing
        if entry.object_id in chosen or entry.object_id > first.get(uri, entry.object_id)
    ]


def _expose_earlier_parts(
    connection: Connection, standing: Sequence[tuple[str, LiveEntry]], gone: set[int]
) -> None:
    """The last part that stays of an object that grows is its head again: it is read on from there."""
    heads = {
        uri for uri, entry in standing if entry.object_id in gone and entry.state not in ("grown", "replayed")
    }
    left = {
        uri: entry.object_id
        for uri, entry in standing
        if uri in heads and entry.state == "grown" and entry.object_id not in gone
    }
    if left:
        last = any_of(left.values())
        connection.execute(update(objects).where(objects.c.object_id == last).values(state="loaded"))


def _retract_receipts(connection: Connection, object_ids: Sequence[int]) -> None:
    """Of which nothing is left: such receipts are in force no longer, nor are their batches done."""
    of_entries = select(objects.c.receipt_id).where(objects.c.object_id == any_of(object_ids))
    left = exists().where(objects.c.receipt_id == receipts.c.receipt_id, objects.c.state.not_in(GONE))
    whole = connection.execute(
        update(receipts)
        .where(receipts.c.receipt_id.in_(of_entries), receipts.c.state == "committed", ~left)
        .values(state="retracted")
        .returning(receipts.c.receipt_id)
    ).scalars()
    connection.execute(
        update(batches)
        .where(
            receipts.c.receipt_id == any_of(whole),
            batches.c.subscription_id == receipts.c.subscription_id,
            batches.c.run_id == receipts.c.run_id,
            batches.c.batch_id == receipts.c.batch_id,
        )
        .values(state="retracted")
    )
