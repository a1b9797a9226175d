"""What the benchmark must show, and whether it did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.contestants import START
from benchmarks.measure import Measure
from benchmarks.race import LARGE, MANY, Lane

COPY = r"\copy, ready-made rows"
_MB = 1_000_000


@dataclass(frozen=True)
class Verdict:
    """One target: what was asked, what was measured (both in ``unit``), and whether it holds."""

    target: str
    measured: float
    limit: float
    at_least: bool = False
    unit: str = "times"

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    @property
    def text(self) -> tuple[str, str, str, str]:
        """Target, limit, measured, verdict."""
        sign = "≥" if self.at_least else "≤"
        return (
            self.target,
            f"{sign} {self.limit:.4g} {self.unit}",
            f"{self.measured:.4g} {self.unit}",
            "PASS" if self.met else "FAIL",
        )


def verdicts(lanes: Iterable[Lane]) -> list[Verdict]:
    """Every target of every lane."""
    lanes = list(lanes)
    found = [verdict for lane in lanes for verdict in _of_lane(lane)]
    return found + list(_against_dlt(lanes))


def _of_lane(lane: Lane) -> Iterator[Verdict]:
    results, engine = lane.results, lane.engine
    copy, one, two = results[COPY], results["paylog, 1 worker"], results["paylog, 2 workers"]
    for form in ("", ", gzip"):
        duck = results[f"DuckDB script{form}"]
        for workers in ("1 worker", "2 workers"):
            mine = results[f"paylog, {workers}{form}"]
            name = f"{engine}{form}, {workers}: CPU a record"
            yield Verdict(f"{name} against \\copy", mine.cpu_per_million / copy.cpu_per_million, 1.5)
            work = mine.cpu_per_million - results[START].client_cpu / mine.rows * 1e6
            yield Verdict(f"{name} against \\copy, start-up aside", work / copy.cpu_per_million, 1.5)
            yield Verdict(f"{name} against DuckDB", mine.cpu_per_million / duck.cpu_per_million, 1.0)
        rate = results[f"paylog, 2 workers{form}"].rate / copy.rate
        yield Verdict(f"{engine}{form}, 2 workers: records a second against \\copy", rate, 1.0, at_least=True)
    peak = max(measure.peak_rss for name, measure in results.items() if name.startswith("paylog"))
    yield Verdict(f"{engine}: peak RSS of a worker", peak / _MB, 300, unit="MB")
    again, start = results["paylog, run again"], results[START].wall
    ratio = (again.wall - start) / (one.wall - start)
    yield Verdict(f"{engine}: run again, wall of the work", ratio, 0.05)
    dirty = results["paylog, 1 worker, 1 % defective"]
    yield Verdict(f"{engine}: 1 % defective, CPU", dirty.cpu_per_million / one.cpu_per_million, 1.5)
    yield Verdict(f"{engine}: 1 % defective, wall", dirty.wall / one.wall, 1.5)
    yield from _memory(engine, results, {MANY: two, LARGE: one})


def _memory(engine: str, results: dict[str, Measure], bases: dict[str, Measure]) -> Iterator[Verdict]:
    for name, base in bases.items():
        if name in results:
            ratio = results[name].peak_rss / base.peak_rss
            yield Verdict(f"{engine}: peak RSS, {name.removeprefix('paylog, ')}", ratio, 1.1)


def _against_dlt(lanes: list[Lane]) -> Iterator[Verdict]:
    peers = lanes[0].results
    slowest = min(lane.result("paylog, 2 workers").rate for lane in lanes)
    for name, limit in (("dlt, Arrow batches, upsert", 2.5), ("dlt, records, upsert", 10.0)):
        ratio = slowest / peers[name].rate
        yield Verdict(f"2 workers: records a second against {name}", ratio, limit, at_least=True)
