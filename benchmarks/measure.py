"""Runs one contestant in a process of its own and measures what it and the server spent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import MappingProxyType

from benchmarks.server import Server


@dataclass(frozen=True)
class Measure:
    """What one load took.

    :param rows: rows in the payload table afterwards.
    :param client_cpu: CPU seconds of the contestant's processes, interpreter start included.
    :param server_cpu: CPU seconds of all PostgreSQL processes meanwhile.
    :param peak_rss: bytes; the largest of the contestant's processes.
    :param said: the numbers in the JSON object that the contestant printed last.
    """

    rows: int
    wall: float
    client_cpu: float
    server_cpu: float
    peak_rss: int
    said: Mapping[str, float] = field(default_factory=dict)

    @property
    def cpu_per_million(self) -> float:
        return (self.client_cpu + self.server_cpu) / self.rows * 1e6

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.wall


class ContestantError(RuntimeError):
    """A contestant ended with an error; the message holds the end of its output."""


def measure(
    server: Server, argv: Sequence[str], rows: int, environment: Mapping[str, str] = MappingProxyType({})
) -> Measure:
    """Run ``argv`` and wait for it.

    :param environment: more variables for it.

    :raises ContestantError: it ended with a code other than 0.
    """
    server.execute("CHECKPOINT")
    with tempfile.TemporaryFile() as output:
        server_before, began = server.cpu_seconds(), time.perf_counter()
        process = subprocess.Popen(
            argv, stdout=output, stderr=subprocess.STDOUT, env=os.environ | environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        server_cpu = server.cpu_seconds() - server_before
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise ContestantError(f"{Path(argv[0]).name} ended with {process.returncode}:\n{text[-2000:]}")
    # ru_maxrss and the times cover the processes that the contestant itself started and waited for.
    return Measure(
        rows, wall, usage.ru_utime + usage.ru_stime, server_cpu, usage.ru_maxrss * 1024, _last_json(text)
    )


def python(module: str, *arguments: str | Path) -> list[str]:
    """Command line of a module of ours."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def medians(measures: Sequence[Measure]) -> Measure:
    """Each quantity's median; the peak is the highest seen."""
    return Measure(
        measures[0].rows,
        median(m.wall for m in measures),
        median(m.client_cpu for m in measures),
        median(m.server_cpu for m in measures),
        max(m.peak_rss for m in measures),
        {key: median(m.said[key] for m in measures) for key in measures[0].said},
    )


def _last_json(text: str) -> dict[str, float]:
    """Numbers of the JSON object that the text ends with."""
    start = 0 if text.startswith("{") else text.rfind("\n{") + 1
    document = json.loads(text[start:]) if text[start : start + 1] == "{" else {}
    return {key: value for key, value in document.items() if type(value) in (int, float)}
