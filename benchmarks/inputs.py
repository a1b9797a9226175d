"""Writes the scoring logs that the contestants read, once for each kind, in a process of its own.

Usage: ``python -m benchmarks.inputs FOLDER custom|sagemaker RECORDS plain|gzip clean|dirty OBJECTS``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measure import python
from benchmarks.payload_table import END, START
from paylog.records import Counts

_COUNTS = "expected.json"


@dataclass(frozen=True)
class Input:
    """One log in a folder of its own, and what loading it must count.

    :param objects: how many files it is cut into.
    """

    folder: Path
    engine: str
    records: int
    gzip: bool = False
    dirty: bool = False
    objects: int = 32

    @property
    def logs(self) -> Path:
        """The folder with nothing but the log."""
        return self.folder / "log"

    @property
    def expected(self) -> Counts:
        return Counts(**json.loads((self.folder / _COUNTS).read_text()))

    def written(self) -> Input:
        """Write it, unless a former run has."""
        if not (self.folder / _COUNTS).exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            form, state = "gzip" if self.gzip else "plain", "dirty" if self.dirty else "clean"
            arguments = [self.folder, self.engine, self.records, form, state, self.objects]
            subprocess.run(python("benchmarks.inputs", *map(str, arguments)), check=True)
        return self


def named(root: Path, engine: str, records: int, *, gzip: bool = False, dirty: bool = False) -> Input:
    """The input of these properties, in 32 objects."""
    marks = [engine, str(records), *(["gzip"] if gzip else []), *(["dirty"] if dirty else [])]
    return Input(root / "-".join(marks), engine, records, gzip, dirty)


def one_object(root: Path, engine: str, size: int) -> Input:
    """A log in a single plain object of about ``size`` bytes, made by joining many."""
    name = root / f"{engine}-one-{size // 2**20}MiB"
    records = size // (735 if engine == "custom" else 558)
    target = Input(name, engine, records, objects=1)
    if not (name / _COUNTS).exists():
        parts = Input(root / f"{name.name}-parts", engine, records, objects=64).written()
        _join(parts, target)
    return target


def _join(parts: Input, target: Input) -> None:
    shutil.rmtree(target.folder, ignore_errors=True)
    files = sorted(parts.logs.rglob("*.jsonl"))
    whole = target.logs / files[0].relative_to(parts.logs)
    whole.parent.mkdir(parents=True)
    with whole.open("wb") as output:
        for file in files:
            with file.open("rb") as piece:
                shutil.copyfileobj(piece, output, 1 << 20)
    shutil.move(parts.folder / _COUNTS, target.folder / _COUNTS)
    shutil.rmtree(parts.folder)


def _write(wanted: Input) -> None:
    from paylog.testing.scored_model import CREDIT_RISK
    from paylog.testing.scoring_logs import CaptureLog, Defect, PayloadLog

    kind = PayloadLog if wanted.engine == "custom" else CaptureLog
    share = wanted.records // 100 // 8
    log = kind(
        model=CREDIT_RISK,
        records=wanted.records,
        start=START,
        end=END,
        objects_count=wanted.objects,
        defects=dict.fromkeys(Defect, share) | {Defect.DUPLICATE: 2 * share} if wanted.dirty else {},
        gzip=wanted.gzip,
    )
    for key, data, _ in log.objects():
        path = wanted.logs / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (wanted.folder / _COUNTS).write_text(json.dumps(asdict(log.expected.counts)))


if __name__ == "__main__":
    _folder, _engine, _records, _form, _state, _objects = sys.argv[1:]
    _write(Input(Path(_folder), _engine, int(_records), _form == "gzip", _state == "dirty", int(_objects)))
