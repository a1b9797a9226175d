"""Everybody side by side: each round runs every contestant once, so that a slow minute hits all alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import contestants, inputs
from benchmarks.contestants import Contestant
from benchmarks.measure import Measure, medians
from benchmarks.payload_table import ENGINES
from benchmarks.server import Server

Say = Callable[[str], None]
MANY = "paylog, 2 workers, 4 times the records"
LARGE = "paylog, 1 worker, one object of 2 GB"
DLT_RECORDS_SHARE = 5
"""dlt gets one in this many records where it takes them one by one: it would take minutes."""


@dataclass
class Lane:
    """The contestants of one engine over the same records, and what was measured of each."""

    engine: str
    runners: list[Contestant]
    measures: dict[str, list[Measure]] = field(default_factory=dict)

    def result(self, name: str) -> Measure:
        """Medians of one contestant. Raises ``KeyError`` when it did not run."""
        return medians(self.measures[name])

    @property
    def results(self) -> dict[str, Measure]:
        return {name: self.result(name) for name in self.measures}


@dataclass(frozen=True)
class Settings:
    """How much to run, and where the inputs are kept."""

    folder: Path
    records: int
    repeat: int
    memory: bool
    say: Say


def race(server: Server, settings: Settings) -> list[Lane]:
    """Measure everything. The first load of each lane only warms up and gives ``\\copy`` its rows."""
    lanes = [_lane(server, settings, engine) for engine in ENGINES]
    for number in range(settings.repeat):
        for lane in lanes:
            for runner in lane.runners:
                settings.say(f"round {number + 1} of {settings.repeat} · {lane.engine} · {runner.name}")
                lane.measures.setdefault(runner.name, []).append(runner.run(server))
    if settings.memory:
        for lane in lanes:
            _measure_memory(server, settings, lane)
    return lanes


def _lane(server: Server, settings: Settings, engine: str) -> Lane:
    root, records = settings.folder, settings.records
    settings.say(f"writing the scoring logs · {engine}")
    plain = inputs.named(root, engine, records).written()
    gzip = inputs.named(root, engine, records, gzip=True).written()
    dirty = inputs.named(root, engine, records, dirty=True).written()
    settings.say(f"warming up, making rows for \\copy · {engine}")
    rows, parquet = root / f"{engine}.copy", root / f"{engine}.parquet"
    contestants.paylog(plain, 1).run(server)
    contestants.export(server, rows, parquet)
    runners = [
        contestants.copy(rows, plain),
        contestants.paylog(plain, 1),
        contestants.paylog_again(plain),
        contestants.paylog_start(plain),
        contestants.paylog(plain, 2),
        contestants.paylog(gzip, 1),
        contestants.paylog(gzip, 2),
        contestants.paylog(dirty, 1),
        contestants.duckdb(plain),
        contestants.duckdb(gzip),
    ]
    return Lane(engine, runners + (_dlt(root, parquet, records) if engine == "custom" else []))


def _dlt(root: Path, parquet: Path, records: int) -> list[Contestant]:
    fewer = records // DLT_RECORDS_SHARE
    part = inputs.named(root, "custom", fewer).written()
    return [
        contestants.dlt(parquet, "arrow", records, root / "dlt"),
        contestants.dlt(part.logs, "records", fewer, root / "dlt"),
    ]


def _measure_memory(server: Server, settings: Settings, lane: Lane) -> None:
    many = inputs.named(settings.folder, lane.engine, 4 * settings.records)
    settings.say(f"memory · {lane.engine} · four times the records")
    lane.measures[MANY] = [contestants.paylog(many.written(), 2).run(server)]
    settings.say(f"memory · {lane.engine} · one object of 2 GB")
    large = inputs.one_object(settings.folder, lane.engine, 2 * 10**9)
    lane.measures[LARGE] = [contestants.paylog(large, 1).run(server)]
