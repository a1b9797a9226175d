"""How a run's reports are shown: lines where there is no terminal, a bar where there is one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from paylog.cli import progress
from paylog.cli.progress import RunProgress
from paylog.cli.reports import Advanced, Failed, Retried
from paylog.errors import AccessDenied

SIZES = {"0000": 3_000_000, "0001": 1_000_000}


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_lines_with_share_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with RunProgress(SIZES) as shown:
        now = 102.0
        shown(Advanced("0000", 500, 500_000))
        assert lines(capsys) == []
        now = 110.0
        shown(Advanced("0000", 500, 500_000))
        assert lines(capsys) == ["25%: 1.0 MB of 4.0 MB, 1,000 records, 100 records/s, 30 s left"]
        now = 112.0
        shown(Advanced("0000", 500, 500_000))
        assert lines(capsys) == []


def test_what_is_rolled_back_or_read_twice_does_not_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with RunProgress(SIZES) as shown:
        shown(Advanced("0000", 900, 2_000_000))
        shown(Advanced("0000", -900, -2_000_000))
        shown(Advanced("0001", 100, 1_500_000))
    assert [line.split(" records")[0] for line in lines(capsys)] == [
        "50%: 2.0 MB of 4.0 MB, 900",
        "0%: 0.0 MB of 4.0 MB, 0",
        "25%: 1.0 MB of 4.0 MB, 100",
    ]


def test_failures_and_retries_are_said_and_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with RunProgress(SIZES) as shown:
        shown(Retried("0000", "[bold]link\x1b[2J lost"))
        shown(Failed.by(AccessDenied("no entry"), "0001"))
    assert lines(capsys) == [
        "batch 0000 starts again: [bold]link\\x1b[2J lost",
        "batch 0001 failed: no entry",
    ]
    assert [failed.kind for failed in shown.failed] == ["AccessDenied"]


def test_quiet_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with RunProgress(SIZES, quiet=True) as shown:
        shown(Advanced("0000", 1, 1))
        shown(Failed.by(AccessDenied("no entry"), "0001"))
    assert lines(capsys) == []
    assert len(shown.failed) == 1


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120, _environ={"TERM": "xterm"})
    monkeypatch.setattr(progress, "console", lambda stderr: terminal)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with RunProgress(SIZES) as shown:
        shown(Advanced("0000", 1234, 2_000_000))
        shown._bar.refresh()  # type: ignore[union-attr]
    drawn = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "2.0/4.0 MB" in drawn
    assert "1,234 records · " in drawn


def test_a_run_without_anything_to_do() -> None:
    with RunProgress({}) as shown:
        assert shown.rows_a_second == 0
