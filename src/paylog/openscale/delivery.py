"""A batch's rows to the service: each confirmed exactly once, or reported as failed with its reason.

Before a request is sent, a row in the data mart says so (``posting``). After a crash, or when nobody knows
whether a request was taken, the service is asked which of its records it has before any is sent again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from paylog.data_mart import DataMart
from paylog.data_mart.delivered_rows import PayloadRow
from paylog.data_mart.deliveries import DeliveryEntry, DeliveryState
from paylog.errors import RetriableError
from paylog.openscale.records import Chunk, RecordWriter
from paylog.openscale.service import Busy, Refused, Service, Unknown
from paylog.subscription import Subscription
from paylog.subscription.delivery import ServiceApi

log = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 15.0
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
        self._stored = 0  # v1: the service's count up to which everything is confirmed

    def deliver(self, receipt_id: int, told: Told) -> Delivered:
        """Post what is not confirmed yet; another delivery of the same receipt is waited for.

        :raises RetriableError: some of it could not be confirmed in time; call again.
        """
        with self._mart.delivering(self._subscription.id, receipt_id):
            return self._deliver(receipt_id, told)

    def _deliver(self, receipt_id: int, told: Told) -> Delivered:
        known = self._mart.deliveries(self._subscription.id, receipt_id)
        total = Delivered()
        for entry in known:
            if entry.state in (DeliveryState.POSTING, DeliveryState.ACCEPTED):
                self._add(total, self._resume(receipt_id, entry), told)
        with self._mart.delivered_rows(self._subscription.id, receipt_id) as rows:
            fresh = self._writer.chunks(_uncovered(rows, known))
            for done in self._in_parallel(lambda chunk: self._send(receipt_id, chunk), fresh):
                self._add(total, done, told)
        return total

    def _in_parallel(
        self, send: Callable[[Chunk], Delivered], chunks: Iterator[Chunk]
    ) -> Iterator[Delivered]:
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
        delivery = self._mart.begin_delivery(
            self._subscription.id, receipt_id, chunk.first, chunk.last, chunk.rows
        )
        if not self._v2:
            self._stored = self._service_count()
        return self._post(delivery, chunk, _Patience(self._settings.patience.total_seconds()))

    def _resume(self, receipt_id: int, entry: DeliveryEntry) -> Delivered:
        """Settle a request that an earlier call left open."""
        with self._mart.delivered_rows(self._subscription.id, receipt_id) as rows:
            chunk = self._writer.whole(row for row in rows if entry.covers(row.place))
        if chunk is None:  # its rows were superseded since
            self._mart.settle_delivery(entry.delivery_id, DeliveryState.FAILED, failed=entry.rows)
            return Delivered(0, entry.rows)
        patience = _Patience(self._settings.patience.total_seconds())
        if self._v2 and entry.request_id is not None:
            return self._follow(entry.delivery_id, chunk, entry.request_id, patience)
        accepted = entry.state is DeliveryState.ACCEPTED
        return self._look(entry.delivery_id, chunk, patience, wait_for_it=accepted)

    def _post(self, delivery: int, chunk: Chunk, patience: _Patience) -> Delivered:
        """Send a chunk that the service does not have, until it takes it."""
        while True:
            self._pace.wait(chunk.rows)
            try:
                request = self._service.post(chunk)
            except Busy as busy:
                patience.wait(f"the service does not take records: {busy}", busy.after)
                continue
            except Refused as refusal:
                return self._failed(delivery, chunk, refusal.errors or [{"code": f"HTTP {refusal.status}"}])
            except Unknown as unknown:
                log.warning("whether a request was taken is not known (%s): asking the service", unknown)
                return self._look(delivery, chunk, patience)
            self._mart.settle_delivery(delivery, DeliveryState.ACCEPTED, request_id=request)
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
        """Ask which records the service has; send it again only when it has none, and has had its time.

        :param wait_for_it: the service has said that it took the chunk.
        """
        if not self._v2:
            return self._count_up(delivery, chunk, patience, wait_for_it=wait_for_it)
        looks = 0
        while True:
            present = self._present(chunk, patience)
            if len(present) == len(set(chunk.expected_ids)):
                return self._confirmed(delivery, chunk)
            looks += 1
            if not present and not wait_for_it and looks >= _LOOKS:
                return self._post(delivery, chunk, patience)
            patience.wait("the service does not have all records of a request yet")

    def _count_up(self, delivery: int, chunk: Chunk, patience: _Patience, *, wait_for_it: bool) -> Delivered:
        """v1 cannot be asked for records: its count has to rise by those of the chunk."""
        looks = 0
        while True:
            if self._service_count() >= self._stored + chunk.rows:
                return self._confirmed(delivery, chunk)
            looks += 1
            if not wait_for_it and looks >= _LOOKS:
                return self._post(delivery, chunk, patience)
            patience.wait("the service does not count the records of a request yet")

    def _sorted(
        self, delivery: int, chunk: Chunk, errors: Iterable[dict[str, Any]], patience: _Patience
    ) -> Delivered:
        """A request that ended with errors: the rows that the service has, and the others."""
        present = self._present(chunk, patience)
        missing = [ours for ours, theirs in _pairs(chunk) if theirs not in present]
        told = [_about(error, chunk) for error in errors]
        if not missing:
            return self._confirmed(delivery, chunk)
        confirmed = chunk.rows - len(missing)
        self._mart.settle_delivery(
            delivery, DeliveryState.FAILED, confirmed=confirmed, failed=len(missing), errors=told
        )
        codes = sorted({str(error.get("code")) for error in told})
        log.error("the service did not store %d of %d rows: %s", len(missing), chunk.rows, ", ".join(codes))
        return Delivered(confirmed, len(missing))

    def _present(self, chunk: Chunk, patience: _Patience) -> set[str]:
        while True:
            try:
                return self._service.present(chunk.expected_ids) & set(chunk.expected_ids)
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
        self._mart.settle_delivery(delivery, DeliveryState.CONFIRMED, confirmed=chunk.rows)
        return Delivered(chunk.rows, 0)

    def _failed(self, delivery: int, chunk: Chunk, errors: list[dict[str, Any]]) -> Delivered:
        told = [_about(error, chunk) for error in errors]
        self._mart.settle_delivery(delivery, DeliveryState.FAILED, failed=chunk.rows, errors=told)
        codes = sorted({str(error.get("code")) for error in told})
        log.error("the service refused %d rows: %s", chunk.rows, ", ".join(codes))
        return Delivered(0, chunk.rows)

    @staticmethod
    def _add(total: Delivered, done: Delivered, told: Told) -> None:
        total.confirmed, total.failed = total.confirmed + done.confirmed, total.failed + done.failed
        told(done.confirmed, done.failed)


_LOOKS = 3
"""How often the service is asked for a chunk that it may have, before it is taken not to have it."""


class _Patience:
    """Waits longer from time to time, and not for ever."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._next = _FIRST_WAIT

    def wait(self, why: str, asked: float | None = None) -> None:
        """:raises RetriableError: patience is at its end."""
        pause = self._next if asked is None else max(asked, 0.05)
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
