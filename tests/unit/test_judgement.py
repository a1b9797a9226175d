"""Payload against the profile of the training data: each finding alone, and none for a like payload."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from credit_training import PURPOSES, block, credit_profile, people, subscription

from paylog.errors import PayloadRefused, Reason
from paylog.records import Block, Reject
from paylog.subscription.judgement import Judgement
from paylog.training_data import Profile
from paylog.training_data.distance import distance
from paylog.training_data.judgement import COUNTED_ROWS, ROWS_A_BIN, PayloadFinding, PayloadJudge

ROWS = 2_000


@pytest.fixture(scope="module")
def profiled() -> Profile:
    return credit_profile()


def judge(profiled: Profile, **settings: Any) -> PayloadJudge:
    return PayloadJudge(Judgement.model_validate(settings), profiled, subscription().model_schema)


def judged(profiled: Profile, *blocks: Block, **settings: Any) -> list[PayloadFinding]:
    held = judge(profiled, **settings)
    for each in blocks:
        held.add(each)
    held.keep()
    return held.findings()


def found(findings: list[PayloadFinding]) -> list[tuple[str, str, int | None]]:
    return [(f.code, f.column, f.rows) for f in findings]


def some(values: list[Any], count: int, value: Any) -> list[Any]:
    return [value] * count + values[count:]


@pytest.mark.parametrize("seed", range(2, 8))
def test_a_payload_like_the_training_data_has_no_finding(profiled: Profile, seed: int) -> None:
    assert judged(profiled, block(people(ROWS, seed))) == []


@pytest.mark.parametrize(
    ("column", "count", "value", "code"),
    [
        ("purpose", 3, "yacht", "UNSEEN_CATEGORY"),
        ("amount", 30, 10_050, "OUT_OF_RANGE"),
        ("amount", 30, -1, "OUT_OF_RANGE"),
        ("rate", 30, 99.5, "OUT_OF_RANGE"),
        ("purpose", 150, None, "MISSING_SHARE"),
        ("amount", 150, None, "MISSING_SHARE"),
        ("owner", 150, None, "MISSING_SHARE"),
        ("note", 150, None, "MISSING_SHARE"),
        ("points", 7, 12.5, "TYPE_DRIFT"),
    ],
)
def test_each_finding_alone(profiled: Profile, column: str, count: int, value: Any, code: str) -> None:
    columns = people(ROWS, 2)
    columns[column] = some(columns[column], count, value)
    (finding,) = judged(profiled, block(columns))
    assert found([finding]) == [(code, column, count)]
    assert finding.judged == ROWS
    assert finding.measured == pytest.approx(count / ROWS, abs=0.001)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("purpose", np.random.default_rng(1).choice(PURPOSES, ROWS, p=[0.2, 0.3, 0.5]).tolist()),
        ("amount", np.random.default_rng(1).integers(5_000, 10_000, ROWS).tolist()),
        ("rate", np.random.default_rng(1).normal(4.7, 0.5, ROWS).tolist()),
        ("owner", (np.random.default_rng(1).random(ROWS) < 0.7).tolist()),
    ],
)
def test_a_shifted_distribution(profiled: Profile, column: str, values: list[Any]) -> None:
    (finding,) = judged(profiled, block(people(ROWS, 2, **{column: values})))
    assert found([finding]) == [("DISTRIBUTION_SHIFT", column, None)]
    assert 0.1 < finding.measured < 1


def test_values_rejected_for_their_type_are_type_drift(profiled: Profile) -> None:
    rejects = [
        Reject(1, Reason.TYPE_MISMATCH, b"{}", column="amount", rows=4),
        Reject(2, Reason.MISSING_FEATURE, b"{}", column="amount", rows=9),
        Reject(3, Reason.TYPE_MISMATCH, b"{}", column="response_time"),
    ]
    (finding,) = judged(profiled, block(people(ROWS, 2), rejects))
    assert found([finding]) == [("TYPE_DRIFT", "amount", 4)]
    assert finding.judged == ROWS + 4


def test_other_spellings_of_categories_are_all_unseen(profiled: Profile) -> None:
    columns = people(ROWS, 2)
    columns["purpose"] = [str(PURPOSES.index(name)) for name in columns["purpose"]]
    codes = found(judged(profiled, block(columns)))
    assert codes == [("UNSEEN_CATEGORY", "purpose", ROWS), ("DISTRIBUTION_SHIFT", "purpose", None)]


def test_few_rows_are_judged_by_single_rows_only(profiled: Profile) -> None:
    columns = people(100, 2, amount=[99_999] * 100, rate=[None] * 100)
    columns["purpose"] = some(columns["purpose"], 1, "yacht")
    assert found(judged(profiled, block(columns))) == [("UNSEEN_CATEGORY", "purpose", 1)]
    assert ("OUT_OF_RANGE", "amount", 100) in found(judged(profiled, block(columns), min_rows=100))


def test_thresholds_and_severity_of_a_column(profiled: Profile) -> None:
    columns = people(ROWS, 2)
    columns["purpose"] = some(columns["purpose"], 10, "yacht")
    columns["amount"] = some(columns["amount"], 40, 10_050)
    of_columns = {"purpose": {"unseen": 0.01}, "amount": {"out_of_range": 0.001, "severity": "error"}}
    (finding,) = judged(profiled, block(columns), columns=of_columns)
    assert (finding.severity, finding.column, finding.threshold) == ("error", "amount", 0.001)
    ignored = {"purpose": {"severity": "ignore"}, "amount": {"out_of_range": None}}
    assert judged(profiled, block(columns), columns=ignored) == []


def test_what_an_object_brought_is_dropped_with_it(profiled: Profile) -> None:
    """Small and large, counted already or still waiting."""
    good, bad = block(people(ROWS, 2)), block(people(ROWS, 3, purpose=["yacht"] * ROWS))
    held = judge(profiled)
    held.add(good)
    held.keep()
    for times in (1, COUNTED_ROWS // ROWS + 1):
        for _ in range(times):
            held.add(bad)
        held.drop()
    held.add(good)
    held.keep()
    assert held.findings() == []
    held.add(bad)
    held.keep()
    (unseen, _) = held.findings()
    assert (unseen.rows, unseen.judged) == (ROWS, 3 * ROWS)


def test_blocks_and_objects_of_any_size_count_the_same(profiled: Profile) -> None:
    columns = people(50_000, 2)
    columns["purpose"] = some(columns["purpose"], 700, "yacht")
    whole = block(columns)
    one = judged(profiled, whole)
    for size in (64, 3_000, 20_000):
        held = judge(profiled)
        for start in range(0, 50_000, size):
            held.add(Block(whole.records.slice(start, size)))
            if start % 3 == 0:
                held.keep()
        held.keep()
        assert held.findings() == one


def test_a_shut_gate_refuses_errors_only(profiled: Profile) -> None:
    columns = people(ROWS, 2)
    columns["purpose"] = some(columns["purpose"], 3, "yacht")
    of_columns = {"amount": {"severity": "error"}}
    warned = judge(profiled, gate="error", columns=of_columns)
    warned.add(block(columns))
    warned.keep()
    warned.refuse(warned.findings(), "credit")
    columns["amount"] = some(columns["amount"], 100, 10_050)
    refused = judge(profiled, gate="error", columns=of_columns)
    refused.add(block(columns))
    refused.keep()
    with pytest.raises(PayloadRefused, match=r"credit: .*OUT_OF_RANGE 'amount' 100 of 2,000") as error:
        refused.refuse(refused.findings(), "credit")
    assert "yacht" not in str(error.value)
    assert "10050" not in str(error.value)


def test_a_profile_of_another_type_is_not_used() -> None:
    fields = [dict(f) for f in subscription().document()["model_schema"]["fields"]]
    fields[1]["type"] = "string"
    other = subscription(model_schema={"fields": fields, "class_labels": ["No Risk", "Risk"]})
    held = PayloadJudge(Judgement(), credit_profile(other), subscription().model_schema)
    held.add(block(people(ROWS, 2, amount=[99_999] * ROWS)))
    held.keep()
    assert held.findings() == []


def test_distance_of_large_samples_is_that_of_their_shares() -> None:
    counts = np.array([5_000_000, 3_000_000, 2_000_000])
    moved = np.array([2_000_000, 3_000_000, 5_000_000])
    by_hand = math.sqrt(0.5 * math.log2(0.5 / 0.35) + 0.2 * math.log2(0.2 / 0.35))
    assert distance(counts, moved) == pytest.approx(by_hand, abs=1e-5)
    assert distance(moved, counts) == pytest.approx(by_hand, abs=1e-5)
    assert distance(counts, counts) == 0
    apart = np.array([1_000_000, 0]), np.array([0, 1_000_000])
    assert distance(*apart) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("bins", [2, 20, 60, 300])
def test_distance_of_two_samples_of_one_population_is_small(bins: int) -> None:
    rng = np.random.default_rng(5)
    shares = rng.dirichlet(np.ones(bins))
    rows = max(Judgement().min_rows, ROWS_A_BIN * bins)
    apart = [distance(rng.multinomial(5_000, shares), rng.multinomial(rows, shares)) for _ in range(1_000)]
    assert max(apart) < 0.1
