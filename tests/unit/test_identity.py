"""Identity of payload records."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pyarrow as pa
import xxhash

from paylog.identity import event_id_at, first_row_ids, record_ids, scope_seed, scoring_ids
from paylog.native import library

PROGRAM = """
import pyarrow as pa
from paylog.identity import *
seed = scope_seed("amazon_sagemaker", "endpoint", "blue")
print(seed, event_id_at("cos://b/k", "v1", 7), record_ids(pa.array(["e1-1", "\\u00e9"]), seed).to_pylist())
"""


def test_the_same_in_another_process() -> None:
    """No hash seed, clock or random number is in it."""
    runs = {
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True).stdout
        for _ in range(2)
    }
    seed = scope_seed("amazon_sagemaker", "endpoint", "blue")
    ids = record_ids(pa.array(["e1-1", "é"]), seed).to_pylist()
    assert runs == {f"{seed} {event_id_at('cos://b/k', 'v1', 7)} {ids}\n"}


def test_a_known_value_never_changes() -> None:
    """Rows that are in a data mart already must be recognized for ever."""
    seed = scope_seed("custom_machine_learning", "d", "")
    assert record_ids(pa.array(["e1-1"]), seed).to_pylist()[0].hex() == "024c2440a44cab852a34d751bac90948"
    assert event_id_at("cos://bucket/key", "v1", 0) == "305ba3d7-44e5-78c5-5ede-ccd2e38588eb"


def test_scopes_keep_equal_ids_apart() -> None:
    seeds = {
        scope_seed(*parts)
        for parts in [
            ("p", "d", "v"),
            ("p", "d", "w"),
            ("p", "e", "v"),
            ("q", "d", "v"),
            ("p", "dv", ""),
            ("p", "d", ""),
        ]
    }
    assert len(seeds) == 6
    assert len({record_ids(pa.array(["e1-1"]), seed).to_pylist()[0] for seed in seeds}) == 6


def test_places() -> None:
    places = {
        event_id_at(u, v, p) for u in ("cos://b/k", "cos://b/l") for v in ("1", "2") for p in (0, 1, 11)
    }
    assert len(places) == 12
    assert event_id_at("a", "1", 11) != event_id_at("a", "11", 1)


def test_scoring_ids_are_numbered() -> None:
    assert scoring_ids(["a", "b"], None) == ["a-1", "b-1"]
    assert scoring_ids(["a", "a", "b"], [1, 2, 1]) == ["a-1", "a-2", "b-1"]


def test_the_native_ids_are_xxh3() -> None:
    """Of every length, of a slice too; longer ones than C hashes are left to Python."""
    random = Random(20240119)
    for size in range(1, 140):
        texts = ["x", *("".join(random.choices("abc-é0", k=size)) for _ in range(5))]
        for seed in (0, random.getrandbits(64)):
            expected = [xxhash.xxh3_128_digest(text.encode(), seed) for text in texts[1:]]
            assert record_ids(pa.array(texts).slice(1), seed).to_pylist() == expected


def test_first_rows() -> None:
    for given in (pa.array(["a", "é", "ccc"]).slice(1), pa.array([], pa.string())):
        found = first_row_ids(given)
        assert found is None or found.to_pylist() == scoring_ids(given.to_pylist(), None)
        assert (found is None) is (library() is None)
    assert first_row_ids(pa.array(["a", ""])) is None
    assert first_row_ids(pa.array(["a", None])) is None


def test_record_ids_are_an_arrow_column_of_uuids() -> None:
    ids = record_ids(pa.array([f"e{i}-1" for i in range(10_000)]), 1)
    assert ids.type == pa.binary(16)
    assert len(set(ids.to_pylist())) == 10_000
    assert record_ids(pa.array([], pa.string()), 1).to_pylist() == []
