"""What was posted of a subscription's payload records to its OpenScale service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime

from paylog.data_mart import delivered_rows, deliveries, setup
from paylog.data_mart.delivered_rows import PayloadRow, Place
from paylog.data_mart.deliveries import DeliveryCounts, DeliveryEntry, Settlement, Undelivered
from paylog.data_mart.session import Sessions


class DeliveryLog:
    """Part of a ``DataMart``, which says what every method raises."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @contextmanager
    def rows(
        self,
        subscription_id: str,
        receipt_id: int,
        sides: tuple[Sequence[str], Sequence[str]],
        between: tuple[Place, Place] | None = None,
    ) -> Iterator[Iterator[PayloadRow]]:
        """The rows that a receipt's batch loaded, streamed in the order of their places.

        :param sides: columns of request and response.
        """
        what, schema = f"read the rows of receipt {receipt_id}", self._sessions.schema
        with self._sessions.transaction(what) as connection:
            slices = delivered_rows.queries(connection, schema, subscription_id, receipt_id, sides, between)
        with ExitStack() as ending:
            links = [ending.enter_context(self._sessions.session(what)) for _ in slices[:2]]
            yield ending.enter_context(closing(delivered_rows.read(links, slices, between)))

    @contextmanager
    def exclusive(self, subscription_id: str, receipt_id: int) -> Iterator[None]:
        """Be the only one that delivers a receipt's rows."""
        with self._sessions.session(f"deliver receipt {receipt_id}") as link:
            setup.lock_session(link, "delivery", self._sessions.schema, subscription_id, str(receipt_id))
            yield

    def of_receipt(self, subscription_id: str, receipt_id: int) -> list[DeliveryEntry]:
        """The requests that a receipt's rows were posted in."""
        with self._sessions.transaction(f"read the deliveries of receipt {receipt_id}") as connection:
            return deliveries.of_receipt(connection, subscription_id, receipt_id)

    def undelivered(self, subscription_id: str, run_id: str | None = None) -> list[Undelivered]:
        """Receipts of a run, or of all, with rows that are neither confirmed nor failed; oldest first."""
        with self._sessions.transaction(f"read what of {subscription_id!r} is not delivered") as connection:
            return deliveries.undelivered(connection, self._sessions.schema, subscription_id, run_id)

    def reopen(self, subscription_id: str, run_id: str | None = None) -> int:
        """Let requests with failed rows, of a run or of all, be tried again; how many there are."""
        with self._sessions.transaction(f"reopen failed deliveries of {subscription_id!r}") as connection:
            return deliveries.reopen(connection, subscription_id, run_id)

    def begin(
        self,
        subscription_id: str,
        receipt_id: int,
        requests: Sequence[tuple[Place, Place, int]],
        count_before: int | None = None,
    ) -> list[int]:
        """Note that rows are about to be posted in some requests; the deliveries' ids in their order."""
        with self._sessions.transaction(f"note deliveries of receipt {receipt_id}") as connection:
            return deliveries.begin(connection, subscription_id, receipt_id, requests, count_before)

    def settle(self, *known: Settlement) -> None:
        """Note what is known of deliveries."""
        numbers = ", ".join(str(one.delivery_id) for one in known)
        with self._sessions.transaction(f"note the state of deliveries {numbers}") as connection:
            deliveries.settle(connection, known)

    def counts(self, subscription_id: str, run_id: str | None = None) -> DeliveryCounts:
        """What became of the rows that a run, or all of them, loaded at the service."""
        with self._sessions.transaction(f"count the deliveries of {subscription_id!r}") as connection:
            return deliveries.counts(connection, subscription_id, run_id)

    def scoring_span(self, subscription_id: str, run_id: str) -> tuple[datetime, datetime] | None:
        """First and last scoring time of what a run loaded, None when it loaded nothing."""
        with self._sessions.transaction(f"read the ledger of run {run_id!r}") as connection:
            return deliveries.span(connection, subscription_id, run_id)
