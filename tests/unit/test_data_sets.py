"""Which subscription a data set of v2 belongs to."""

from __future__ import annotations

import pytest

from paylog.serve.answers import NotFoundError
from paylog.serve.data_sets import FEEDBACK, PAYLOAD, DataSets, data_set_id


def test_subscriptions_are_listed_only_for_an_id_that_is_new() -> None:
    asked: list[int] = []
    known = ["one", "two"]

    def subscriptions() -> list[str]:
        asked.append(len(known))
        return known

    data_sets = DataSets()
    assert data_sets.owner(data_set_id("two", FEEDBACK), subscriptions) == ("two", FEEDBACK)
    for _ in range(3):
        assert data_sets.owner(data_set_id("one", PAYLOAD), subscriptions) == ("one", PAYLOAD)
    known.append("three")
    assert data_sets.owner(data_set_id("three", PAYLOAD), subscriptions) == ("three", PAYLOAD)
    assert asked == [2, 3]
    with pytest.raises(NotFoundError):
        data_sets.owner("997b1474-00d2-4e05-ac02-287ebfc603b5", subscriptions)
