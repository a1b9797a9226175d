"""The contract of an engine: inherit ``EngineContract`` in a test, and pytest does the rest.

It needs pytest and hypothesis, so that other packages can hold their engines to it too. The ways to
decode, and declaring a subscription, are those of :mod:`paylog.testing.decoded`.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paylog.decode import Decoder
from paylog.engines.documents import BLOCK_BYTES
from paylog.errors import Reason
from paylog.growing import GrowingObject
from paylog.pairing import Kinds, as_table
from paylog.records import Block, CaptureObject
from paylog.subscription import Subscription
from paylog.testing.decoded import LAST_MODIFIED as LAST_MODIFIED
from paylog.testing.decoded import Outcome as Outcome
from paylog.testing.decoded import Path as Path
from paylog.testing.decoded import capture_object as capture_object
from paylog.testing.decoded import declare as declare
from paylog.testing.decoded import decoding as decoding
from paylog.testing.decoded import outcome as outcome
from paylog.testing.decoded import together as together
from paylog.testing.decoded import with_missing_feature as with_missing_feature
from paylog.testing.hostile import HOSTILE, broken, endless_line, is_lines, mutations

ENDLESS = 50 << 20
FUZZED = 40
MOST_MEMORY = 48 << 20
Object = tuple[CaptureObject, bytes]


class EngineContract:
    """Inherit, say what the engine's objects look like, and pytest does the rest."""

    named_rows: ClassVar[bool] = True
    """Whether records have ids of their own, so that where they stand does not matter."""

    json_lines: ClassVar[bool] = True
    """Whether an object that looks like JSON lines is read as such; not so where a key says what it is."""

    def subscription(self) -> Subscription:
        raise NotImplementedError

    def objects(self) -> Sequence[bytes]:
        """Well-formed objects of the engine, several records each, every event id given once."""
        raise NotImplementedError

    def key(self, number: int) -> str:
        """Key of an object, for engines that look at it."""
        return f"logs/part-{number}.json"

    def test_every_record_loads(self) -> None:
        found = self.all()
        assert found.rows
        assert not found.rejects
        assert not found.pending

    def test_nothing_is_lost(self) -> None:
        for item, data in self.items():
            for changed in broken(data):
                self.account(changed, self.one(item, changed))

    def test_idempotence(self) -> None:
        assert self.all() == self.all()

    def test_one_decoder_for_many_objects(self) -> None:
        decoder, items = Decoder(self.subscription()), self.items()
        for item, data in (*items, *reversed(items)):
            assert together(decoder, [(item, data)]) == self.one(item, data)

    def test_ids_are_stable_and_distinct(self) -> None:
        ids = [row["_record_id"] for row in self.all().rows]
        assert len(set(ids)) == len(ids)
        if self.named_rows:
            assert ids == [row["_record_id"] for row in self.all(version="v2").rows]

    def test_order_of_records_does_not_matter(self) -> None:
        for item, data in self.items() if self.named_rows else ():
            if is_lines(data):
                turned = self.one(item, b"\n".join(reversed(data.splitlines())))
                assert unplaced(turned) == unplaced(self.one(item, data))

    def test_order_of_objects_does_not_matter(self) -> None:
        items = self.items()
        expected = unplaced(self.all())
        for order in (items[::-1], items[1:] + items[:1]):
            assert unplaced(together(self.subscription(), order)) == expected

    def test_a_record_in_quarantine_says_all_by_itself(self) -> None:
        """What quarantine keeps of a record is enough to replay it, where the decoder says that it is."""
        decoder = Decoder(self.subscription())
        strict = Decoder(with_missing_feature(self.subscription()))
        for item, data in self.items():
            if decoder.stands_alone(item):
                kept = quarantined(strict.blocks(item, iter([data])))
                again = list(decoder.records(item, list(kept.values()), list(kept)))
                assert content(again) == content(list(decoder.blocks(item, iter([data]))))

    def test_halves_pair_across_objects(self) -> None:
        """However the records of an object are spread over two, in whichever order they are read."""
        for item, data in self.items() if self.named_rows else ():
            if is_lines(data):
                parts = [b"\n".join(data.splitlines()[start::2]) for start in (0, 1)]
                two = [(capture_object(part, f"{n}/{item.key}"), part) for n, part in enumerate(parts)]
                expected = unplaced(self.one(item, data))
                for order in (two, two[::-1]):
                    assert unplaced(together(self.subscription(), order)) == expected

    def test_a_missing_half_waits(self) -> None:
        items = self.items()
        whole = self.all()
        for left_out in range(len(items)):
            found = together(self.subscription(), items[:left_out] + items[left_out + 1 :])
            alone = sum(1 for number, _ in whole.halves if number != left_out)
            assert len(found.halves) == alone
            assert found.pending <= alone
            assert not found.rejects

    def test_an_object_that_grows_is_read_on(self) -> None:
        decoder = Decoder(self.subscription())
        for item, data in self.items():
            if decoder.engine.appends(item):
                expected = self.one(item, data)
                for cut in (1, len(data) // 3, len(data) // 2, len(data) - 1):
                    assert grown(decoder, item, data, cut) == [
                        {**row, "_object_id": 0} for row in expected.rows
                    ]

    def test_paths_blocks_and_chunks_agree(self) -> None:
        for item, data in self.items():
            expected = self.one(item, data)
            for path in Path:
                for block_bytes, chunk_bytes in ((BLOCK_BYTES, 1 << 20), (64, 13), (1000, 7)):
                    with decoding(path, block_bytes):
                        assert together(self.subscription(), [(item, data)], chunk_bytes) == expected

    def test_hostile_input_is_rejected_not_raised(self) -> None:
        for item, data in self.items():
            whole = self.one(item, data)
            for hostile in HOSTILE:
                self.account(hostile, self.one(item, hostile))
                if is_lines(data) and b"\n" not in hostile.strip() and hostile[:1] not in (b"\x1f", b"\x28"):
                    among = data.rstrip(b"\n") + b"\n" + hostile
                    found = self.one(item, among)
                    self.account(among, found)
                    assert found.rows[: len(whole.rows)] == whole.rows

    def test_a_line_without_end_takes_no_memory(self) -> None:
        decoder, item = Decoder(self.subscription()), self.items()[0][0]
        tracemalloc.start()
        try:
            blocks = list(decoder.blocks(item, endless_line(ENDLESS)))
            assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
        finally:
            tracemalloc.stop()
        rejects = [reject for block in blocks for reject in block.rejects]
        assert rejects
        assert all(len(reject.raw) < MOST_MEMORY for reject in rejects)

    @settings(
        max_examples=FUZZED,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def test_fuzzing(self, draws: Any) -> None:
        """Whatever the bytes: no exception, no record lost, no memory without bound."""
        item, data = draws.draw(st.sampled_from([(item, data) for item, data in self.items()]))
        changed = draws.draw(mutations(data))
        tracemalloc.start()
        try:
            self.account(changed, self.one(item, changed))
            assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
        finally:
            tracemalloc.stop()

    def account(self, data: bytes, found: Outcome) -> None:
        """Nothing of an object is lost."""
        assert found.balanced
        if self.json_lines and is_lines(data):
            accounted(data, found)

    def items(self, version: str = "v1") -> list[Object]:
        """The objects with their keys."""
        return [
            (capture_object(data, self.key(number), version), data)
            for number, data in enumerate(self.objects())
        ]

    def all(self, version: str = "v1") -> Outcome:
        """All objects decoded together."""
        return together(self.subscription(), self.items(version))

    def one(self, item: CaptureObject, data: bytes) -> Outcome:
        """One object decoded by itself."""
        return together(self.subscription(), [(item, data)])


def accounted(data: bytes, found: Outcome) -> None:
    """Every line of an object of JSON lines is a row, a reject, a half, or was left out on purpose."""
    told = {row["_position"] for row in found.rows} | {reject.position for reject in found.rejects}
    told |= {position for _, position in found.halves}
    lines = {i for i, line in enumerate(data.split(b"\n")) if line.strip()}
    lost = lines - told
    cut_off = {reject.position for reject in found.rejects if reject.reason is Reason.TRUNCATED_OBJECT}
    assert len(lost) <= found.filtered or cut_off, f"lines {sorted(lost)[:5]} are lost"


def unplaced(found: Outcome) -> list[dict[str, Any]]:
    """The rows by their ids, wherever they stood."""
    rows = [{**row, "_position": 0} for row in found.rows]
    return sorted(rows, key=lambda row: str(row["scoring_id"]))


def grown(decoder: Decoder, item: CaptureObject, data: bytes, cut: int) -> list[dict[str, Any]]:
    """Rows of an object that was read when it had ``cut`` bytes, and once more when it was whole."""
    extent, rows = None, []
    for size in (cut, len(data)):
        growing = GrowingObject(extent, size == len(data), decoder.logs.max_record_bytes)
        first, chunks = growing.read(iter([data[growing.start : size]]))
        for block in decoder.blocks(item, chunks, first):
            assert not block.rejects
            rows += block.records.to_pylist()
        extent = growing.extent
    return sorted(rows, key=lambda row: (row["_position"], row["scoring_id"]))


def quarantined(blocks: Iterable[Block]) -> dict[int, bytes]:
    """What quarantine would keep of rejects, and of halves that wait in vain, by position."""
    kept: dict[int, bytes] = {}
    for block in blocks:
        assert not block.records.num_rows
        kept |= {reject.position: reject.raw for reject in block.rejects}
        for some in block.halves:
            kept |= {int(position): some.raw(i) for i, position in enumerate(some.positions)}
    return dict(sorted(kept.items()))


def content(blocks: Sequence[Block]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows and halves by position."""
    kinds = Kinds()
    rows = [row for block in blocks for row in block.records.to_pylist()]
    halves = [half for b in blocks for some in b.halves for half in as_table(some, 0, kinds).to_pylist()]
    for half in halves:
        # Whether the scanner has looked into the body already is no part of what it is.
        half["kind"] = kinds[half["kind"]]._replace(checked=True)
    return (
        sorted(rows, key=lambda row: (row["_position"], row["scoring_id"])),
        sorted(halves, key=lambda half: int(half["position"])),
    )
