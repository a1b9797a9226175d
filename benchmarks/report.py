"""The results as a table on the terminal and as RESULTS.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.race import DLT_RECORDS_SHARE, Lane
from benchmarks.server import Server
from benchmarks.targets import COPY, Verdict

_COLUMNS = (
    "",
    "records",
    "records/s",
    "CPU s/M",
    "client",
    "server",
    "times \\copy",
    "peak MB",
    "wall s",
)
_NOTES_TITLE = "## How it is measured"
_NOTES = f"""
- CPU s/M: CPU seconds for a million records, client and PostgreSQL together;
  times \\copy is the ratio of that.
  The client's share includes the start of its interpreter; PostgreSQL's is that of all its processes.
- paylog is `paylog run --json`, as a user types it.
- "Start-up aside" takes off what the start of paylog costs (imports, mostly; workers are forked after
  it): it is the same for a thousand records and for a hundred million.
- Everybody loads into a table of the same columns, `PRIMARY KEY (scoring_timestamp, _record_id)`, partitioned
  by month. \\copy gets the rows of paylog's own table, in the order in which paylog inserted them. PostgreSQL
  runs with its default, durable settings, without autovacuum; there is a CHECKPOINT before each run.
- paylog does all it promises: ledger, receipts, quarantine, duplicates, reconciliation. The others do not.
- "Run again" reads no record; its CPU is for finding that out. The target compares the seconds of the work:
  those of the start are taken off both.
- "1 % defective" counts seven kinds of defects and repeated records.
- dlt fed with records gets 1/{DLT_RECORDS_SHARE} of them. Its key's uuid is text, its probabilities are JSON.
- Peak RSS is that of the largest process. A figure is the median over the rounds, a peak the highest.
"""


def machine(server: Server, *rivals: str) -> list[str]:
    """What this ran on, one fact a line. ``rivals``: packages that ran beside paylog."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "psycopg", *rivals))
    return [
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB memory, kernel {platform.release()}",
        f"PostgreSQL {server.value('SHOW server_version')}, Python {platform.python_version()}, {versions}",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load average at the end {os.getloadavg()[0]:.1f}",
    ]


def rows(lane: Lane) -> list[list[str]]:
    """One line a contestant."""
    base = lane.result(COPY).cpu_per_million
    return [
        [
            name,
            f"{m.rows:,}",
            f"{m.rate:,.0f}",
            f"{m.cpu_per_million:.2f}",
            f"{m.client_cpu / m.rows * 1e6:.2f}",
            f"{m.server_cpu / m.rows * 1e6:.2f}",
            f"{m.cpu_per_million / base:.2f}",
            f"{m.peak_rss / 1e6:.0f}",
            f"{m.wall:.2f}",
        ]
        for name, m in lane.results.items()
    ]


def show(console: Console, lanes: Iterable[Lane], judged: Sequence[Verdict]) -> None:
    """Print everything."""
    for lane in lanes:
        _show(console, f"scoring logs of {lane.engine}", _COLUMNS, rows(lane))
    _show(console, "targets", ("target", "limit", "measured", ""), [list(v.text) for v in judged])


def write(
    path: Path, title: str, facts: Sequence[str], lanes: Iterable[Lane], judged: Sequence[Verdict]
) -> None:
    """Write RESULTS.md; the sections of other benchmarks, which follow the notes, stay as they are."""
    parts = [f"# {title}", "\n".join(f"- {fact}" for fact in facts)]
    for lane in lanes:
        parts += [f"## Scoring logs of {lane.engine}", _markdown(_COLUMNS, rows(lane))]
    met = sum(v.met for v in judged)
    parts.append(f"## Targets: {met} of {len(judged)} met")
    parts.append(_markdown(("target", "limit", "measured", ""), [list(v.text) for v in judged]))
    parts.append(f"{_NOTES_TITLE}\n{_NOTES}")
    path.write_text("\n\n".join(parts) + _others(path), encoding="utf-8")


def _others(path: Path) -> str:
    """What other benchmarks put into the file."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    _, notes, behind = text.partition(f"{_NOTES_TITLE}\n")
    start = behind.find("\n## ")
    return f"\n{behind[start:]}" if notes and start >= 0 else "\n"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _show(console: Console, title: str, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=number > 0)
    for line in lines:
        table.add_row(*line, style="red" if line[-1] == "FAIL" else None)
    console.print(table)


def _markdown(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    head = [columns, [":--" if n == 0 else "--:" for n in range(len(columns))]]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*head, *lines])
