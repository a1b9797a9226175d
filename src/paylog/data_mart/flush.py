"""Rows on their way into a payload table: in the order of time, no key twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from paylog.data_mart.payload_table import KEY
from paylog.errors import SchemaMismatch

Words = npt.NDArray[np.uint64]


def scoring_microseconds(records: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Scoring timestamps in µs since 1970. Arrow's zoned type would become Python objects."""
    moments = records.column(KEY[0])
    if moments.null_count:
        raise SchemaMismatch("Decoded records without a scoring timestamp: a defect in the engine.")
    microseconds: npt.NDArray[np.int64] = moments.cast(pa.int64()).to_numpy()
    return microseconds


def retained(records: pa.RecordBatch, since: int) -> tuple[pa.RecordBatch, int]:
    """The rows scored at ``since`` (µs since 1970) or later, and how many were before."""
    kept = scoring_microseconds(records) >= since
    behind = int(records.num_rows - kept.sum())
    return (records.filter(pa.array(kept)) if behind else records), behind


def in_time_order(batches: Sequence[pa.RecordBatch]) -> Sequence[pa.RecordBatch]:
    """Index pages are then filled one after the other: a third less work for PostgreSQL."""
    moments = [scoring_microseconds(batch) for batch in batches]
    within = all(bool((one[1:] >= one[:-1]).all()) for one in moments)
    if within and all(left[-1] <= right[0] for left, right in pairwise(moments)):
        return batches
    order = pa.array(np.argsort(np.concatenate(moments), kind="stable"))
    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    return [whole.take(order)]


def months(batches: Sequence[pa.RecordBatch]) -> list[np.datetime64]:
    """Months of batches that are in the order of time."""
    first = scoring_microseconds(batches[0])[:1].view("datetime64[us]").astype("datetime64[M]")[0]
    last = scoring_microseconds(batches[-1])[-1:].view("datetime64[us]").astype("datetime64[M]")[0]
    if first == last:
        return [first]
    moments = np.concatenate([scoring_microseconds(batch) for batch in batches]).view("datetime64[us]")
    return list(np.unique(moments.astype("datetime64[M]")))


def without_repeats(batches: Sequence[pa.RecordBatch]) -> tuple[Sequence[pa.RecordBatch], Counter[int]]:
    """Of rows with one key only the first is kept. Returns how many went, by object id.

    A record that the engine logged twice mostly follows itself: dropped here it costs nothing, while
    one refused by PostgreSQL sends all rows around it through staging.
    """
    ids = [identities(batch) for batch in batches]
    halves = np.concatenate([pair[:, 0] for pair in ids])
    ordered = np.sort(halves)
    suspects = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(suspects):
        return batches, Counter()
    seen: set[tuple[int, int, int]] = set()
    kept, gone = [], Counter[int]()
    for batch, pair in zip(batches, ids, strict=True):
        moments = scoring_microseconds(batch)
        keep = np.ones(batch.num_rows, bool)
        for row in np.flatnonzero(np.isin(pair[:, 0], suspects)).tolist():
            key = int(moments[row]), int(pair[row, 0]), int(pair[row, 1])
            keep[row] = key not in seen
            seen.add(key)
        if keep.all():
            kept.append(batch)
            continue
        gone.update(batch.column("_object_id").filter(pa.array(~keep)).to_pylist())
        if keep.any():
            kept.append(batch.filter(pa.array(keep)))
    return kept, gone


def identities(batch: pa.RecordBatch) -> Words:
    """``_record_id`` of each row as two words."""
    column = batch.column(KEY[1])
    words = np.frombuffer(column.buffers()[1], np.uint64).reshape(-1, 2)
    return words[column.offset : column.offset + len(column)]
