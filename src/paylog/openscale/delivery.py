"""A batch's rows to the service: each confirmed exactly once, or reported as failed with its reason.

Before a request is sent, a row in the data mart says so (``posting``). After a crash, or when nobody knows
whether a request was taken, the service is asked which of its records it has before any is sent again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from paylog.data_mart import DataMart
from paylog.data_mart.delivered_rows import PayloadRow
from paylog.data_mart.deliveries import DeliveryEntry, DeliveryState
from paylog.errors import RetriableError
from paylog.openscale.records import Chunk, RecordWriter, on_its_own
from paylog.openscale.service import Busy, Refused, Service, Unknown
from paylog.subscription import Subscription
from paylog.subscription.delivery import ServiceApi

log = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 15.0
T = TypeVar("T")
Told = Callable[[int, int], None]
"""Called with the rows that were confirmed and that failed since the last call."""


@dataclass(slots=True)
class Delivered:
    """Rows of one receipt, in this call."""

    confirmed: int = 0
    failed: int = 0


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
        self._pace = _Pace(self._settings.rows_per_second)
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
        known = self._mart.delivery.of_receipt(self._subscription.id, receipt_id)
        total = Delivered()
        unsettled = [e for e in known if e.state in (DeliveryState.POSTING, DeliveryState.ACCEPTED)]
        for done in self._in_parallel(lambda entry: self._resume(receipt_id, entry), unsettled):
            self._add(total, done, told)
        with self._mart.delivery.rows(self._subscription.id, receipt_id) as rows:
            fresh = self._writer.chunks(_uncovered(rows, known))
            for done in self._in_parallel(lambda chunk: self._send(receipt_id, chunk), fresh):
                self._add(total, done, told)
        return total

    def _in_parallel(self, send: Callable[[T], Delivered], chunks: Iterable[T]) -> Iterator[Delivered]:
        """As many requests at a time as allowed; memory holds no more chunks than that."""
        parallel = self._settings.max_parallel if self._v2 else 1
        running: set[Future[Delivered]] = set()
        with ThreadPoolExecutor(parallel, "delivery") as pool:
            for chunk in chunks:
                running.add(pool.submit(send, chunk))
                if len(running) >= parallel:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (one.result() for one in done)
            yield from (one.result() for one in running)

    def _send(self, receipt_id: int, chunk: Chunk) -> Delivered:
        if not self._v2:
            self._stored = self._service_count()
        delivery = self._mart.delivery.begin(
            self._subscription.id,
            receipt_id,
            chunk.first,
            chunk.last,
            chunk.rows,
            None if self._v2 else self._stored,
        )
        return self._post(delivery, chunk, _Patience(self._settings.patience.total_seconds()))

    def _resume(self, receipt_id: int, entry: DeliveryEntry) -> Delivered:
        """Settle a request that an earlier call left open."""
        between = entry.first, entry.last
        with self._mart.delivery.rows(self._subscription.id, receipt_id, between) as rows:
            chunk = self._writer.whole(rows)
        if chunk is None:  # its rows were superseded since
            self._mart.delivery.settle(entry.delivery_id, DeliveryState.CONFIRMED)
            return Delivered()
        patience = _Patience(self._settings.patience.total_seconds())
        if self._v2 and entry.request_id is not None:
            return self._follow(entry.delivery_id, chunk, entry.request_id, patience)
        if not self._v2:
            if entry.count_before is None:  # the service refused all of it before
                self._stored = self._service_count()
                return self._post(entry.delivery_id, chunk, patience)
            self._stored = entry.count_before
        accepted = entry.state is DeliveryState.ACCEPTED
        return self._look(entry.delivery_id, chunk, patience, wait_for_it=accepted)

    def _post(self, delivery: int, chunk: Chunk, patience: _Patience) -> Delivered:
        """Send a chunk that the service does not have, until it takes it."""
        while True:
            self._pace.wait(chunk.rows)
            try:
                request = self._service.post(chunk.body, historical=self._historical)
            except Busy as busy:
                patience.wait(f"the service does not take records: {busy}", busy.after)
                continue
            except Refused as refusal:
                return self._failed(delivery, chunk, refusal.errors or [{"code": f"HTTP {refusal.status}"}])
            except Unknown as unknown:
                log.warning("whether a request was taken is not known (%s): asking the service", unknown)
                return self._look(delivery, chunk, patience)
            self._mart.delivery.settle(delivery, DeliveryState.ACCEPTED, request_id=request)
            if self._v2 and request is not None:
                return self._follow(delivery, chunk, request, patience)
            return self._look(delivery, chunk, patience, wait_for_it=True)

    def _follow(self, delivery: int, chunk: Chunk, request: str, patience: _Patience) -> Delivered:
        """Poll an accepted request to its final state."""
        while True:
            try:
                found = self._service.state(request)
            except Busy as busy:
                patience.wait(f"the service does not say how far a request is: {busy}", busy.after)
                continue
            if found.state == "active" and not found.errors:
                return self._confirmed(delivery, chunk)
            if found.state in ("active", "error"):
                return self._sorted(delivery, chunk, found.errors, patience)
            patience.wait("a request is still being stored")

    def _look(
        self, delivery: int, chunk: Chunk, patience: _Patience, *, wait_for_it: bool = False
    ) -> Delivered:
        """Ask which records the service has; send the others again only when it has had its time.

        :param wait_for_it: the service has said that it took the chunk.
        """
        if not self._v2:
            return self._count_up(delivery, chunk, patience, wait_for_it=wait_for_it)
        known, since = -1, time.monotonic()
        while True:
            missing = self._missing(chunk, patience)
            if not missing:
                return self._confirmed(delivery, chunk)
            if len(missing) != known:
                known, since = len(missing), time.monotonic()
            elif not wait_for_it and time.monotonic() - since >= self._settle:
                return self._post(delivery, self._part(chunk, missing), patience)
            patience.wait("the service does not have all records of a request yet", most=self._settle)

    def _count_up(self, delivery: int, chunk: Chunk, patience: _Patience, *, wait_for_it: bool) -> Delivered:
        """v1 cannot be asked for records: its count has to rise by those of the chunk."""
        known, since = -1, time.monotonic()
        while True:
            count = self._service_count()
            if count >= self._stored + chunk.rows:
                return self._confirmed(delivery, chunk)
            if count != known:
                known, since = count, time.monotonic()
            elif not wait_for_it and count == self._stored and time.monotonic() - since >= self._settle:
                return self._post(delivery, chunk, patience)
            patience.wait("the service does not count the records of a request yet", most=self._settle)

    def _sorted(
        self, delivery: int, chunk: Chunk, errors: Iterable[dict[str, Any]], patience: _Patience
    ) -> Delivered:
        """A request that ended with errors: the rows that the service has, and the others."""
        missing = self._missing(chunk, patience)
        told = [_about(error, chunk) for error in errors]
        if not missing:
            return self._confirmed(delivery, chunk)
        confirmed = chunk.rows - len(missing) + chunk.already
        self._mart.delivery.settle(
            delivery, DeliveryState.FAILED, confirmed=confirmed, failed=len(missing), errors=told
        )
        codes = sorted({str(error.get("code")) for error in told})
        log.error("the service did not store %d of %d rows: %s", len(missing), chunk.rows, ", ".join(codes))
        return Delivered(confirmed, len(missing))

    def _missing(self, chunk: Chunk, patience: _Patience) -> list[PayloadRow]:
        """Rows that the service does not have, neither in their record nor on their own."""
        there = self._present(chunk.expected_ids, patience)
        rows = zip(chunk.members, chunk.expected_ids, strict=True)
        missing = {on_its_own(row): row for row, expected in rows if expected not in there}
        if missing and len(missing) < chunk.rows + chunk.already:  # parts may have been posted on their own
            there = self._present(list(missing), patience)
        return [row for expected, row in missing.items() if expected not in there]

    def _part(self, chunk: Chunk, missing: list[PayloadRow]) -> Chunk:
        part = self._writer.whole(missing)
        assert part is not None
        return replace(part, already=chunk.already + chunk.rows - part.rows)

    def _present(self, ids: Sequence[str], patience: _Patience) -> set[str]:
        while True:
            try:
                return self._service.present(ids) & set(ids)
            except Busy as busy:
                patience.wait(f"the service cannot be asked for records: {busy}", busy.after)

    def _service_count(self) -> int:
        patience = _Patience(self._settings.patience.total_seconds())
        while True:
            try:
                return self._service.count()
            except Busy as busy:
                patience.wait(f"the service does not count its records: {busy}", busy.after)

    def _confirmed(self, delivery: int, chunk: Chunk) -> Delivered:
        confirmed = chunk.rows + chunk.already
        self._mart.delivery.settle(delivery, DeliveryState.CONFIRMED, confirmed=confirmed)
        return Delivered(confirmed, 0)

    def _failed(self, delivery: int, chunk: Chunk, errors: list[dict[str, Any]]) -> Delivered:
        told = [_about(error, chunk) for error in errors]
        self._mart.delivery.settle(
            delivery, DeliveryState.FAILED, confirmed=chunk.already, failed=chunk.rows, errors=told
        )
        codes = sorted({str(error.get("code")) for error in told})
        log.error("the service refused %d rows: %s", chunk.rows, ", ".join(codes))
        return Delivered(chunk.already, chunk.rows)

    @staticmethod
    def _add(total: Delivered, done: Delivered, told: Told) -> None:
        total.confirmed, total.failed = total.confirmed + done.confirmed, total.failed + done.failed
        told(done.confirmed, done.failed)


class _Patience:
    """Waits longer from time to time, and not for ever."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._next = _FIRST_WAIT

    def wait(self, why: str, asked: float | None = None, most: float = _LONGEST_WAIT) -> None:
        """:raises RetriableError: patience is at its end."""
        pause = max(min(self._next, most) if asked is None else asked, _FIRST_WAIT)
        if time.monotonic() + pause > self._until:
            raise RetriableError(f"{why}; what is not confirmed will be settled by the next attempt")
        time.sleep(pause)
        self._next = min(2 * self._next, _LONGEST_WAIT)


class _Pace:
    """Holds all threads together to so many rows a second."""

    def __init__(self, rows_per_second: int | None) -> None:
        self._rate = rows_per_second
        self._free = time.monotonic()
        self._lock = threading.Lock()

    def wait(self, rows: int) -> None:
        if self._rate is None:
            return
        with self._lock:
            start = max(self._free, time.monotonic())
            self._free = start + rows / self._rate
        time.sleep(max(0.0, start - time.monotonic()))


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
