"""Which folders a window lists, and which keys belong to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylog.layout import MOST_PREFIXES, Layout, Window

HOURLY = "%Y/%m/%d/%H/"
PATTERNS = (HOURLY, "%Y/%m/%d/%H/%M/", "dt=%Y-%m-%d/", "year=%Y/month=%m/", "%Y/", "logs/%Y/%m-%d/h%H/")
moments = st.datetimes(datetime(2019, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))
lengths = st.one_of(
    st.timedeltas(timedelta(seconds=1), timedelta(hours=50)),
    st.timedeltas(timedelta(hours=50), timedelta(days=900)),
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(start: str, end: str) -> Window:
    return Window(at(start), at(end))


@pytest.mark.parametrize(
    ("pattern", "start", "end", "prefixes"),
    [
        (HOURLY, "2023-12-31T23:30", "2024-01-01T00:30", ["2023/12/31/23/", "2024/01/01/00/"]),
        (HOURLY, "2024-02-28T23:00", "2024-02-29T01:00", ["2024/02/28/23/", "2024/02/29/00/"]),
        (HOURLY, "2024-01-31T05:00", "2024-01-31T06:00", ["2024/01/31/05/"]),
        ("%Y/%m/%d/%H/%M/", "2024-01-31T23:59", "2024-02-01T00:00:01",
         ["2024/01/31/23/59/", "2024/02/01/00/00/"]),
        ("dt=%Y-%m-%d/", "2024-02-28", "2024-03-02", ["dt=2024-02-28/", "dt=2024-02-29/", "dt=2024-03-01/"]),
        ("%Y/%m/", "2023-12-15", "2024-02-01", ["2023/12/", "2024/01/"]),
        ("%Y/", "2023-12-31", "2024-01-01", ["2023/"]),
        ("", "2024-01-01", "2024-01-02", [""]),
    ],
)  # fmt: skip
def test_prefixes_at_boundaries(pattern: str, start: str, end: str, prefixes: list[str]) -> None:
    assert list(Layout(pattern).prefixes(window(start, end))) == prefixes


@pytest.mark.parametrize(
    ("days", "first", "count"),
    [
        (1, "2024/01/01/00/", 24),
        (2, "2024/01/01/", 2),
        (40, "2024/01/01/", 40),
        (41, "2024/01/", 2),
        (1000, "2024/01/", 33),
        (1200, "2024/", 4),
    ],
)
def test_a_long_window_lists_larger_folders(days: int, first: str, count: int) -> None:
    start = at("2024-01-01")
    prefixes = list(Layout(HOURLY).prefixes(Window(start, start + timedelta(days=days))))
    assert (prefixes[0], len(prefixes)) == (first, count)


def test_a_single_level_too_fine_for_the_window_lists_everything() -> None:
    assert list(Layout("dt=%Y-%m-%d/").prefixes(window("2024-01-01", "2025-01-01"))) == [""]


def test_the_window_may_be_in_another_zone() -> None:
    berlin = timezone(timedelta(hours=2))
    start = datetime(2024, 7, 1, 1, tzinfo=berlin)
    found = Layout(HOURLY).prefixes(Window(start, start + timedelta(hours=2)))
    assert list(found) == ["2024/06/30/23/", "2024/07/01/00/"]


@given(st.sampled_from(PATTERNS), moments, lengths, st.floats(0, 1, exclude_max=True))
def test_every_folder_that_touches_the_window_is_listed_once(
    pattern: str, start: datetime, length: timedelta, share: float
) -> None:
    asked = Window(start, start + length)
    layout = Layout(pattern)
    key = (start + length * share).strftime(pattern) + "object.jsonl"
    prefixes = list(layout.prefixes(asked))
    assert sum(key.startswith(prefix) for prefix in prefixes) == 1
    assert layout.covers(key, asked)
    # One more where the window starts inside a folder, one more for each calendar that is not even.
    assert len(prefixes) <= MOST_PREFIXES + 2


@given(st.sampled_from(PATTERNS), moments, moments, lengths)
def test_a_key_is_covered_when_its_folder_touches_the_window(
    pattern: str, written: datetime, start: datetime, length: timedelta
) -> None:
    layout = Layout(pattern)
    asked = Window(start, start + length)
    key = written.strftime(pattern) + "x"
    folder = layout.time_of(key)
    assert folder is not None
    assert folder <= written
    assert layout.start_of(written) == folder
    assert folder.strftime(pattern) + "x" == key
    if layout.covers(key, asked):
        assert any(key.startswith(prefix) for prefix in layout.prefixes(asked))
    else:
        assert not start <= written < asked.end


@pytest.mark.parametrize("key", ["part-0.jsonl", "2024/13/01/00/x", "2024/02/30/00/x", "0000/01/01/00/x", ""])
def test_a_key_without_a_time_always_counts(key: str) -> None:
    layout = Layout(HOURLY)
    assert layout.time_of(key) is None
    assert layout.covers(key, window("2024-01-01", "2024-01-02"))


def test_flat_keys_have_no_time_even_if_they_look_like_it() -> None:
    assert Layout("").time_of("2024/01/01/00/x") is None


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_end_of_time_is_no_error(pattern: str) -> None:
    key = datetime(9999, 12, 31, 23, 59).strftime(pattern) + "x"
    assert not Layout(pattern).covers(key, window("2024-01-01", "2024-01-02"))


CHOICE = "{inputs,model_outputs}/%Y/%m/%d/%H/"


def test_a_choice_of_first_folders_is_listed_folder_by_folder() -> None:
    assert list(Layout(CHOICE).prefixes(window("2024-03-04T01:00", "2024-03-04T03:00"))) == [
        "inputs/2024/03/04/01/",
        "model_outputs/2024/03/04/01/",
        "inputs/2024/03/04/02/",
        "model_outputs/2024/03/04/02/",
    ]
    assert list(Layout(CHOICE).prefixes(window("2024-03-01", "2024-03-04"))) == [
        f"{name}/2024/03/{day:02d}/" for day in (1, 2, 3) for name in ("inputs", "model_outputs")
    ]


@pytest.mark.parametrize(
    ("key", "covered"),
    [
        ("inputs/2024/03/04/01/a.jsonl", True),
        ("file:///logs/model_outputs/2024/03/04/01/a.jsonl", True),
        ("inputs/2024/03/04/03/a.jsonl", False),
        ("request/2024/03/04/01/a.jsonl", False),
        ("model_inputs/2024/03/04/01/a.jsonl", False),
        ("2024/03/04/01/a.jsonl", False),
        ("inputs/readme.txt", False),
    ],
)
def test_what_is_in_none_of_the_folders_is_no_log(key: str, covered: bool) -> None:
    assert Layout(CHOICE).covers(key, window("2024-03-04T01:00", "2024-03-04T03:00")) is covered
