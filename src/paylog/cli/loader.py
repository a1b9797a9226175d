"""One process's part of a run: batch after batch, with progress, again after a passing fault."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paylog.cli.exit_code import debugging, describe
from paylog.cli.reports import Advanced, Failed, Finished, Listener, Retried
from paylog.errors import PaylogError, RetriableError

if TYPE_CHECKING:
    from paylog.pipeline import Workbench
    from paylog.records import Receipt
    from paylog.subscription import Subscription

ATTEMPTS = 4
_SECONDS_BETWEEN_REPORTS = 0.2


@dataclass(frozen=True, slots=True)
class Work:
    """A run whose plan is saved."""

    subscription: Subscription
    run_id: str


def import_what_a_load_needs() -> None:
    """Before a fork, so that the workers share it."""
    import paylog.data_mart
    import paylog.decode  # noqa: F401


class Loader:
    """Loads batches in this process; connections and what was learned stay from one to the next."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._workbench: Workbench | None = None

    def load(self, batch_id: str, listener: Listener) -> Finished | Failed:
        """Load one batch, again after a passing fault; what is returned was told too."""
        import stamina
        import stamina.instrumentation

        # The storage's own retries would be logged on stderr, across the progress bar.
        stamina.instrumentation.set_on_retry_hooks([])
        outcome: Finished | Failed
        try:
            for attempt in stamina.retry_context(
                on=RetriableError, attempts=ATTEMPTS, timeout=None, wait_initial=1.0, wait_max=20.0
            ):
                with attempt, _attempt(batch_id, attempt.num, listener) as progress:
                    outcome = Finished(batch_id, self._ingest(batch_id, progress))
        except Exception as error:
            if debugging():
                traceback.print_exc()
            outcome = Failed.by(error, batch_id)
        listener(outcome)
        return outcome

    def close(self) -> None:
        """Close the connections."""
        if self._workbench is not None:
            self._workbench.data_mart.close()
            self._workbench = None

    def _ingest(self, batch_id: str, progress: _Progress) -> Receipt:
        from paylog import pipeline

        work = self._work
        if self._workbench is None:
            self._workbench = pipeline.Workbench(work.subscription)
        try:
            return pipeline.ingest_planned(
                work.subscription, work.run_id, batch_id, progress, self._workbench
            )
        except BaseException:
            self.close()
            raise


class _Progress:
    """Adds up small advances into a few reports a second."""

    def __init__(self, batch_id: str, listener: Listener) -> None:
        self._batch_id = batch_id
        self._listener = listener
        self._rows = self._bytes = 0
        self._told_rows = self._told_bytes = 0
        self._due = 0.0

    def __call__(self, rows: int, stored_bytes: int) -> None:
        self._rows += rows
        self._bytes += stored_bytes
        if (now := time.monotonic()) >= self._due:
            self._due = now + _SECONDS_BETWEEN_REPORTS
            self.tell()

    def tell(self) -> None:
        self._listener(Advanced(self._batch_id, self._rows - self._told_rows, self._bytes - self._told_bytes))
        self._told_rows, self._told_bytes = self._rows, self._bytes

    def take_back(self) -> None:
        self._rows = self._bytes = 0
        self.tell()


@contextmanager
def _attempt(batch_id: str, number: int, listener: Listener) -> Iterator[_Progress]:
    """Progress of one attempt, taken back when it fails."""
    progress = _Progress(batch_id, listener)
    try:
        yield progress
        progress.tell()
    except PaylogError as error:
        progress.take_back()
        if isinstance(error, RetriableError) and number < ATTEMPTS:
            listener(Retried(batch_id, describe(error)))
        raise
