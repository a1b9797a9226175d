"""``python -m benchmarks.engine_rates``: how many records a second each engine decodes, on one core.

From stored bytes to normalized Arrow blocks, halves paired, no data mart: what differs between engines.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from paylog.data_mart.pair_load import HELD_BYTES
from paylog.decode import Decoder
from paylog.pairing import HALF, Kinds, as_table, events_of, match
from paylog.records import Block, CaptureObject
from paylog.subscription import Subscription
from paylog.testing.collector_logs import CollectorLog
from paylog.testing.decoded import capture_object, declare
from paylog.testing.inference_logs import (
    BentoMLLog,
    KServeLog,
    Protocol,
    SeldonLog,
    WatsonMachineLearningLog,
    Written,
)
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.scoring_logs import CaptureLog, PayloadLog, ScoringLog
from paylog.testing.table_logs import (
    BatchTransformLog,
    FileFormat,
    FlatLog,
    InferenceTableLog,
    RequestShape,
    VertexLog,
)

RESULTS = Path(__file__).parent / "RESULTS.md"
TITLE = "## Records a second, by engine"
RECORDS, OBJECTS, ROUNDS = 50_000, 10, 3
SHARE = 1 / 3
_SPAN: dict[str, Any] = {
    "model": CREDIT_RISK,
    "start": datetime(2024, 1, 19, tzinfo=UTC),
    "end": datetime(2024, 1, 20, tzinfo=UTC),
    "objects_count": OBJECTS,
}
_SCORE = {"predicted_label": "prediction", "score": "P(Risk)"}
_TENSORS = {"predict": "prediction", "predict_proba": "probability"}
_ELEMENTS = {"prediction": "prediction", "proba_0": "P(No Risk)", "proba_1": "P(Risk)"}
_COLUMNS = {"label": "prediction", "p0": "P(No Risk)", "p1": "P(Risk)"}
_VERTEX = {"scores": "probability", "classes": "ignore"}
Object = tuple[CaptureObject, bytes]


@dataclass(frozen=True)
class Lane:
    """One engine's log in one form.

    :param reason: why it may be slower than a third of the fastest.
    :param rows: each record holds 1 to this many rows.
    """

    name: str
    provider: str
    log: type[ScoringLog]
    settings: dict[str, Any] = field(default_factory=dict)
    declared: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    rows: int = 1

    def subscription(self) -> Subscription:
        types = {feature.name: str(feature.type) for feature in CREDIT_RISK.features}
        return declare(self.provider, types, CREDIT_RISK.class_labels, **self.declared)

    def objects(self, rows: int) -> tuple[list[Object], int]:
        """The log's objects, and how many rows they hold: about as many as asked for."""
        records = 2 * rows // (self.rows + 1)
        log = self.log(records=records, rows_per_record=self.rows, **_SPAN, **self.settings)
        made = [(capture_object(one.data, one.key), one.data) for one in log.objects()]
        return made, log.expected.counts.loaded


_APART = "two records a row: scanned for key and time, paired, then their bodies scanned"
_MANY_ROWS = "unescaped and cut into rows one body at a time; only the rows go through the scanner"
LANES = (
    Lane("custom, payload records", "custom_machine_learning", PayloadLog),
    Lane("SageMaker, CSV in, JSON out", "amazon_sagemaker", CaptureLog, {}, {"response": _SCORE}),
    Lane(
        "SageMaker batch, CSV",
        "amazon_sagemaker_batch",
        BatchTransformLog,
        {},
        {"response": _COLUMNS},
        "two lines a row, paired by it; a third of the time takes ids and times off the outputs",
    ),
    Lane(
        "Azure ML, inputs and outputs apart",
        "azure_machine_learning_service",
        CollectorLog,
        reason=_APART,
    ),
    Lane(
        "Azure ML, one collection",
        "azure_machine_learning_service",
        CollectorLog,
        {"together": True},
    ),
    Lane("KServe, V1", "kserve", KServeLog, {"apart": True}, reason=f"{_APART}; bodies in base64"),
    Lane(
        "KServe, V2",
        "kserve",
        KServeLog,
        {"apart": True, "protocol": Protocol.V2},
        {"response": _TENSORS},
        f"{_APART}; 3 kB of base64 a row",
    ),
    Lane(
        "KServe, CloudEvents",
        "kserve",
        KServeLog,
        {"written": Written.CLOUD_EVENTS, "apart": True},
        reason=_APART,
    ),
    Lane("Seldon, Elasticsearch export", "seldon", SeldonLog, {}, {"response": _ELEMENTS}),
    Lane(
        "BentoML",
        "bentoml",
        BentoMLLog,
        {},
        {"timezone": "UTC"},
        "no id of its own: a quarter of the time hashes where each record stands (SHA-256)",
    ),
    Lane("Watson Machine Learning", "watson_machine_learning", WatsonMachineLearningLog),
    Lane("files, NDJSON", "files", FlatLog),
    Lane(
        "files, CSV",
        "files",
        FlatLog,
        {"format": FileFormat.CSV},
        reason="no scanner: a third of the time pyarrow reads the cells as texts, a third casts them",
    ),
    Lane("files, Parquet", "files", FlatLog, {"format": FileFormat.PARQUET}),
    Lane(
        "Databricks, Parquet",
        "databricks",
        InferenceTableLog,
        reason="a quarter of the time reads the bodies out of Parquet, as texts that are then scanned",
    ),
    Lane("MLflow, NDJSON", "mlflow", InferenceTableLog, {"parquet": False}),
    *(
        Lane(f"MLflow, NDJSON, {shape}", "mlflow", InferenceTableLog, {"parquet": False, "shape": shape})
        for shape in RequestShape
        if shape is not RequestShape.SPLIT
    ),
    *(
        Lane(
            f"MLflow, NDJSON, {shape}, 1 to 20 rows",
            "mlflow",
            InferenceTableLog,
            {"parquet": False, "shape": shape},
            reason=_MANY_ROWS,
            rows=20,
        )
        for shape in RequestShape
    ),
    Lane(
        "Vertex AI, NDJSON",
        "vertex_ai",
        VertexLog,
        {},
        {"response": _VERTEX},
    ),
)


@dataclass(frozen=True)
class Rate:
    """What one lane took in its best round: ``seconds`` of CPU for ``rows`` rows."""

    lane: Lane
    rows: int
    bytes: int
    seconds: float

    @property
    def records(self) -> float:
        return self.rows / self.seconds


def rate(lane: Lane, records: int = RECORDS) -> Rate:
    """Decode a lane's log ``ROUNDS`` times; every row must come out, and no reject."""
    subscription, (objects, expected) = lane.subscription(), lane.objects(records)
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        counted = [(b.records.num_rows, len(b.rejects)) for b in _decoded(Decoder(subscription), objects)]
        best = min(best, time.process_time() - began)
        rows, rejects = map(sum, zip(*counted, strict=True))
        if rows != expected or rejects:
            raise AssertionError(f"{lane.name}: {rows} rows of {expected}, or rejects")
    return Rate(lane, expected, sum(len(data) for _, data in objects), best)


def _decoded(decoder: Decoder, objects: Sequence[Object]) -> Iterator[Block]:
    """Blocks of all objects; halves are paired as the load does it, a part at a time."""
    kinds, held = Kinds(), list[pa.Table]()
    for number, (item, data) in enumerate(objects):
        for block in decoder.blocks(item, iter([data])):
            held += [as_table(some, number, kinds) for some in block.halves]
            yield block
        if sum(table.nbytes for table in held) > HELD_BYTES or number + 1 == len(objects):
            matched = match(pa.concat_tables(held or [HALF.empty_table()]), kinds)
            for variant, events in events_of(matched.pairs, kinds).items():
                yield from decoder.pairs(events, variant)
            held = [matched.alone]


def section(rates: Sequence[Rate]) -> str:
    """The results in Markdown."""
    fastest = max(one.records for one in rates)
    lines = ["| engine | rows/s | MB/s | kB a row | of the fastest | |"]
    lines.append("| :-- | --: | --: | --: | --: | :-- |")
    for one in sorted(rates, key=lambda one: -one.records):
        share = one.records / fastest
        said = "" if share >= SHARE else one.lane.reason or "slower than a third of the fastest"
        sizes = f"{one.bytes / one.seconds / 1e6:,.0f} | {one.bytes / one.rows / 1e3:.1f}"
        lines.append(f"| {one.lane.name} | {one.records:,.0f} | {sizes} | {share:.0%} | {said} |")
    head = (
        f"About {RECORDS:,} rows of 20 features, one a record unless a lane says more, in a second of CPU: "
        f"stored bytes to normalized Arrow blocks, halves paired; best of {ROUNDS} rounds; "
        f"load average at the end {os.getloadavg()[0]:.1f}. "
        "`python -m benchmarks.engine_rates`"
    )
    return "\n\n".join([TITLE, head, "\n".join(lines)]) + "\n"


def put_in(path: Path, text: str) -> None:
    """Replace the section of the same title in a results file, or add it."""
    title = text.partition("\n")[0]
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = re.sub(rf"\n*{re.escape(title)}\n.*?(?=\n## |\Z)", "", old, flags=re.DOTALL).rstrip("\n")
    path.write_text(f"{kept}\n\n{text}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine_rates", description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--only", default="", help="lanes whose name holds this; nothing is written then")
    arguments = parser.parse_args()
    rates = []
    for lane in (lane for lane in LANES if arguments.only.lower() in lane.name.lower()):
        rates.append(rate(lane, arguments.records))
        print(f"{lane.name:40} {rates[-1].records:12,.0f} records/s", flush=True)
    if not arguments.only and arguments.records == RECORDS:
        put_in(RESULTS, section(rates))
        print(f"Written to {RESULTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
