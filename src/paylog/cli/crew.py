"""The crew that loads a run's batches: this process, or several spawned ones that report to it."""

from __future__ import annotations

import multiprocessing
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from paylog.cli.exit_code import ExitCode, debugging, describe
from paylog.cli.lean import without_pandas
from paylog.errors import (
    DecompressionLimitExceeded,
    ErrorBudgetExceeded,
    ObjectNotFound,
    PayloadRefused,
    PaylogError,
    RetriableError,
    TruncatedStream,
)

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from paylog.records import Receipt
    from paylog.subscription import Subscription

ATTEMPTS = 4
_SECONDS_BETWEEN_REPORTS = 0.2
_SECONDS_TO_END = 10.0
# The fault lies in the batch's own objects: the other batches may be fine.
_OF_ONE_BATCH = (
    ErrorBudgetExceeded,
    PayloadRefused,
    DecompressionLimitExceeded,
    ObjectNotFound,
    TruncatedStream,
)


@dataclass(frozen=True, slots=True)
class Work:
    """A run whose plan is saved."""

    subscription: Subscription
    run_id: str


@dataclass(frozen=True, slots=True)
class Advanced:
    """Rows read and stored bytes fetched since the last report; negative when they were rolled back."""

    batch_id: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Retried:
    """A passing fault; the batch was rolled back and starts again."""

    batch_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A batch is committed."""

    batch_id: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Failed:
    """A batch was rolled back for good.

    :param fatal: no other batch will fare better.
    """

    batch_id: str
    kind: str
    message: str
    code: ExitCode
    fatal: bool

    @classmethod
    def by(cls, error: Exception, batch_id: str) -> Failed:
        kind, fatal = type(error).__name__, not isinstance(error, _OF_ONE_BATCH)
        return cls(batch_id, kind, describe(error), ExitCode.of(error), fatal)


Report = Advanced | Retried | Finished | Failed
Listener = Callable[[Report], None]


def load_batches(work: Work, batch_ids: Sequence[str], workers: int, listener: Listener) -> None:
    """Load batches, telling ``listener`` what happens. After a fatal failure no new batch is begun.

    :param workers: processes; with one, this process does the work itself.
    """
    if min(workers, len(batch_ids)) > 1:
        _load_in_processes(work, deque(batch_ids), min(workers, len(batch_ids)), listener)
        return
    for batch_id in batch_ids:
        last = _load(work, batch_id, listener)
        if isinstance(last, Failed) and last.fatal:
            return


def _load(work: Work, batch_id: str, listener: Listener) -> Finished | Failed:
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
                outcome = Finished(batch_id, _ingest(work, batch_id, progress))
    except Exception as error:
        if debugging():
            traceback.print_exc()
        outcome = Failed.by(error, batch_id)
    listener(outcome)
    return outcome


def _ingest(work: Work, batch_id: str, progress: _Progress) -> Receipt:
    from paylog.pipeline import ingest_planned

    return ingest_planned(work.subscription, work.run_id, batch_id, progress)


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


class _Worker:
    """A spawned process that loads one batch after the other."""

    def __init__(self, work: Work) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_serve, args=(work, theirs), daemon=True)
        self._process.start()
        # Else the pipe would stay open when the process dies.
        theirs.close()
        self.batch_id: str | None = None

    def give(self, batch_id: str) -> None:
        """Start a batch; a worker that is gone already is noticed by ``report``."""
        self.batch_id = batch_id
        try:
            self.connection.send(batch_id)
        except OSError:
            self._process.join(_SECONDS_TO_END)

    def report(self) -> Report:
        """The next report; it blocks until there is one."""
        assert self.batch_id is not None
        try:
            report: Report = self.connection.recv()
        except (EOFError, OSError):
            self._process.join(_SECONDS_TO_END)
            died = RetriableError(
                f"batch {self.batch_id}: its worker process ended with code {self._process.exitcode} "
                "(out of memory?); the batch was rolled back. Try again with fewer workers."
            )
            return Failed.by(died, self.batch_id)
        return report

    def end(self) -> None:
        """Stop at once; PostgreSQL rolls back what is under way when the link closes."""
        self._process.terminate()
        self._process.join(_SECONDS_TO_END)
        self.connection.close()


def _load_in_processes(work: Work, waiting: deque[str], workers: int, listener: Listener) -> None:
    crew: list[_Worker] = []
    try:
        for _ in range(workers):
            crew.append(_Worker(work))
            crew[-1].give(waiting.popleft())
        while busy := {w.connection: w for w in crew if w.batch_id is not None}:
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                _listen(busy[connection], waiting, listener)
    finally:
        for worker in crew:
            worker.end()


def _listen(worker: _Worker, waiting: deque[str], listener: Listener) -> None:
    report = worker.report()
    listener(report)
    if isinstance(report, Failed) and report.fatal:
        waiting.clear()
    if isinstance(report, Finished | Failed):
        worker.batch_id = None
        if waiting:
            worker.give(waiting.popleft())


def _serve(work: Work, connection: Connection) -> None:
    """A worker process: load what is asked for until the other end closes."""
    without_pandas()
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        while True:
            _load(work, connection.recv(), connection.send)
    except (EOFError, OSError):
        return
