"""Requests of a delivery at the same time: each is noted once, whatever happens to the others."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from paylog.data_mart.deliveries import DeliveryState, Settlement
from paylog.openscale.crew import Crew, Delivered


class Notes:
    """Stands in for the data mart."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def settle(self, *known: Settlement) -> None:
        self.calls.append([one.delivery_id for one in known])

    @property
    def noted(self) -> list[int]:
        return sorted(number for call in self.calls for number in call)


def confirmed(number: int) -> Settlement:
    return Settlement(number, DeliveryState.CONFIRMED, confirmed=10)


def crew(notes: Any, parallel: int, told: list[int]) -> Crew:
    return Crew(notes, parallel, lambda confirmed, failed: told.append(confirmed))


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_every_request_is_noted_once(parallel: int, count: int) -> None:
    notes, told = Notes(), list[int]()
    made = crew(notes, parallel, told)
    made.do(confirmed, range(count))
    assert notes.noted == list(range(count))
    assert made.total == Delivered(confirmed=10 * count)
    assert sum(told) == 10 * count


def test_several_are_noted_at_a_time() -> None:
    notes = Notes()
    crew(notes, 4, []).do(confirmed, range(40))
    assert len(notes.calls) <= 11


def test_one_at_a_time_is_noted_before_the_next() -> None:
    notes = Notes()

    def settle(number: int) -> Settlement:
        assert notes.noted == list(range(number))
        return confirmed(number)

    crew(notes, 1, []).do(settle, range(5))


@pytest.mark.parametrize("broken", [0, 7, 39])
def test_an_error_is_raised_when_those_under_way_are_noted_once(broken: int) -> None:
    notes, told, ended = Notes(), list[int](), list[int]()
    lock = threading.Lock()

    def settle(number: int) -> Settlement:
        if number == broken:
            raise RuntimeError("broken")
        with lock:
            ended.append(number)
        return confirmed(number)

    made = crew(notes, 4, told)
    with pytest.raises(RuntimeError, match="broken"):
        made.do(settle, range(40))
    assert notes.noted == sorted(ended)
    assert made.total.confirmed == sum(told) == 10 * len(ended)
    assert len(ended) <= broken + 12, "went on after the error"


def test_what_ended_is_noted_when_there_are_no_more_requests_to_read() -> None:
    notes = Notes()

    def requests() -> Any:
        yield from range(6)
        raise RuntimeError("cannot be read")

    with pytest.raises(RuntimeError, match="cannot be read"):
        crew(notes, 3, []).do(confirmed, requests())
    assert len(notes.noted) == len(set(notes.noted))
    assert set(notes.noted) >= {0}
