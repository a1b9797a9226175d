"""The processes of a run: forked from one that has a single thread, and gone when it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from cli_site import WINDOW, Site, log

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")

ROWS = 'SELECT count(*) FROM payload."Payload_credit-risk"'
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'paylog'"
_WATCHED_FORKS = """
import os, sys
from pathlib import Path
fork = os.fork
def watched():
    others = [task for task in Path("/proc/self/task").iterdir() if task.name != str(os.getpid())]
    names = [task.joinpath("comm").read_text().strip() for task in others]
    print("FORKED", "beside", *names, "SQL", "sqlalchemy" in sys.modules, file=sys.stderr)
    return fork()
os.fork = watched
from paylog.cli import main
main()
"""
_BESIDE_A_THREAD = """
import threading
from paylog.cli.worker import _context
kinds = [_context().get_start_method()]
done = threading.Event()
other = threading.Thread(target=done.wait)
other.start()
print(*kinds, _context().get_start_method())
done.set()
"""


_BESIDE_OBSTORE = """
import obstore
from paylog.cli.worker import _context
print(_context().get_start_method())
"""


def program(text: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", text, *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=120)


def test_forks_only_where_this_thread_is_the_only_one() -> None:
    assert program(_BESIDE_A_THREAD).stdout.split() == ["fork", "spawn"]
    assert program(_BESIDE_OBSTORE).stdout.split() == ["spawn"]


def test_a_run_forks_its_workers_after_the_imports_and_before_any_thread(site: Site) -> None:
    written = log()
    site.write(written)
    arguments = ("run", "credit-risk", *WINDOW, "--batch-size", "1", "--workers", "2")
    done = program(_WATCHED_FORKS, *arguments, **site.environment)
    assert done.returncode == 0, done.stderr
    forks = [line for line in done.stderr.splitlines() if line.startswith("FORKED")]
    # Jemalloc, which is in pyarrow's library, knows of forks.
    assert [fork.replace(" jemalloc_bg_thd", "") for fork in forks] == ["FORKED beside SQL True"] * 2
    assert site.query(ROWS) == [(written.expected.counts.loaded,)]


def test_workers_end_when_the_run_is_killed(site: Site) -> None:
    site.write(log(16_000, 24))
    process = site.start("run", "credit-risk", *WINDOW, "--batch-size", "1", "--workers", 2)
    until = time.monotonic() + 60
    while site.query(SESSIONS) < [(2,)] and time.monotonic() < until:
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=30)
    assert (len(gone), alive) == (2, [])
    assert site.paylog("run", "credit-risk", *WINDOW).exit_code == 0
