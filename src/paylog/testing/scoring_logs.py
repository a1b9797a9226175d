"""Scoring logs of a real scorer, written as a serving engine would, with defects planted on purpose.

A log is a pure function of its settings: same seed, same bytes, ids and expected counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paylog.errors import Reason
from paylog.model_schema import FieldType
from paylog.records import Counts
from paylog.testing import capture_records, payload_records
from paylog.testing.capture_records import ContentTypes
from paylog.testing.scored_model import Model
from paylog.testing.scored_record import Cell, Defect, ScoredRecord

__all__ = ["CaptureLog", "Defect", "Expected", "LogObject", "PayloadLog", "ScoringLog"]

_REASONS = {
    Defect.MALFORMED_JSON: Reason.MALFORMED_JSON,
    Defect.MISSING_FEATURE: Reason.MISSING_FEATURE,
    Defect.TYPE_MISMATCH: Reason.TYPE_MISMATCH,
    Defect.NO_TIMESTAMP: Reason.NO_TIMESTAMP,
    Defect.MISSING_RESPONSE: Reason.MISSING_RESPONSE,
    Defect.ROW_COUNT_MISMATCH: Reason.ROW_COUNT_MISMATCH,
}


class LogObject(NamedTuple):
    """One object of a log: key below the prefix, stored bytes, and when its last record was scored."""

    key: str
    data: bytes
    last_scored: datetime


@dataclass(frozen=True)
class Expected:
    """What loading the whole log once, into an empty data mart, must count; reasons are codes."""

    counts: Counts
    reasons: dict[str, int]


class _Outline(NamedTuple):
    """What is decided about an object's records before anybody is scored."""

    rows: NDArray[np.int64]
    defects: list[Defect | None]
    repeated: list[int]


@dataclass(frozen=True, kw_only=True)
class ScoringLog:
    """A log of ``records`` distinct records, spread evenly over ``objects`` equal spans of a window.

    :param rows_per_record: each record holds 1 to this many rows.
    :param defects: how many of each are planted over the whole log.
    :param layout: strftime pattern of the folder of an object.
    """

    model: Model
    records: int
    start: datetime
    end: datetime
    objects_count: int = 1
    rows_per_record: int = 1
    defects: Mapping[Defect, int] = field(default_factory=dict)
    gzip: bool = False
    seed: int = 7
    layout: str = "%Y/%m/%d/%H/"
    resolution: ClassVar = timedelta(microseconds=1)
    reasons: ClassVar[Mapping[Defect, Reason]] = _REASONS

    def objects(self) -> Iterator[LogObject]:
        """Every object, in order of time, made as it is asked for."""
        for number in range(self.objects_count):
            scored = list(self._scored(number))
            if scored:
                yield self._object(number, scored)

    def truth(self) -> Iterator[dict[str, Any]]:
        """Every row that must be loaded, once: scoring id, scoring timestamp, features and outputs."""
        for number in range(self.objects_count):
            known: set[str] = set()
            for record in self._scored(number):
                if record.defect is None and record.id not in known:
                    known.add(record.id)
                    yield from self._rows(record)

    @cached_property
    def expected(self) -> Expected:
        """Counts and reject reasons of the whole log."""
        counts, reasons = Counts(), Counter[str]()
        for number in range(self.objects_count):
            outline = self._outline(number, self._generator(number))
            counts.duplicate += int(outline.rows[outline.repeated].sum())
            for rows, defect in zip(outline.rows.tolist(), outline.defects, strict=True):
                if defect is None:
                    counts.loaded += rows
                else:
                    reasons[self.reasons[defect]] += rows
        counts.rejected = reasons.total()
        counts.read = counts.loaded + counts.duplicate + counts.rejected
        return Expected(counts, dict(sorted(reasons.items())))

    def render(self, records: list[ScoredRecord]) -> bytes:
        """The content of one object, before compression."""
        raise NotImplementedError

    def name(self, first: datetime, identity: str) -> str:
        """File name of the object whose first record was scored at ``first``."""
        raise NotImplementedError

    def _object(self, number: int, scored: list[ScoredRecord]) -> LogObject:
        first, last = _moment(scored[0].time), _moment(max(record.time for record in scored))
        data, suffix = self.render(scored), ""
        if self.gzip:
            from isal import igzip

            data, suffix = igzip.compress(data, 1, mtime=0), ".gz"
        identity = _uuids(np.random.default_rng([self.seed, number, 1]), 1)[0]
        return LogObject(first.strftime(self.layout) + self.name(first, identity) + suffix, data, last)

    def _generator(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, number])

    def _share(self, total: int, number: int) -> int:
        """How much of ``total`` falls to object ``number``."""
        return total * (number + 1) // self.objects_count - total * number // self.objects_count

    def _outline(self, number: int, rng: np.random.Generator) -> _Outline:
        count = self._share(self.records, number)
        places = iter(rng.permutation(count).tolist())
        rows = rng.integers(1, self.rows_per_record + 1, count)
        defects: list[Defect | None] = [None] * count
        for defect in _REASONS:
            for _ in range(self._share(self.defects.get(defect, 0), number)):
                place = next(places)
                defects[place] = defect
                rows[place] = 2 if defect is Defect.ROW_COUNT_MISMATCH else 1
        repeats = self._share(self.defects.get(Defect.DUPLICATE, 0), number)
        return _Outline(rows, defects, [next(places) for _ in range(repeats)])

    def _times(self, number: int, count: int, rng: np.random.Generator) -> list[str]:
        span = (self.end - self.start) / self.objects_count
        begin = np.datetime64((self.start + span * number).astimezone(UTC).replace(tzinfo=None), "us")
        offsets = np.sort(rng.integers(0, max(1, span // timedelta(microseconds=1)), count))
        text: list[str] = np.datetime_as_string(begin + offsets.astype("timedelta64[us]"), unit="us").tolist()
        return text

    def _scored(self, number: int) -> Iterator[ScoredRecord]:
        """The records of one object in the order written; repeated ones come again at the end."""
        rng = self._generator(number)
        outline = self._outline(number, rng)
        count = len(outline.rows)
        ids, times = _uuids(rng, count), self._times(number, count, rng)
        waits = rng.integers(5, 500, count).tolist()
        rows, scores = self._people(rng, int(outline.rows.sum()))
        ends = np.cumsum(outline.rows).tolist()
        records = [
            ScoredRecord(key, time, rows[end - n : end], scores[end - n : end], wait, defect)
            for key, time, n, end, wait, defect in zip(
                ids, times, outline.rows.tolist(), ends, waits, outline.defects, strict=True
            )
        ]
        yield from records
        yield from (records[place] for place in outline.repeated)

    def _people(self, rng: np.random.Generator, count: int) -> tuple[list[tuple[Cell, ...]], list[float]]:
        columns, scores = self.model.score(rng, count)
        cells = [
            np.where(values, "true", "false").tolist() if values.dtype.kind == "b" else values.tolist()
            for values in columns.values()
        ]
        return list(zip(*cells, strict=True)), scores.tolist()

    def _rows(self, record: ScoredRecord) -> Iterator[dict[str, Any]]:
        time = _moment(record.time)
        time -= (time - datetime.min.replace(tzinfo=UTC)) % self.resolution
        for n, (row, score) in enumerate(zip(record.rows, record.scores, strict=True), 1):
            features = {
                f.name: cell == "true" if f.type is FieldType.BOOLEAN else cell
                for f, cell in zip(self.model.features, row, strict=True)
            }
            yield {
                "scoring_id": f"{record.id}-{n}",
                "scoring_timestamp": time,
                **features,
                "prediction": self.model.class_labels[score >= 0.5],
                "probability": [1.0 - score, score],
            }


@dataclass(frozen=True, kw_only=True)
class PayloadLog(ScoringLog):
    """A custom engine's log of OpenScale payload records.

    :param array: one JSON array an object; else one record a line.
    :param compact: no space after separators.
    """

    array: bool = False
    compact: bool = True

    def __post_init__(self) -> None:
        if self.array and self.defects.get(Defect.MALFORMED_JSON):
            raise ValueError("a malformed record would spoil the whole JSON array: plant it in lines")

    def render(self, records: list[ScoredRecord]) -> bytes:
        lines = _lines(records, payload_records.renderer(self.model, self.compact))
        return ("[" + ",".join(lines) + "]" if self.array else "".join(f"{s}\n" for s in lines)).encode()

    def name(self, first: datetime, identity: str) -> str:
        return f"{first:%M-%S}-{identity}.{'json' if self.array else 'jsonl'}"


@dataclass(frozen=True, kw_only=True)
class CaptureLog(ScoringLog):
    """The Data Capture of a SageMaker endpoint; keys are below ``{endpoint}/{variant}/``."""

    types: ContentTypes = ContentTypes.CSV_IN_JSON_OUT
    resolution: ClassVar = timedelta(seconds=1)
    reasons: ClassVar[Mapping[Defect, Reason]] = {
        **_REASONS,
        Defect.MISSING_FEATURE: Reason.COLUMN_COUNT_MISMATCH,
    }

    def render(self, records: list[ScoredRecord]) -> bytes:
        lines = _lines(records, capture_records.renderer(self.model, self.types))
        return "".join(f"{s}\n" for s in lines).encode()

    def name(self, first: datetime, identity: str) -> str:
        return f"{first:%M-%S}-{first.microsecond // 1000:03d}-{identity}.jsonl"


def _lines(records: list[ScoredRecord], render: Callable[[ScoredRecord], str]) -> list[str]:
    texts = map(render, records)
    return [
        text[: len(text) * 2 // 3] if record.defect is Defect.MALFORMED_JSON else text
        for text, record in zip(texts, records, strict=True)
    ]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _uuids(rng: np.random.Generator, count: int) -> list[str]:
    """Version 4 uuids out of the generator, so that the seed decides them."""
    raw = np.frombuffer(rng.bytes(16 * count), np.uint8).reshape(count, 16).copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    text = raw.tobytes().hex()
    parts = (text[at : at + 32] for at in range(0, len(text), 32))
    return [f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in parts]
