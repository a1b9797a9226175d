"""The load of one batch: rows, rejects, ledger and receipt in one PostgreSQL transaction."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from paylog.data_mart import ledger, partners, quarantine, receipts, retention, training_findings
from paylog.data_mart.ledger import Claimant, LiveEntry
from paylog.data_mart.object_load import EXAMPLES, ObjectLoad
from paylog.data_mart.pair_load import PairLoad
from paylog.data_mart.partners import Freed
from paylog.data_mart.payload_table import PayloadTable
from paylog.data_mart.payload_writer import PayloadWriter
from paylog.data_mart.session import raw
from paylog.errors import ErrorBudgetExceeded, ObjectChanged, StopError, UnbalancedReceipt
from paylog.pairing import Normalize, unpairable
from paylog.records import CaptureObject, Counts, Receipt

if TYPE_CHECKING:
    from paylog.engines import Halves
    from paylog.subscription import ErrorBudget
    from paylog.training_data.judgement import PayloadFinding, PayloadJudge

BUFFER_ROWS = 65_536
BUFFER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BatchName:
    """Which batch of which run, and the window that it was planned for."""

    subscription_id: str
    batch_id: str
    run_id: str
    window_start: datetime
    window_end: datetime


class Load:
    """One batch being loaded. Made by ``DataMart.load``, which commits it or rolls it back.

    Small objects share a COPY: their rows wait in a buffer of bounded size, which is written when it is
    full, before rows of an older version are deleted, and at the end.

    :param normalize: makes rows of pairs; needed as soon as a block has halves.
    """

    def __init__(
        self,
        connection: Connection,
        table: PayloadTable,
        name: BatchName,
        budget: ErrorBudget,
        judge: PayloadJudge | None = None,
        normalize: Normalize = unpairable,
    ) -> None:
        self._connection = connection
        self._table = table
        self._name = name
        self._budget = budget
        self._judge = judge
        self._started = time.monotonic()
        self._claimant = Claimant(
            name.subscription_id, receipts.next_id(connection, table.schema), table.model_schema.version
        )
        self._retained_from = retention.retained_from(connection, name.subscription_id)
        self._writer = PayloadWriter(raw(connection), table)
        self._pairs = PairLoad(
            connection, table, self._claimant, self._writer, normalize, judge, self._retained_from
        )
        self._finished: list[ObjectLoad] = []
        self._unsettled: list[ObjectLoad] = []
        self._superseded: list[int] = []
        self._replacing: dict[int, ObjectLoad] = {}
        self._counts = Counts()
        self._reasons: Counter[str] = Counter()
        self._first_rejects: list[str] = []
        self._objects = self._bytes = 0
        self._broken = False
        self._receipt: Receipt | None = None
        self.already_loaded = 0
        self.findings: list[PayloadFinding] = []

    @contextmanager
    def object(self, item: CaptureObject, after: LiveEntry | None = None) -> Iterator[ObjectLoad | None]:
        """Load one object; None when the ledger holds this version of it already.

        Take the objects of a batch in the order of ``plan.in_order``, else two loads of the same objects may
        wait for each other. ``ObjectChanged`` inside drops what was added, and the load may go on.

        :param after: load only what follows this part of an object that grows.
        :raises ObjectChanged: another load has read on from there.
        """
        superseded = len(self._superseded)
        target = self._open_next_part(item, after) if after else self._open(item)
        if target is None:
            self.already_loaded += 1
            yield None
            return
        try:
            yield target
        except ObjectChanged:
            self._discard(target)
            del self._superseded[superseded:]
            raise
        except BaseException:
            self._broken = True
            raise
        self._finish(target)

    def part(self, item: CaptureObject) -> LiveEntry | None:
        """What is loaded of an object that grows, as far as it may be read on from there."""
        entry = ledger.head(self._connection, self._name.subscription_id, item.uri)
        if entry is None or entry.extent is None or entry.object_id == item.replaces:
            return None
        return entry if entry.state in ("loaded", "partial") else None

    def freed(self) -> list[Freed]:
        """Halves of objects that stand, whose other halves went with an older version of an object here.

        Read those objects again and ``supply`` the halves, before the receipt is made.
        """
        return [halves for halves in partners.freed(self._connection) if halves.replaced in self._replacing]

    def supply(self, freed: Freed, halves: Sequence[Halves]) -> None:
        """Offer the freed ones among these halves of an object again."""
        self._pairs.supply(freed, halves, self._replacing[freed.replaced])

    def lose(self, freed: Freed) -> None:
        """The object of these halves is gone from the store: they are rejects now."""
        self._pairs.lose(freed, self._replacing[freed.replaced])

    def read_later(self, freed: Freed) -> None:
        """The object of these halves has changed: it is read again as a whole, by a later batch."""
        partners.read_later(self._connection, freed.uri, self._name.subscription_id)

    def receipt(self) -> Receipt:
        """Write everything, check it and make the receipt. Nothing can be added after it.

        :raises UnbalancedReceipt: rows went missing.
        :raises ErrorBudgetExceeded: more rejects than the subscription allows.
        :raises PayloadRefused: it is not like the training data, and the subscription's gate is shut.
        """
        if self._broken:
            raise StopError(f"{self._where}: an object failed half-way; the batch cannot be committed.")
        if self._receipt is None:
            self._write_finished()
            self._pairs.finish(self._gone)
            self._record(self._unsettled)
            if self._superseded or self._counts.duplicate:
                ledger.settle(self._connection, self._claimant, self._table, self._superseded)
            self._check()
            self._judge_payload()
            self._receipt = self.account("committed")
            self.write_account(self._connection, self._receipt)
        return self._receipt

    def write_account(self, connection: Connection, receipt: Receipt) -> None:
        """Keep the receipt, and what the judgement found."""
        receipts.write(connection, receipt, self._claimant.schema_version, self.already_loaded)
        if self._judge is not None:
            training_findings.write(connection, receipt, self._judge.profile_id, self.findings)

    def account(self, state: str) -> Receipt:
        """The receipt as it stands."""
        return Receipt(
            receipt_id=self._claimant.receipt_id,
            subscription_id=self._name.subscription_id,
            batch_id=self._name.batch_id,
            run_id=self._name.run_id,
            window_start=self._name.window_start,
            window_end=self._name.window_end,
            objects=self._objects,
            bytes=self._bytes,
            counts=self._counts,
            reasons=dict(self._reasons),
            seconds=time.monotonic() - self._started,
            state=state,
            settled=self._pairs.settled,
        )

    @property
    def _where(self) -> str:
        return f"Subscription {self._name.subscription_id!r}, batch {self._name.batch_id!r}"

    def _open(self, item: CaptureObject) -> ObjectLoad | None:
        claimed = ledger.claim(self._connection, self._claimant, item)
        if isinstance(claimed, LiveEntry):
            return None if claimed.holds(item) else self._open_new_version(item)
        return self._target(item, claimed)

    def _target(self, item: CaptureObject, object_id: int) -> ObjectLoad:
        return ObjectLoad(
            item,
            object_id,
            self._table.model_schema,
            self._spill_if_full,
            self._judge,
            self._retained_from,
        )

    def _open_new_version(self, item: CaptureObject) -> ObjectLoad:
        self._write_finished()
        self._connection.exec_driver_sql("SAVEPOINT paylog_object")
        replaced = []
        while isinstance(claimed := ledger.claim(self._connection, self._claimant, item), LiveEntry):
            earlier = ledger.earlier_parts(self._connection, self._name.subscription_id, item.uri)
            entries = *earlier, claimed
            replaced += [entry.object_id for entry in entries]
            self._superseded += ledger.supersede(self._connection, entries, self._table)
        target = self._target(item, claimed)
        target.savepoint = target.supersedes = True
        self._replacing |= dict.fromkeys(replaced, target)
        return target

    def _open_next_part(self, item: CaptureObject, after: LiveEntry) -> ObjectLoad:
        self._write_finished()
        self._connection.exec_driver_sql("SAVEPOINT paylog_object")
        claimed = ledger.claim(self._connection, self._claimant, item)
        if claimed == after:
            ledger.grow(self._connection, after)
            claimed = ledger.claim(self._connection, self._claimant, item)
        if isinstance(claimed, LiveEntry):
            self._connection.exec_driver_sql("ROLLBACK TO SAVEPOINT paylog_object")
            self._connection.exec_driver_sql("RELEASE SAVEPOINT paylog_object")
            raise ObjectChanged(f"{item.uri} was read on by another load meanwhile.")
        target = self._target(item, claimed)
        target.savepoint = True
        return target

    def _finish(self, target: ObjectLoad) -> None:
        if target.savepoint:
            self._connection.exec_driver_sql("RELEASE SAVEPOINT paylog_object")
        if self._judge is not None:
            self._judge.keep()
        halves_only = target.object_id in self._pairs.targets and not target.buffered
        (self._unsettled if halves_only else self._finished).append(target)
        self._pairs.close()
        target.close()
        # Records that an object holds twice are best written together: so rather between two objects.
        self._spill_if_full(None, share=0.5)

    def _discard(self, target: ObjectLoad) -> None:
        if target.savepoint:
            self._connection.exec_driver_sql("ROLLBACK TO SAVEPOINT paylog_object")
            self._connection.exec_driver_sql("RELEASE SAVEPOINT paylog_object")
        ledger.release(self._connection, target.object_id)
        if self._judge is not None:
            self._judge.drop()
        self._pairs.discard(target)
        self._replacing = {old: new for old, new in self._replacing.items() if new is not target}

    def _spill_if_full(self, current: ObjectLoad | None, share: float = 1.0) -> None:
        if current is not None and current.halves:
            self._pairs.add(current, current.take_halves())
        waiting = [*self._finished, *([current] if current else [])]
        if (
            sum(target.buffered_rows for target in waiting) < share * BUFFER_ROWS
            and sum(target.buffered_bytes for target in waiting) < share * BUFFER_BYTES
        ):
            return
        self._write_finished()
        if current is not None and current.buffered:
            # What is written of an unfinished object must be able to go without the objects before it.
            if not current.savepoint:
                self._connection.exec_driver_sql("SAVEPOINT paylog_object")
                current.savepoint = True
            self._write([current])

    def _write_finished(self) -> None:
        """Write what finished objects left in the buffer, and their ledger entries."""
        done, self._finished = self._finished, []
        self._write(done)
        settled: list[ObjectLoad] = []
        for target in done:
            open_pairs = target.supersedes or target.object_id in self._pairs.targets
            (self._unsettled if open_pairs else settled).append(target)
        self._record(settled)

    def _record(self, targets: Sequence[ObjectLoad]) -> None:
        """Write the ledger entries of objects that are all accounted for."""
        ledger.record(self._connection, [target.outcome() for target in targets])
        for target in targets:
            self._add_up(target)

    def _write(self, targets: Sequence[ObjectLoad]) -> None:
        rejects = [(target.object_id, reject) for target in targets for reject in target.take_rejects()]
        if rejects:
            quarantine.write(self._connection, self._table.schema, self._claimant, rejects)
        rows_of = {target.object_id: target.buffered_rows for target in targets if target.buffered_rows}
        if rows_of:
            batches = [batch for target in targets for batch in target.take_records()]
            inserted = self._writer.write(batches, rows_of)
            for target in targets:
                sent = rows_of.get(target.object_id, 0)
                target.add_written(sent, inserted.get(target.object_id, 0))

    def _add_up(self, target: ObjectLoad) -> None:
        if not target.counts.balanced:
            raise UnbalancedReceipt(
                f"{self._where}: {target.item.uri} does not balance: {target.counts}. "
                "The batch was rolled back; this is a defect in paylog."
            )
        self._objects += 1
        self._bytes += target.item.size
        self._counts += target.counts
        self._reasons += target.reasons
        room = EXAMPLES - len(self._first_rejects)
        self._first_rejects += target.first_rejects[:room]

    def _judge_payload(self) -> None:
        if self._judge is not None:
            self.findings = self._judge.findings()
            self._judge.refuse(self.findings, self._where)

    @property
    def _gone(self) -> list[int]:
        """Entries whose rows this load deletes."""
        return list(self._replacing)

    def _unexpected(self) -> Counts:
        """The counts that are held against the error budget."""
        return self._counts

    def _check(self) -> None:
        stored = ledger.entry_sums(self._connection, self._claimant.receipt_id)
        if stored != self._counts or not self._counts.balanced:
            raise UnbalancedReceipt(
                f"{self._where}: counted {self._counts}, the ledger holds {stored}. "
                "The batch was rolled back; this is a defect in paylog."
            )
        if excess := _excess(self._budget, self._unexpected()):
            by_reason = ", ".join(f"{reason} {rows}" for reason, rows in self._reasons.most_common())
            raise ErrorBudgetExceeded(
                f"{self._where}: {excess}. By reason: {by_reason}. First: {'; '.join(self._first_rejects)}. "
                "Nothing of the batch was kept. Mend the logs or the model schema, or raise error_budget."
            )


def _excess(budget: ErrorBudget, counts: Counts) -> str | None:
    """What is over the budget, in words; None within it."""
    rejected, read = counts.rejected, counts.read
    if budget.count is not None and rejected > budget.count:
        return f"{rejected} of {read} rows were rejected, the error budget allows {budget.count}"
    if budget.share is not None and rejected > budget.share * read:
        actual, allowed = f"{rejected / read:.2%}", f"{budget.share:.2%}"
        return f"{rejected} of {read} rows ({actual}) were rejected, the error budget allows {allowed}"
    return None
