"""SageMaker batch transform: ``<input>.out`` beside its input, paired by line; or output joined with input.

Below the subscription's prefix stand the job's input and output folders, whatever they are called:
``in/a/part.csv`` and ``out/a/part.csv.out`` pair. With ``GenerateInferenceId`` an output record ends in (CSV)
or has (JSON) ``SageMakerInferenceId`` and ``SageMakerInferenceTime``, the start of the job. With
``JoinSource: Input`` the output holds the input, too, and its record stands for itself. Manifests of batch
data capture are followed: ``engines.manifests``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw, Struct

from paylog.codecs import CHECKED_JSON, CSV, JSON_LINES
from paylog.engines import Decoded, Engine, Events, Flat, HalfSide, Halves, Part, Reader, documents, manifests
from paylog.engines.csv_tables import CsvReader
from paylog.engines.documents import RecordBlock
from paylog.engines.envelopes import FAILURES
from paylog.engines.flat_rows import FlatRows, RowNames
from paylog.engines.manifests import Manifests, is_manifest
from paylog.engines.readers import peeked
from paylog.engines.tables import TableBlock
from paylog.outputs import Outputs
from paylog.records import CaptureObject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^,\"]*")
_NAMES = RowNames("SageMakerInferenceId", "SageMakerInferenceTime")


class _Output(Struct, gc=False):
    joined: Raw = msgspec.field(default=Raw(), name="SageMakerOutput")
    inference_id: str | None = msgspec.field(default=None, name="SageMakerInferenceId")
    time: str | None = msgspec.field(default=None, name="SageMakerInferenceTime")


class AmazonSageMakerBatch(Engine):
    """Decoder of the objects of batch transform jobs."""

    signs = (
        frozenset({"*.out"}),
        frozenset({"SageMakerOutput"}),
        frozenset({"SageMakerInferenceId", "SageMakerInferenceTime"}),
    )

    def __init__(self, subscription: Subscription) -> None:
        schema = subscription.model_schema
        self._features = tuple(field.name for field in schema.features)
        self._outputs = Outputs(schema).side().positional
        self._rows = FlatRows(schema, _NAMES)
        self._decoder = msgspec.json.Decoder(_Output)
        self._manifests = Manifests(subscription.logs)

    def is_manifest(self, item: CaptureObject) -> bool:
        return is_manifest(item)

    def named(self, manifest: bytes) -> Sequence[str]:
        return self._manifests.keys(manifest)

    def reader(self, item: CaptureObject) -> Reader:
        """Lines; of an output that is CSV joined with its input, columns; a manifest whole."""
        if is_manifest(item):
            return manifests.whole
        if not _is_output(item):
            return documents.line_blocks

        def read(chunks: Iterator[bytes], max_record_bytes: int) -> Iterator[Part]:
            head, whole = peeked(chunks, line=True)
            first = head.lstrip().partition(b"\n")[0]
            ids = (_NAMES.scoring_id, _NAMES.scoring_timestamp) if _without_ids(first)[2] else ()
            joined = (*self._features, *self._outputs, *ids)
            if _cells(first) == len(joined) and not _is_json(first):
                return CsvReader(joined)(whole, max_record_bytes)
            return documents.line_blocks(whole, max_record_bytes)

        return read

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        if isinstance(block, TableBlock):
            return Decoded(flat=[self._joined(block, item)])
        if is_manifest(item):
            return self._manifests.decode(block)
        lines = [(i, line) for i, line in enumerate(block.records(), block.first) if line.strip()]
        if not lines:
            return Decoded()
        positions, bodies = map(list, zip(*lines, strict=True))
        if _is_output(item):
            return self._output(positions, bodies, item)
        return Decoded(halves=list(_halves(HalfSide.REQUEST, positions, bodies, item)))

    def _joined(self, block: TableBlock, item: CaptureObject) -> Flat:
        """Rows of an output that holds its input."""
        table = block.table
        if _NAMES.scoring_id in table.column_names:  # written behind a comma and a space
            at = table.column_names.index(_NAMES.scoring_id)
            table = table.set_column(at, _NAMES.scoring_id, pc.utf8_trim_whitespace(table[_NAMES.scoring_id]))
        flat = self._rows.of(TableBlock(table, block.positions, block.raw))
        _with_time(flat.events, item)
        return flat

    def _output(self, positions: list[int], bodies: list[bytes], item: CaptureObject) -> Decoded:
        """Responses of an output; events where it holds its input."""
        if not bodies[0].lstrip().startswith(b"{"):
            split = [_without_ids(body) for body in bodies]
            known = [(inference_id, time) for _, inference_id, time in split]
            return Decoded(
                halves=list(_halves(HalfSide.RESPONSE, positions, [s[0] for s in split], item, known))
            )
        outputs = [self._parsed(body) for body in bodies]
        joined = [i for i, output in enumerate(outputs) if bytes(output.joined)]
        apart = [i for i, output in enumerate(outputs) if not bytes(output.joined)]
        decoded = Decoded()
        if joined:
            decoded.events.append(_events(joined, positions, bodies, outputs, item))
        if apart:
            known = [(outputs[i].inference_id, outputs[i].time) for i in apart]
            chosen = [positions[i] for i in apart], [bodies[i] for i in apart]
            decoded.halves += _halves(HalfSide.RESPONSE, *chosen, item, known)
        return decoded

    def _parsed(self, body: bytes) -> _Output:
        try:
            return self._decoder.decode(body)
        except FAILURES:
            return _Output()  # the codec will say what is wrong with it


def _is_output(item: CaptureObject) -> bool:
    return item.key.removesuffix(".gz").endswith(".out")


def _pair_key(item: CaptureObject) -> str:
    """What an input and its output have in common: the path below the input or output folder."""
    path = item.key.removesuffix(".gz").removesuffix(".out")
    return path.partition("/")[2] or path


def _is_json(line: bytes) -> bool:
    return line.lstrip()[:1] in (b"{", b"[")


def _cells(line: bytes) -> int:
    try:
        return len(next(csv.reader([line.decode()]), []))
    except (UnicodeDecodeError, csv.Error):
        return 0


def _without_ids(body: bytes) -> tuple[bytes, str | None, str | None]:
    """A CSV output, and the inference id and time that were put behind it."""
    parts = body.rstrip(b"\r").rsplit(b",", 2)
    if len(parts) == 3 and _TIME.fullmatch(parts[2].strip()):
        return parts[0], parts[1].strip().decode(errors="replace") or None, parts[2].strip().decode()
    return body, None, None


def _halves(
    side: HalfSide,
    positions: list[int],
    bodies: list[bytes],
    item: CaptureObject,
    known: Sequence[tuple[str | None, str | None]] | None = None,
) -> Iterator[Halves]:
    """Halves by line; an output without a time was written when its object was."""
    key, now = _pair_key(item), item.last_modified.isoformat()
    yield Halves(
        side=side,
        positions=positions,
        keys=[f"{key}:{position}" for position in positions],
        bodies=bodies,
        media=JSON_LINES if _is_json(bodies[0]) else CSV,
        raw=lambda i: bodies[i],
        timestamps=[time or now for _, time in known] if known else None,
        transaction_ids=[inference_id for inference_id, _ in known] if known else None,
        approximate=np.array([time is None for _, time in known], bool) if known else False,
    )


def _events(
    which: list[int], positions: list[int], bodies: list[bytes], outputs: list[_Output], item: CaptureObject
) -> Events:
    """Records that hold input and output."""
    chosen = [outputs[i] for i in which]
    lines = [bodies[i] for i in which]
    events = Events(
        positions=[positions[i] for i in which],
        event_ids=[output.inference_id for output in chosen],
        timestamps=pa.array([output.time for output in chosen], pa.string()),
        requests=lines,
        responses=[bytes(output.joined) for output in chosen],
        request_type=CHECKED_JSON,
        response_type=JSON_LINES,
        raw=lambda i: lines[i],
    )
    _with_time(events, item)
    return events


def _with_time(events: Events, item: CaptureObject) -> None:
    """The object's last modification for rows without a time."""
    times: Any = events.timestamps
    if times.null_count:
        absent = times.is_null()
        events.timestamps = pc.fill_null(times, item.last_modified.isoformat())
        events.approximate = absent.to_numpy(zero_copy_only=False)
