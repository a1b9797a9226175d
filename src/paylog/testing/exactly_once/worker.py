"""Worker processes: each does one task of a run and can be killed at any moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Barrier
from typing import Protocol

from paylog import pipeline, replay, retract
from paylog.connections import Connection, use_resolver
from paylog.records import Receipt
from paylog.subscription import Subscription
from paylog.testing.exactly_once.runs import ingest_with_retries

# A server that has the libraries loaded and forks each worker: dozens of workers start in no time.
_PROCESSES = multiprocessing.get_context("forkserver")
_LOADED = (
    "paylog.decode",
    "paylog.data_mart",
    "paylog.pipeline",
    "paylog.storage.cos_client",
    "alembic.command",
)
_PROCESSES.set_forkserver_preload(list(_LOADED))


class Job(Protocol):
    """What a worker does; it is sent to its process."""

    @property
    def connections(self) -> Mapping[str, Connection]:
        """All that it may resolve."""

    def run(self) -> object:
        """Do it; the result is sent back, or the error's type and text."""


@dataclass(frozen=True)
class Task:
    """Load one batch of one run, and what a worker needs to load it.

    :param flush_rows: rows that are written at a time; small, so that a batch has many COPYs.
    """

    subscription: Subscription
    run_id: str
    batch_id: str
    connections: Mapping[str, Connection]
    flush_rows: int = 250
    tries: int = 1

    def run(self) -> Receipt:
        """Load the batch."""
        from paylog.data_mart import load

        load.BUFFER_ROWS = self.flush_rows
        return self.work()

    def work(self) -> Receipt:
        return ingest_with_retries(self.subscription, self.run_id, self.batch_id, self.tries)


class Replay(Task):
    """Everything in quarantine once more."""

    def work(self) -> Receipt:
        replay.replay(self.subscription, self.run_id)
        return _receipt(self.subscription, self.run_id)


class Retract(Task):
    """Take back the run ``batch_id``."""

    def work(self) -> Receipt:
        retract.retract(self.subscription, retract.Selection(run=self.batch_id), actor="me", reason="test")
        return _receipt(self.subscription, None)


def _receipt(subscription: Subscription, run_id: str | None) -> Receipt:
    with pipeline.open_data_mart(subscription) as data_mart:
        return data_mart.receipts(subscription.id, run_id)[0]


class Worker:
    """A process that does one job."""

    def __init__(self, task: Job, barrier: Barrier | None = None) -> None:
        ours, theirs = _PROCESSES.Pipe()
        given = (task, theirs, barrier)
        self._pipe = ours
        self._process = _PROCESSES.Process(target=_work, args=given, daemon=True)
        self._process.start()
        theirs.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def kill(self) -> bool:
        """``kill -9``; whether it was still there."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def join(self, seconds: float) -> bool:
        """Wait; whether it ended."""
        self._process.join(seconds)
        return self._process.exitcode is not None

    def outcome(self, seconds: float = 60) -> object:
        """The result, such as the receipt of a batch; what went wrong, or None when it was killed."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, "the worker hangs"
        try:
            outcome = self._pipe.recv() if self._pipe.poll() else None
        except EOFError:
            outcome = None
        self._pipe.close()
        code = self._process.exitcode
        assert outcome is not None or self.killed, f"the worker ended with code {code} without a word"
        return outcome

    @property
    def killed(self) -> bool:
        return self._process.exitcode == -signal.SIGKILL


def start_server(*modules: str) -> None:
    """Start what forks the workers, in the environment that they shall have, with more modules loaded."""
    _PROCESSES.set_forkserver_preload([*_LOADED, *modules])
    forkserver.ensure_running()


def barrier(parties: int) -> Barrier:
    """A barrier for workers."""
    return _PROCESSES.Barrier(parties)


def _work(task: Job, pipe: Pipe, barrier: Barrier | None) -> None:
    use_resolver(dict(task.connections).__getitem__)
    if barrier is not None:
        barrier.wait(30)
    try:
        pipe.send(task.run())
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
