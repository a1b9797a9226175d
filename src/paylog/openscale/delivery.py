"""A batch's rows to the service: each confirmed exactly once, or reported as failed with its reason.

Before a request is sent, a row in the data mart says so (``posting``). After a crash, or when nobody knows
whether a request was taken, the service is asked which of its records it has before any is sent again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from paylog.data_mart import DataMart
from paylog.data_mart.delivered_rows import PayloadRow
from paylog.data_mart.deliveries import DeliveryEntry, DeliveryState, Settlement
from paylog.openscale.crew import Crew, Delivered, Told
from paylog.openscale.pace import Pace, Patience
from paylog.openscale.records import Chunk, RecordWriter, on_its_own
from paylog.openscale.service import Busy, Forgotten, Refused, Service, Unknown
from paylog.subscription import Subscription
from paylog.subscription.delivery import ServiceApi

log = logging.getLogger(__name__)

_ROWS_NOTED = 4000


class Deliverer:
    """Delivers the batches of one subscription.

    :param data_mart: used by several threads.
    """

    def __init__(self, data_mart: DataMart, subscription: Subscription, service: Service) -> None:
        assert subscription.deliver is not None
        self._mart = data_mart
        self._subscription = subscription
        self._service = service
        self._settings = subscription.deliver
        self._writer = RecordWriter(subscription.model_schema, self._settings, subscription.deployment.id)
        self._v2 = self._settings.api is ServiceApi.V2
        self._pace = Pace(self._settings.rows_per_second)
        self._settle = min(self._settings.settle, self._settings.patience / 2).total_seconds()
        self._historical = False
        self._stored = 0  # v1: the service's count before the request that is under way

    def deliver(self, receipt_id: int, told: Told, *, historical: bool = False) -> Delivered:
        """Post what is not confirmed yet; another delivery of the same receipt is waited for.

        :param historical: mark the records as historical data, unless the settings say which they are.
        :raises RetriableError: some of it could not be confirmed in time; call again.
        """
        marked = self._settings.historical
        self._historical = historical if marked is None else marked
        with self._mart.delivery.exclusive(self._subscription.id, receipt_id):
            return self._deliver(receipt_id, told)

    def _deliver(self, receipt_id: int, told: Told) -> Delivered:
        deliveries, name = self._mart.delivery, self._subscription.id
        known = deliveries.of_receipt(name, receipt_id)
        crew = Crew(deliveries, self._settings.max_parallel if self._v2 else 1, told)
        unsettled = [e for e in known if e.state in (DeliveryState.POSTING, DeliveryState.ACCEPTED)]
        crew.do(lambda entry: self._resume(receipt_id, entry), unsettled)
        with deliveries.rows(name, receipt_id, self._writer.sides) as rows:
            left = _uncovered(rows, known) if known else rows
            fresh = self._noted(receipt_id, self._writer.chunks(left))
            crew.do(lambda noted: self._post(*noted, self._patience()), fresh)
        return crew.total

    def _noted(self, receipt_id: int, chunks: Iterator[Chunk]) -> Iterator[tuple[int, Chunk]]:
        """Chunks with the ids of their entries, which are made for as many as are posted at a time."""
        most = self._settings.max_parallel if self._v2 else 1
        while some := _few(chunks, most):
            if not self._v2:
                self._stored = self._service_count()
            numbers = self._mart.delivery.begin(
                self._subscription.id,
                receipt_id,
                [(chunk.first, chunk.last, chunk.rows) for chunk in some],
                None if self._v2 else self._stored,
            )
            yield from zip(numbers, some, strict=True)

    def _patience(self) -> Patience:
        return Patience(self._settings.patience.total_seconds())

    def _resume(self, receipt_id: int, entry: DeliveryEntry) -> Settlement:
        """Settle a request that an earlier call left open."""
        between = entry.first, entry.last
        name, sides = self._subscription.id, self._writer.sides
        with self._mart.delivery.rows(name, receipt_id, sides, between) as rows:
            chunk = self._writer.whole(rows)
        if chunk is None:  # its rows were superseded since
            return Settlement(entry.delivery_id, DeliveryState.CONFIRMED)
        patience = self._patience()
        if self._v2 and entry.request_id is not None:
            return self._follow(entry.delivery_id, chunk, entry.request_id, patience)
        if not self._v2:
            if entry.count_before is None:  # the service refused all of it before
                self._stored = self._service_count()
                return self._post(entry.delivery_id, chunk, patience)
            self._stored = entry.count_before
        accepted = entry.state is DeliveryState.ACCEPTED
        return self._look(entry.delivery_id, chunk, patience, wait_for_it=accepted)

    def _post(self, delivery: int, chunk: Chunk, patience: Patience) -> Settlement:
        """Send a chunk that the service does not have, until it takes it."""
        while True:
            self._pace.wait(chunk.rows)
            try:
                taken = self._service.post(chunk.body, historical=self._historical)
            except Busy as busy:
                patience.wait(f"the service does not take records: {busy}", busy.after)
                continue
            except Refused as refusal:
                return _failed(delivery, chunk, refusal.errors or [{"code": f"HTTP {refusal.status}"}])
            except Unknown as unknown:
                log.warning("whether a request was taken is not known (%s): asking the service", unknown)
                return self._look(delivery, chunk, patience)
            request = taken.request_id
            if taken.stored == chunk.rows:
                return _confirmed(delivery, chunk, request)
            accepted = Settlement(delivery, DeliveryState.ACCEPTED, request_id=request)
            self._mart.delivery.settle(accepted)
            if self._v2 and request is not None:
                return self._follow(delivery, chunk, request, patience)
            return self._look(delivery, chunk, patience, wait_for_it=True)

    def _follow(self, delivery: int, chunk: Chunk, request: str, patience: Patience) -> Settlement:
        """Poll an accepted request to its final state."""
        while True:
            try:
                found = self._service.state(request)
            except Busy as busy:
                patience.wait(f"the service does not say how far a request is: {busy}", busy.after)
                continue
            except Forgotten:
                log.warning("the service does not know a request that it took: asking for its records")
                return self._look(delivery, chunk, patience)
            if found.state == "active" and not found.errors:
                return _confirmed(delivery, chunk)
            if found.state in ("active", "error"):
                return self._sorted(delivery, chunk, found.errors, patience)
            patience.wait("a request is still being stored")

    def _look(
        self, delivery: int, chunk: Chunk, patience: Patience, *, wait_for_it: bool = False
    ) -> Settlement:
        """Ask which records the service has; send the others again only when it has had its time.

        :param wait_for_it: the service has said that it took the chunk.
        """
        if not self._v2:
            return self._count_up(delivery, chunk, patience, wait_for_it=wait_for_it)
        known, since = -1, time.monotonic()
        while True:
            missing = self._missing(chunk, patience)
            if not missing:
                return _confirmed(delivery, chunk)
            if len(missing) != known:
                known, since = len(missing), time.monotonic()
            elif not wait_for_it and time.monotonic() - since >= self._settle:
                return self._post(delivery, self._part(chunk, missing), patience)
            patience.wait("the service does not have all records of a request yet", most=self._settle)

    def _count_up(self, delivery: int, chunk: Chunk, patience: Patience, *, wait_for_it: bool) -> Settlement:
        """v1 cannot be asked for records: its count has to rise by those of the chunk."""
        known, since = -1, time.monotonic()
        while True:
            count = self._service_count()
            if count >= self._stored + chunk.rows:
                return _confirmed(delivery, chunk)
            if count != known:
                known, since = count, time.monotonic()
            elif not wait_for_it and count == self._stored and time.monotonic() - since >= self._settle:
                return self._post(delivery, chunk, patience)
            patience.wait("the service does not count the records of a request yet", most=self._settle)

    def _sorted(
        self, delivery: int, chunk: Chunk, errors: Iterable[dict[str, Any]], patience: Patience
    ) -> Settlement:
        """A request that ended with errors: the rows that the service has, and the others."""
        missing = self._missing(chunk, patience)
        told = [_about(error, chunk) for error in errors]
        if not missing:
            return _confirmed(delivery, chunk)
        confirmed = chunk.rows - len(missing) + chunk.already
        log.error("the service did not store %d of %d rows: %s", len(missing), chunk.rows, _codes(told))
        return Settlement(delivery, DeliveryState.FAILED, confirmed, len(missing), errors=told)

    def _missing(self, chunk: Chunk, patience: Patience) -> list[PayloadRow]:
        """Rows that the service does not have, neither in their record nor on their own."""
        there = self._present(chunk.expected_ids, chunk, patience)
        rows = zip(chunk.members, chunk.expected_ids, strict=True)
        missing = {on_its_own(row): row for row, expected in rows if expected not in there}
        if missing and len(missing) < chunk.rows + chunk.already:  # parts may have been posted on their own
            there = self._present(list(missing), chunk, patience)
        return [row for expected, row in missing.items() if expected not in there]

    def _part(self, chunk: Chunk, missing: list[PayloadRow]) -> Chunk:
        part = self._writer.whole(missing)
        assert part is not None
        return replace(part, already=chunk.already + chunk.rows - part.rows)

    def _present(self, ids: Sequence[str], chunk: Chunk, patience: Patience) -> set[str]:
        while True:
            try:
                return self._service.present(ids, chunk.span) & set(ids)
            except Busy as busy:
                patience.wait(f"the service cannot be asked for records: {busy}", busy.after)

    def _service_count(self) -> int:
        patience = Patience(self._settings.patience.total_seconds())
        while True:
            try:
                return self._service.count()
            except Busy as busy:
                patience.wait(f"the service does not count its records: {busy}", busy.after)


def _confirmed(delivery: int, chunk: Chunk, request: str | None = None) -> Settlement:
    rows = chunk.rows + chunk.already
    return Settlement(delivery, DeliveryState.CONFIRMED, rows, request_id=request)


def _failed(delivery: int, chunk: Chunk, errors: list[dict[str, Any]]) -> Settlement:
    told = [_about(error, chunk) for error in errors]
    log.error("the service refused %d rows: %s", chunk.rows, _codes(told))
    return Settlement(delivery, DeliveryState.FAILED, chunk.already, chunk.rows, errors=told)


def _codes(errors: Iterable[dict[str, Any]]) -> str:
    return ", ".join(sorted({str(error.get("code")) for error in errors}))


def _few(chunks: Iterator[Chunk], most: int) -> list[Chunk]:
    """The next chunks; of large ones not as many, so that none waits long for others to be read."""
    some: list[Chunk] = []
    while (
        len(some) < most and sum(chunk.rows for chunk in some) < _ROWS_NOTED and (chunk := next(chunks, None))
    ):
        some.append(chunk)
    return some


def _uncovered(rows: Iterable[PayloadRow], known: list[DeliveryEntry]) -> Iterator[PayloadRow]:
    """Rows that no request held yet; both are in the order of places."""
    at = 0
    for row in rows:
        while at < len(known) and known[at].last < row.place:
            at += 1
        if at == len(known) or not known[at].covers(row.place):
            yield row


def _pairs(chunk: Chunk) -> Iterator[tuple[str, str]]:
    return zip(chunk.scoring_ids, chunk.expected_ids, strict=True)


def _about(error: dict[str, Any], chunk: Chunk) -> dict[str, Any]:
    """An error of the service with the row that it concerns, where it says so."""
    kept = {name: error[name] for name in ("code", "message") if name in error}
    message = str(error.get("message", ""))
    named = [ours for ours, theirs in _pairs(chunk) if theirs in message or ours in message]
    return kept | ({"scoring_id": named[0]} if named else {})
