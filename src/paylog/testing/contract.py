"""What every engine must do, as a test suite to inherit from, and a way to see all of a decoding.

class TestMyEngine(EngineContract):
    def subscription(self): ...
    def objects(self): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from paylog.decode import Decoder
from paylog.engines.documents import BLOCK_BYTES, record_blocks
from paylog.errors import Reason
from paylog.normalize import Normalizer
from paylog.records import CaptureObject, Reject
from paylog.subscription import Subscription

LAST_MODIFIED = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
HOSTILE = (
    *(b"", b"\n", b" \r\n\t", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"{", b"[", b"]", b'"', b"null", b"7"),
    *(b"[]", b"{}", b"[{}]", b"[[]]", b"[null, 1, {}]", b"{}{}", b"[{},,{}]", b"[{}] x", b'[{"a":1}, {"b'),
    *(b"[" * 100_000, b'{"a":' * 100_000, b'{"request":' * 3000 + b"1" + b"}" * 3000),
    *(
        b'{"request":{},"response":{}}',
        b'{"request":"\\ud800","response":"{}"}',
        b'{"request":"\xff","response":[]}',
    ),
    *(
        b'{"captureData":{}}',
        b'{"captureData":{"endpointInput":{},"endpointOutput":{}}}',
        b'{"captureData":null}',
    ),
    *(b'{"a":NaN}', b'{"a":1e999}', b'{"a":' + b"9" * 5000 + b"}", b'{"\\u0000":"\\u0000"}'),
    *(
        b"\x1f\x8b",
        b"\x1f\x8b\x08\x00" + b"\xff" * 40,
        b"\x28\xb5\x2f\xfd",
        b"\x28\xb5\x2f\xfd" + b"\xff" * 40,
    ),
)


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
    """All that came out of one object: rows by position, rejects by position."""

    rows: list[dict[str, Any]]
    rejects: list[Reject]
    read: int
    filtered: int

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


def capture_object(data: bytes, key: str = "logs/part-0.json", version: str = "v1") -> CaptureObject:
    return CaptureObject(f"cos://bucket/{key}", key, version, len(data), LAST_MODIFIED)


@contextmanager
def decoding(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[None]:
    """Decode on one path only, in blocks of ``block_bytes``."""

    def irregular(self: Normalizer, bodies: Sequence[bytes], *_: Any) -> tuple[None, Any]:
        return None, np.ones(len(bodies), bool)

    with ExitStack() as stack:
        stack.enter_context(
            patch("paylog.decode.record_blocks", partial(record_blocks, block_bytes=block_bytes))
        )
        if path is Path.SCANNED:
            stack.enter_context(patch.object(Normalizer, "regular_columns", lambda *_: None))
        elif path is not Path.NATIVE:
            stack.enter_context(patch("paylog.decode.library", lambda: None))
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
    """Decode one object that holds ``data``."""
    decoder = subscription if isinstance(subscription, Decoder) else Decoder(subscription)
    chunks = (data[i : i + chunk_bytes] for i in range(0, len(data), chunk_bytes))
    with decoding(path, block_bytes):
        blocks = list(decoder.blocks(capture_object(data, key, version), chunks))
    rows = [row for block in blocks for row in block.records.to_pylist()]
    rejects = [reject for block in blocks for reject in block.rejects]
    return Outcome(
        sorted(rows, key=lambda row: (row["_position"], row["scoring_id"])),
        sorted(rejects, key=lambda r: (r.position, r.row or 0, r.reason)),
        sum(block.read for block in blocks),
        sum(block.filtered for block in blocks),
    )


class EngineContract:
    """Inherit, say what the engine's objects look like, and pytest does the rest."""

    def subscription(self) -> Subscription:
        raise NotImplementedError

    def objects(self) -> Sequence[bytes]:
        """Well-formed NDJSON objects of the engine, several records each, every event id given once."""
        raise NotImplementedError

    def test_every_record_loads(self) -> None:
        for data in self.objects():
            found = outcome(self.subscription(), data)
            assert found.rows
            assert not found.rejects

    def test_conservation(self) -> None:
        for data in self.objects():
            for mutant in (data, data[: len(data) // 2], data.replace(b":", b";", 7), data[::-1], data * 2):
                found = outcome(self.subscription(), mutant)
                assert found.balanced
                assert found.read

    def test_idempotence(self) -> None:
        for data in self.objects():
            assert outcome(self.subscription(), data) == outcome(self.subscription(), data)

    def test_one_decoder_for_many_objects(self) -> None:
        decoder = Decoder(self.subscription())
        for data in (*self.objects(), *reversed(self.objects())):
            assert outcome(decoder, data) == outcome(self.subscription(), data)

    def test_ids_are_stable_and_distinct(self) -> None:
        ids = [
            row["_record_id"] for data in self.objects() for row in outcome(self.subscription(), data).rows
        ]
        assert len(set(ids)) == len(ids)
        assert ids == [
            row["_record_id"]
            for data in self.objects()
            for row in outcome(self.subscription(), data, version="v2").rows
        ]

    def test_order_of_records_does_not_matter(self) -> None:
        for data in self.objects():
            lines = data.splitlines()
            turned = outcome(self.subscription(), b"\n".join(reversed(lines)))
            for row in turned.rows:
                row["_position"] = len(lines) - 1 - row["_position"]
            key = lambda row: row["scoring_id"]  # noqa: E731
            straight = outcome(self.subscription(), data)
            assert sorted(turned.rows, key=key) == sorted(straight.rows, key=key)

    def test_paths_blocks_and_chunks_agree(self) -> None:
        for data in self.objects():
            expected = outcome(self.subscription(), data)
            for path in Path:
                for block_bytes, chunk_bytes in ((BLOCK_BYTES, 1 << 20), (64, 13), (1000, 7)):
                    found = outcome(
                        self.subscription(), data, path, block_bytes=block_bytes, chunk_bytes=chunk_bytes
                    )
                    assert found == expected

    def test_hostile_input_is_rejected_not_raised(self) -> None:
        for data in self.objects():
            whole = outcome(self.subscription(), data)
            for hostile in HOSTILE:
                assert outcome(self.subscription(), hostile).balanced
                if b"\n" not in hostile.strip() and hostile[:1] not in (b"\x1f", b"\x28"):
                    among = outcome(self.subscription(), data.rstrip(b"\n") + b"\n" + hostile)
                    assert among.balanced
                    assert among.rows[: len(whole.rows)] == whole.rows
