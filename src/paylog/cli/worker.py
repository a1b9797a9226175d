"""A process of a crew: forked where that is safe, spawned elsewhere."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from paylog.cli.lean import settle, start_lean
from paylog.cli.loader import Loader, Work, import_what_a_load_needs
from paylog.cli.reports import Failed, Report
from paylog.errors import RetriableError

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext
    from multiprocessing.process import BaseProcess

_SECONDS_TO_END = 10.0
_STOPS = (signal.SIGINT, signal.SIGTERM)


class Worker:
    """A process that loads one batch after the other.

    :param others: this process's ends of the other workers' pipes, which a forked one has copies of.
    """

    def __init__(self, work: Work, others: Sequence[Connection]) -> None:
        context = _context()
        self.connection, theirs = context.Pipe()
        not_theirs = [self.connection, *others] if context.get_start_method() == "fork" else []
        self._process: BaseProcess = context.Process(
            target=_serve, args=(work, theirs, not_theirs), daemon=True
        )
        with _stops_deferred():
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


def _context() -> ForkContext | SpawnContext:
    """Forking copies this thread only: were there others, the locks that they hold would stay locked.

    obstore, the cloud stores' client, has threads that Python does not know of.
    """
    alone = threading.active_count() == 1 and "obstore" not in sys.modules
    if sys.platform == "linux" and alone:
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


@contextmanager
def _stops_deferred() -> Iterator[None]:
    """A worker starts with its signals blocked, until it has handlers of its own for them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(work: Work, connection: Connection, not_ours: Sequence[Connection]) -> None:
    """A worker process: load what is asked for until the other end closes."""
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    # Else none of us would notice that the parent is gone.
    for other in not_ours:
        other.close()
    start_lean()
    import_what_a_load_needs()
    settle()
    loader = Loader(work)
    try:
        while True:
            loader.load(connection.recv(), connection.send)
    except (EOFError, OSError):
        return
