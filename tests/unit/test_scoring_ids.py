"""The row's number in a scoring id, which deliveries and replays tell rows apart by."""

from __future__ import annotations

import pytest

from paylog.data_mart.delivered_rows import parted


@pytest.mark.parametrize(
    ("scoring_id", "expected"),
    [
        ("a1-b2-3", ("a1-b2", 3)),
        ("a1-0012", ("a1", 12)),
        ("a1", ("a1", 0)),
        ("17", ("17", 0)),
        ("a1-", ("a1-", 0)),
        ("a1-1234567890", ("a1", 0)),
        ("a1-²", ("a1-²", 0)),
        ("a1-٣", ("a1-٣", 0)),
    ],
)
def test_the_row_of_a_scoring_id(scoring_id: str, expected: tuple[str, int]) -> None:
    assert parted(scoring_id) == expected
