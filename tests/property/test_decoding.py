"""What holds of decoding whatever the logs hold."""

from __future__ import annotations

import gzip
import json
import logging
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from troubled_logs import FEATURES, troubled_log

from paylog.decode import Decoder
from paylog.errors import PaylogError
from paylog.testing.contract import Outcome, Path, declare, outcome

SEEDS = st.integers(0, 2**48)
ENGINES = st.sampled_from(["custom_machine_learning", "amazon_sagemaker"])


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))


def by_id(found: Outcome) -> list[dict[str, object]]:
    rows = [{name: cell for name, cell in row.items() if name != "_position"} for row in found.rows]
    return sorted(rows, key=lambda row: json.dumps(row, default=str))


@examples(400)
@given(seed=SEEDS, trouble=st.sampled_from([0.005, 0.02, 0.1]))
def test_paths_agree_and_nothing_is_lost(seed: int, trouble: float) -> None:
    log = troubled_log(seed, trouble)
    native, scanned, bulk, single = (outcome(log.subscription, log.data, path) for path in Path)
    assert native == scanned == bulk == single
    assert native.balanced
    assert native.read >= sum(1 for line in log.lines if line.strip())


@examples(60)
@given(seed=SEEDS, block=st.sampled_from([1, 300, 2000]), chunk=st.sampled_from([3, 50, 1000]))
def test_blocks_and_chunks_do_not_matter(seed: int, block: int, chunk: int) -> None:
    log = troubled_log(seed)
    whole = outcome(log.subscription, log.data)
    assert outcome(log.subscription, log.data, block_bytes=block, chunk_bytes=chunk) == whole
    assert outcome(log.subscription, gzip.compress(log.data), chunk_bytes=chunk) == whole


@examples(60)
@given(seed=SEEDS)
def test_neighbours_do_not_matter(seed: int) -> None:
    """Each record by itself, at its place, gives what it gives among the others."""
    log = troubled_log(seed, 0.05)
    decoder = Decoder(log.subscription)
    alone = [outcome(decoder, b"\n" * at + line) for at, line in enumerate(log.lines)]
    whole = outcome(log.subscription, log.data)
    assert whole.rows == [row for one in alone for row in one.rows]
    assert whole.rejects == [reject for one in alone for reject in one.rejects]


@examples(40)
@given(seed=SEEDS, order=st.randoms(use_true_random=False))
def test_order_does_not_matter(seed: int, order: object) -> None:
    log = troubled_log(seed)
    lines = [line for line in log.lines if b'"id-' in line]  # a record without an id is named after its place
    shuffled = list(lines)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    straight, turned = (outcome(log.subscription, b"\n".join(some_lines)) for some_lines in (lines, shuffled))
    rows = [row for row in by_id(straight) if str(row["scoring_id"]).startswith("id-")]
    assert rows == [row for row in by_id(turned) if str(row["scoring_id"]).startswith("id-")]
    assert sorted(r.raw for r in straight.rejects) == sorted(r.raw for r in turned.rejects)


@examples(40)
@given(seed=SEEDS)
def test_two_runs_give_the_same(seed: int) -> None:
    log, again = troubled_log(seed), troubled_log(seed)
    assert outcome(log.subscription, log.data) == outcome(again.subscription, again.data)


@examples(40)
@given(seed=SEEDS, indent=st.sampled_from([None, 0, 2]))
def test_an_array_is_its_lines(seed: int, indent: int | None) -> None:
    log = troubled_log(seed, 0.0)
    records = [json.loads(line) for line in log.lines]
    listed = outcome(log.subscription, json.dumps(records, indent=indent).encode())
    assert listed.rows == outcome(log.subscription, log.data).rows
    assert len(listed.rejects) == len(outcome(log.subscription, log.data).rejects)


JUNK = st.one_of(
    st.binary(max_size=400),
    st.text(alphabet='{}[]",:\\ntrue0 eE.-', max_size=120).map(str.encode),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["request", "response", "fields", "values", "captureData", "a"]), inner
            )
        ),
        max_leaves=12,
    ).map(lambda document: json.dumps(document).encode()),
)


@examples(150)
@given(engine=ENGINES, junk=JUNK, compress=st.sampled_from([False, False, True]))
def test_junk_is_counted_and_raises_nothing(engine: str, junk: bytes, compress: bool) -> None:
    subscription = declare(engine, FEATURES)
    data = gzip.compress(junk) if compress else junk
    try:
        native, scanned, bulk, single = (outcome(subscription, data, path) for path in Path)
    except PaylogError:
        pytest.fail("what an object holds is never a reason to stop")
    assert native == scanned == bulk == single
    assert native.balanced
    assert not native.rows


@examples(40)
@given(seed=SEEDS, cut=st.floats(0.05, 0.95), at=st.floats(0, 1), byte=st.integers(0, 255))
def test_damaged_gzip_loses_its_tail_alone(seed: int, cut: float, at: float, byte: int) -> None:
    log = troubled_log(seed)
    stored = gzip.compress(log.data)
    found = outcome(log.subscription, stored[: int(len(stored) * cut)])
    assert found.balanced
    assert found.rejects
    assert all(row in outcome(log.subscription, log.data).rows for row in found.rows)
    damaged = bytearray(stored)
    damaged[int(at * (len(damaged) - 1))] = byte
    assert outcome(log.subscription, bytes(damaged)).balanced


@examples(60)
@given(seed=SEEDS, canary=st.integers(10**11, 10**12))
def test_no_payload_value_is_told(seed: int, canary: int) -> None:
    """Rejects keep their raw record; nothing else that leaves decode holds a value of one."""
    log = troubled_log(seed, 0.1)
    data = log.data.replace(b"a b", str(canary).encode()).replace(b"19:27", str(canary).encode())
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        found = outcome(replace_limit(log.subscription, 1 << 30), data)
        with pytest.raises(PaylogError) as told:
            outcome(replace_limit(log.subscription, len(data) - 1), data)
        heard.append(f"{told.value} {told.value!r} {told.value.__cause__!r}")
    finally:
        logging.getLogger().removeHandler(handler)
    heard += [str(replace(reject, raw=b"")) for reject in found.rejects]
    assert not [text for text in heard if str(canary) in text]


def replace_limit(subscription: object, limit: int) -> Decoder:
    decoder = Decoder(subscription)  # type: ignore[arg-type]
    decoder.logs = decoder.logs.model_copy(update={"max_object_bytes": limit})
    return decoder
