"""Decode objects by one of three ways, and what came out: for tests of engines, without a data mart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa

from paylog.decode import Decoder
from paylog.engines.documents import BLOCK_BYTES, record_blocks
from paylog.errors import Reason
from paylog.normalize import Normalizer
from paylog.pairing import HALF, Kinds, as_table, events_of, match
from paylog.records import Block, CaptureObject, Reject
from paylog.subscription import Subscription

LAST_MODIFIED = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


class Path(StrEnum):
    """The ways through decode. They must agree on every input.

    ``SCANNED`` is ``NATIVE`` for records whose columns ``paylog.regular`` does not cover.
    """

    NATIVE = "native"
    SCANNED = "scanned"
    BULK = "bulk"
    SINGLE = "single"


@dataclass(frozen=True)
class Outcome:
    """All that came out of one object, or of some together: rows by position, rejects by position.

    :param halves: (number of the object, position) of each half of an event.
    :param alone: halves whose other half is missing: they would wait in the data mart.
    :param repeated: halves that were there before.
    """

    rows: list[dict[str, Any]]
    rejects: list[Reject]
    read: int
    filtered: int
    halves: list[tuple[int, int]] = field(default_factory=list)
    alone: pa.Table = field(default_factory=HALF.empty_table, compare=False)
    repeated: int = 0

    @property
    def pending(self) -> int:
        """Halves that would wait in the data mart."""
        count: int = self.alone.num_rows
        return count

    @property
    def balanced(self) -> bool:
        return self.read == len(self.rows) + sum(reject.rows for reject in self.rejects) + self.filtered

    @property
    def reasons(self) -> list[Reason]:
        return [reject.reason for reject in self.rejects]


def declare(
    provider: str,
    features: Mapping[str, str],
    labels: Sequence[str | int] = ("No Risk", "Risk"),
    *,
    response: Mapping[str, str] | None = None,
    prediction: str = "string",
    meta: Mapping[str, str] | None = None,
    problem_type: str | None = None,
    required: Sequence[str] = (),
    **logs: Any,
) -> Subscription:
    """A subscription of ``provider`` with these fields (name → type), prediction and probability."""
    roles = [(features, "feature"), (meta or {}, "meta-field"), ({"prediction": prediction}, "prediction")]
    fields: list[dict[str, Any]] = [
        {"name": name, "type": kind, "role": role, "required": name in required}
        for declared, role in roles
        for name, kind in declared.items()
    ]
    regression = problem_type == "regression"
    if not regression:
        fields.append({"name": "probability", "type": "array", "role": "probability"})
    schema = {
        "fields": fields,
        "class_labels": [] if regression else list(labels),
        "problem_type": problem_type or ("binary" if len(labels) == 2 else "multiclass"),
        **({"response": dict(response)} if response else {}),
    }
    return Subscription.model_validate(
        {
            "id": "credit-risk",
            "service_provider": provider,
            "deployment": {"id": "credit-risk-endpoint"},
            "logs": {"connection": "logs", **logs},
            "model_schema": schema,
            "data_mart": {"connection": "data_mart", "schema": "mart"},
        }
    )


def with_missing_feature(subscription: Subscription) -> Subscription:
    """The subscription, with a required feature that no record has: every sound record is rejected."""
    document: dict[str, Any] = subscription.document()
    stray = {"name": "not in the logs", "type": "double", "required": True}
    document["model_schema"]["fields"].insert(0, stray)
    document["error_budget"] = {"share": None}
    return Subscription.model_validate(document)


def capture_object(data: bytes, key: str = "logs/part-0.json", version: str = "v1") -> CaptureObject:
    return CaptureObject(f"cos://bucket/{key}", key, version, len(data), LAST_MODIFIED)


@contextmanager
def decoding(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[None]:
    """Decode on one path only, in blocks of ``block_bytes``."""

    def irregular(self: Normalizer, bodies: Sequence[bytes], *_: Any) -> tuple[None, Any]:
        return None, np.ones(len(bodies), bool)

    with ExitStack() as stack:
        stack.enter_context(
            patch("paylog.engines.documents.record_blocks", partial(record_blocks, block_bytes=block_bytes))
        )
        if path is Path.SCANNED:
            stack.enter_context(patch.object(Normalizer, "regular_columns", lambda *_: None))
        elif path is not Path.NATIVE:
            for module in ("decode", "codecs.json_scanned", "codecs.json_rows"):
                stack.enter_context(patch(f"paylog.{module}.library", lambda: None))
        if path is Path.SINGLE:
            stack.enter_context(patch.object(Normalizer, "_bulk", irregular))
        yield


def outcome(
    subscription: Subscription | Decoder,
    data: bytes,
    path: Path = Path.NATIVE,
    *,
    key: str = "logs/part-0.json",
    version: str = "v1",
    chunk_bytes: int = 1 << 20,
    block_bytes: int = BLOCK_BYTES,
) -> Outcome:
    """Decode one object that holds ``data``, and pair its halves."""
    item = capture_object(data, key, version)
    with decoding(path, block_bytes):
        return together(subscription, [(item, data)], chunk_bytes)


def together(
    subscription: Subscription | Decoder,
    objects: Iterable[tuple[CaptureObject, bytes]],
    chunk_bytes: int = 1 << 20,
) -> Outcome:
    """Decode the objects, in this order, and pair their halves as the load of one batch does.

    The row of a pair has the position of its response.
    """
    decoder = subscription if isinstance(subscription, Decoder) else Decoder(subscription)
    blocks, kinds, halves = list[Block](), Kinds(), [HALF.empty_table()]
    for number, (item, data) in enumerate(objects):
        chunks = (data[i : i + chunk_bytes] for i in range(0, len(data), chunk_bytes))
        for block in decoder.blocks(item, chunks):
            blocks.append(block)
            halves += [as_table(some, number, kinds) for some in block.halves]
    table = pa.concat_tables(halves)
    matched = match(table, kinds)
    places = matched.pairs.responses.column("position").to_pylist()
    rows = [row for block in blocks for row in block.records.to_pylist()]
    rejects = [reject for block in blocks for reject in block.rejects]
    for variant, events in events_of(matched.pairs, kinds).items():
        for block in decoder.pairs(events, variant):
            blocks.append(block)
            rows += [row | {"_position": places[row["_position"]]} for row in block.records.to_pylist()]
            rejects += [replace(reject, position=places[reject.position]) for reject in block.rejects]
    return Outcome(
        sorted(rows, key=lambda row: (row["_position"], row["scoring_id"])),
        sorted(rejects, key=lambda r: (r.position, r.row or 0, r.reason)),
        sum(block.read for block in blocks),
        sum(block.filtered for block in blocks),
        sorted(zip(*(table.column(name).to_pylist() for name in ("object_id", "position")), strict=True)),
        matched.alone,
        matched.repeated.num_rows,
    )
