"""Trees of child processes: killed for certain, also by the next start when this one is killed first."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil


class ProcessRecord:
    """A file that says which processes were started, so that none outlives a launcher that was killed."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def write(self, pids: Iterable[int]) -> None:
        """Remember these and no others."""
        started = {pid: psutil.Process(pid).create_time() for pid in pids}
        self.file.write_text(json.dumps(list(started.items())))

    def clear(self) -> None:
        self.file.unlink(missing_ok=True)

    def kill_leftovers(self) -> None:
        """Kill what is recorded and still runs, with all below it."""
        with suppress(FileNotFoundError, ValueError):
            recorded = json.loads(self.file.read_text())
            kill(tree(pid for pid, created in recorded if _is_same(pid, created)))
        self.clear()


def tree(pids: Iterable[int]) -> list[psutil.Process]:
    """These processes and all below them; Airflow's task processes sit in groups of their own."""
    found: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found += [root, *root.children(recursive=True)]
    return found


def kill(processes: list[psutil.Process]) -> None:
    """Kill and wait; one that has ended already is left out."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=5)


def _is_same(pid: int, created: float) -> bool:
    """Whether the process of that number is the recorded one, not a later one with its number."""
    with suppress(psutil.NoSuchProcess):
        return abs(psutil.Process(pid).create_time() - created) < 0.01
    return False
