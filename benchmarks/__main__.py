"""``make bench``: paylog beside its peers, on this machine, in one run."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.race import Settings, race
from benchmarks.server import running
from benchmarks.targets import verdicts

REPOSITORY = Path(__file__).resolve().parents[1]
_FOLDER = REPOSITORY / ".build" / "bench"
_RESULTS = REPOSITORY / "benchmarks" / "RESULTS.md"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    option = parser.add_argument
    option("--records", type=int, default=1_000_000, help="records in each log (default 1,000,000)")
    option("--quick", action="store_true", help="100,000 records, one round; results beside the inputs")
    option("--memory", action="store_true", help="also four times the records and one object of 2 GB")
    option("--repeat", type=int, default=3, help="rounds (default 3)")
    option("--folder", type=Path, default=_FOLDER, help="keeps the inputs and the server")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.records, arguments.repeat = 100_000, 1
    return arguments


def main() -> int:
    """Run, print, write; 1 when a target of a full run is missed."""
    arguments = _arguments()
    # Contestants are processes of their own and need to find this package.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # they are compiled once, as an installation is
    os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    console = Console(width=None if sys.stdout.isatty() else 150)
    full = arguments.records >= 1_000_000
    settings = Settings(
        arguments.folder, arguments.records, arguments.repeat, arguments.memory, console.print
    )
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with running(arguments.folder / "postgres") as server:
        lanes = race(server, settings)
        judged, facts = verdicts(lanes), report.machine(server, "duckdb", "dlt")
    report.show(console, lanes, judged)
    if not full:
        console.print("Start-up counts more in a small run: the targets are for 1,000,000 records.")
    path = _RESULTS if full else arguments.folder / "RESULTS.md"
    title = f"Benchmark: {arguments.records:,} records, 20 features, median of {arguments.repeat}"
    report.write(path, title, facts, lanes, judged)
    console.print(f"Written to {path}")
    return int(full and not all(v.met for v in judged))


if __name__ == "__main__":
    sys.exit(main())
