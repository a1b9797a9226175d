"""The halves of one batch: paired among themselves in memory, then with those that wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection

from paylog.data_mart import partners, quarantine
from paylog.data_mart.flush import retained, scoring_microseconds
from paylog.data_mart.ledger import Claimant
from paylog.data_mart.object_load import EARLIEST, ObjectLoad
from paylog.data_mart.partners import Freed
from paylog.data_mart.payload_table import PayloadTable
from paylog.data_mart.payload_writer import PayloadWriter
from paylog.data_mart.pending import Pending
from paylog.data_mart.setup import lock
from paylog.engines import Halves
from paylog.errors import Reason, RetriableError
from paylog.native import release_memory
from paylog.pairing import Kinds, Normalize, Pairs, as_table, events_of, from_stored, match, to_stored
from paylog.records import Block, Reject

if TYPE_CHECKING:
    from paylog.training_data.judgement import PayloadJudge

# Halves in memory; a batch with more brings the rest to PostgreSQL at once. Pairing takes as much again.
HELD_BYTES = 32 * 1024 * 1024
PAIRS_AT_ONCE = 4096
_Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Sides:
    """Of each pair, the half that its rows belong to and the other one: object id and position."""

    owner: _Ids
    position: _Ids
    partner: _Ids
    partner_position: _Ids


class PairLoad:
    """Pairs halves within the transaction of a load.

    A row belongs to the object of its response, unless another batch has loaded that one: then to the
    object of its request. ``_partner_id`` is the other half's object.
    """

    def __init__(
        self,
        connection: Connection,
        table: PayloadTable,
        claimant: Claimant,
        writer: PayloadWriter,
        normalize: Normalize,
        judge: PayloadJudge | None = None,
        retained_from: int = EARLIEST,
    ) -> None:
        self._connection = connection
        self._table = table
        self._claimant = claimant
        self._subscription_id = claimant.subscription_id
        self._writer = writer
        self._normalize = normalize
        self._judge = judge
        self._retained_from = retained_from
        self._pending = Pending(connection, table.schema, claimant.subscription_id)
        self._kinds = Kinds()
        self._targets: dict[int, ObjectLoad] = {}
        self._accounts: dict[int, ObjectLoad] = {}
        self._uris: dict[int, str] = {}
        self._open: list[pa.Table] = []
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._rejects: list[tuple[int, Reject]] = []
        self._brought = False
        self._links: dict[tuple[int, int], tuple[datetime, datetime] | None] = {}
        self.settled = 0

    @property
    def targets(self) -> Mapping[int, ObjectLoad]:
        """Objects with halves, by their ids: their counts are not final before ``finish``."""
        return self._targets

    def add(self, target: ObjectLoad, halves: Sequence[Halves]) -> None:
        """Take halves of the object at hand."""
        self._targets[target.object_id] = target
        self._open += [as_table(some, target.object_id, self._kinds) for some in halves]
        if _size(self._open) > HELD_BYTES:
            self._bring(self._open)
            self._open = []

    def close(self) -> None:
        """The object at hand is complete: its halves may pair with others."""
        self._held += self._open
        self._held_bytes += _size(self._open)
        self._open = []
        if self._held_bytes > HELD_BYTES:
            self._match_held()
            self._held_bytes = _size(self._held)
            if self._held_bytes > HELD_BYTES // 2:
                self._bring(self._held)
                self._held, self._held_bytes = [], 0

    def discard(self, target: ObjectLoad) -> None:
        """Forget the object at hand, after a rollback to where it began."""
        self._open = []
        if self._targets.pop(target.object_id, None) and self._brought:
            self._pending.forget(target.object_id)

    def lose(self, freed: Freed, account: ObjectLoad) -> None:
        """Count freed halves whose object is gone from the store: rejects now, without their bytes."""
        for position in freed.positions.tolist():
            reject = Reject(position, Reason.UNPAIRED, b"", partner=(freed.object_id, position))
            account.counts.read += 1
            account.count_reject(reject)
            self._rejects.append((account.object_id, reject))
        self._quarantine()

    def supply(self, freed: Freed, halves: Sequence[Halves], account: ObjectLoad) -> None:
        """Take the freed ones among the halves of an object that another batch has loaded."""
        self._accounts[freed.object_id], self._uris[freed.object_id] = account, freed.uri
        for some in halves:
            which = np.flatnonzero(np.isin(np.asarray(some.positions, np.int64), freed.positions)).tolist()
            if which:
                self._held.append(as_table(some.of(which), freed.object_id, self._kinds))

    def finish(self, superseded: Sequence[int]) -> None:
        """Pair what is left with what waits, and leave the rest to wait.

        :param superseded: objects whose rows this load has deleted.
        :raises RetriableError: a row was made meanwhile with a half of one of them.
        """
        self._finish(superseded)
        self._held, self._held_bytes = [], 0
        if self._targets:
            release_memory()

    def _finish(self, superseded: Sequence[int]) -> None:
        self._match_held()
        held = sum(table.num_rows for table in self._held)
        if not (held or self._brought or (superseded and self._concerns(superseded))):
            self._write_links()
            return
        lock(self._connection, "pair", self._table.schema, self._subscription_id)
        if superseded:
            if partners.exist(self._connection, superseded):
                raise RetriableError(
                    f"Subscription {self._subscription_id!r}: an object was paired by another load while "
                    "this one replaced it. Try again."
                )
            self.settled += self._pending.withdraw(superseded)
        if held:
            self._bring(self._held)
        if self._brought:
            self._meet()
        self._write_links()

    def _concerns(self, superseded: Sequence[int]) -> bool:
        return self._pending.any_of(superseded) or partners.exist(self._connection, superseded)

    def _bring(self, tables: Sequence[pa.Table]) -> None:
        whole = pa.concat_tables(tables)
        own = self._is_mine(whole)
        for foreign in (False, True):
            some = whole if not foreign and own.all() else whole.filter(pa.array(own != foreign))
            for start in range(0, some.num_rows, PAIRS_AT_ONCE):
                part = to_stored(some.slice(start, PAIRS_AT_ONCE), self._kinds)
                self._pending.bring(part, foreign)
                self._brought = True

    def _match_held(self) -> None:
        if not self._held:
            return
        found = match(pa.concat_tables(self._held), self._kinds)
        mine = self._is_mine(found.pairs.requests) | self._is_mine(found.pairs.responses)
        sides = found.pairs.requests, found.pairs.responses
        self._write(found.pairs if mine.all() else Pairs(*(side.filter(pa.array(mine)) for side in sides)))
        self._count_repeated(Counter(found.repeated.column("object_id").to_pylist()))
        apart = [] if mine.all() else [side.filter(pa.array(~mine)) for side in sides]
        self._held = [table for table in (found.alone, *apart) if table.num_rows]

    def _is_mine(self, halves: pa.Table) -> npt.NDArray[np.bool_]:
        """Which halves are of objects that this load reads."""
        return np.isin(halves.column("object_id").to_numpy(), list(self._targets))

    def _meet(self) -> None:
        self._count_repeated(self._pending.drop_repeated())
        self.settled += self._pending.take_partners()
        # Closed here: a link that is cut meanwhile would be told on stderr, past the fault's translation.
        with closing(self._pending.pairs()) as pairs:
            for requests, responses in pairs:
                self._write(Pairs(from_stored(requests, self._kinds), from_stored(responses, self._kinds)))
        self._read_again()
        left, stored = self._pending.store_the_rest()
        for object_id, count in left.items():
            counts = self._account(object_id).counts
            waiting = stored.get(object_id, 0)
            counts.read += count
            counts.pending += waiting
            counts.duplicate += count - waiting

    def _read_again(self) -> None:
        """A pair of two other batches' halves is made by the batch that reads one of the objects again."""
        if self._accounts:
            for object_id in self._pending.apart(list(self._accounts)):
                partners.read_later(self._connection, self._uris[object_id], self._subscription_id)

    def _account(self, object_id: int) -> ObjectLoad:
        """Which object's entry counts a half: its own if this batch loads it.

        A half that waited, and will wait on, is of neither: a load that brings none of its own has accounts.
        """
        target = self._targets.get(object_id) or self._accounts.get(object_id)
        return target or next(reversed((self._targets or self._accounts).values()))

    def _count_repeated(self, repeated: Mapping[int, int]) -> None:
        for object_id, count in repeated.items():
            counts = self._account(object_id).counts
            counts.read += count
            counts.duplicate += count

    def _write(self, pairs: Pairs) -> None:
        for part in pairs.parts(PAIRS_AT_ONCE):
            sides = self._sides(part)
            for variant, events in events_of(part, self._kinds).items():
                for block in self._normalize(events, variant):
                    self._add(block, sides)
            self._quarantine()
            for pair in set(zip(sides.partner.tolist(), sides.owner.tolist(), strict=True)):
                if pair[0] not in self._targets:
                    self._links.setdefault((pair[0], pair[1]), None)

    def _sides(self, pairs: Pairs) -> _Sides:
        ids = [side.column("object_id").to_numpy() for side in (pairs.requests, pairs.responses)]
        places = [side.column("position").to_numpy() for side in (pairs.requests, pairs.responses)]
        of_response = self._is_mine(pairs.responses)
        return _Sides(
            np.where(of_response, ids[1], ids[0]),
            np.where(of_response, places[1], places[0]),
            np.where(of_response, ids[0], ids[1]),
            np.where(of_response, places[0], places[1]),
        )

    def _add(self, block: Block, sides: _Sides) -> None:
        if self._judge is not None:
            self._judge.add(block)
            self._judge.keep()
        for reject in block.rejects:
            self._add_reject(reject, sides)
        records = self._retained(block.records, sides) if block.records.num_rows else block.records
        if not records.num_rows:
            return
        ordinals = records.column("_position").to_numpy()
        replaced = {
            "_object_id": sides.owner[ordinals],
            "_position": sides.position[ordinals],
            "_partner_id": sides.partner[ordinals],
            "_partner_position": sides.partner_position[ordinals],
        }
        columns = [
            pa.array(replaced[name]) if name in replaced else records.column(name)
            for name in records.schema.names
        ]
        rows = pa.RecordBatch.from_arrays(columns, schema=records.schema)
        self._write_rows(rows, replaced["_object_id"], replaced["_partner_id"])

    def _retained(self, records: pa.RecordBatch, sides: _Sides) -> pa.RecordBatch:
        """Without the rows of a time that retention has dropped, which are counted as filtered."""
        moments = scoring_microseconds(records)
        if int(moments.min()) >= self._retained_from:
            return records
        owners = sides.owner[records.column("_position").to_numpy()]
        for object_id, behind in Counter(owners[moments < self._retained_from].tolist()).items():
            counts = self._targets[object_id].counts
            counts.read += behind
            counts.filtered += behind
        return retained(records, self._retained_from)[0]

    def _write_rows(self, rows: pa.RecordBatch, owner: _Ids, partner: _Ids) -> None:
        ids, counts = np.unique(owner, return_counts=True)
        sent = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        inserted = self._writer.write([rows], sent)
        for object_id, count in sent.items():
            target = self._targets[object_id]
            target.counts.read += count
            target.add_written(count, inserted.get(object_id, 0))
        for object_id, other, first, last in _spans(owner, partner, scoring_microseconds(rows)):
            span = self._targets[object_id].widen_range(first, last)
            if other in self._targets:
                self._targets[other].widen_range(first, last)
            else:
                known = self._links.get((other, object_id)) or span
                self._links[other, object_id] = min(known[0], span[0]), max(known[1], span[1])

    def _add_reject(self, reject: Reject, sides: _Sides) -> None:
        i = reject.position
        partner = int(sides.partner[i]), int(sides.partner_position[i])
        placed = Reject(
            int(sides.position[i]), reject.reason, reject.raw, reject.row, reject.column, reject.rows, partner
        )
        target = self._targets[int(sides.owner[i])]
        target.counts.read += reject.rows
        target.count_reject(placed)
        self._rejects.append((target.object_id, placed))

    def _quarantine(self) -> None:
        if self._rejects:
            quarantine.write(self._connection, self._table.schema, self._claimant, self._rejects)
            self._rejects = []

    def _write_links(self) -> None:
        partners.link(self._connection, self._links)
        self._links = {}


def _size(tables: Sequence[pa.Table]) -> int:
    return sum(table.nbytes for table in tables)


def _spans(owner: _Ids, partner: _Ids, moments: _Ids) -> Iterator[tuple[int, int, int, int]]:
    """Owner, partner, first and last moment of the rows of each owner and partner."""
    order = np.lexsort((partner, owner))
    pairs = np.stack([owner[order], partner[order]], axis=1)
    changes = np.flatnonzero(np.any(pairs[1:] != pairs[:-1], axis=1)) + 1
    starts = np.concatenate([[0], changes])
    first, last = (extreme.reduceat(moments[order], starts) for extreme in (np.minimum, np.maximum))
    columns = pairs[starts, 0], pairs[starts, 1], first, last
    yield from zip(*(column.tolist() for column in columns), strict=True)
