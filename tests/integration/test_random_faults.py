"""A short run of the random faults: what they are and how long they run is told by docs/reliability.md."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from paylog.connections import Connection
from paylog.testing.exactly_once.worker import Worker
from paylog.testing.faults.strikes import STRIKES, draw

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.timeout(280)
def test_twenty_faults_and_the_books_are_those_of_a_clean_run() -> None:
    command = [sys.executable, "-m", "paylog.testing.faults", "--faults", "20", "--seed", "3"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=270)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "20 faults in " in done.stdout
    rows = re.search(r"rows compared with a clean run \| ([\d,]+)", done.stdout)
    assert rows is not None
    assert int(rows[1].replace(",", "")) > 2_000
    assert re.search(r"tasks (killed|failed, to be tried again) \| [1-9]", done.stdout)


def test_every_kind_of_fault_comes_up_and_a_seed_gives_the_same() -> None:
    drawn = [draw(random.Random(seed)).name for seed in range(1_000)]
    assert set(drawn) == {strike.name for strike in STRIKES}
    assert drawn == [draw(random.Random(seed)).name for seed in range(1_000)]


@dataclass(frozen=True)
class Nothing:
    """A task that is over at once."""

    connections: Mapping[str, Connection] = field(default_factory=dict)

    def run(self) -> str:
        return "done"


def test_a_worker_that_has_just_ended_is_no_fault() -> None:
    """The dice may fall on one that its lane has not missed yet."""
    worker = Worker(Nothing())
    assert worker.join(60)
    assert worker.kill() is False
    assert (worker.outcome(), worker.killed) == ("done", False)
