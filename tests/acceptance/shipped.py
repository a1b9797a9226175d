"""The subscriptions that the repository ships, changed for a test."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parents[2] / "subscriptions"


def subscription(name: str, **replaced: str) -> str:
    """A shipped subscription with some of its text replaced; nothing older than the window is listed."""
    text = (_FOLDER / f"{name}.yaml").read_text()
    prefix = next(line for line in text.splitlines() if line.strip().startswith("prefix:"))
    changes = {prefix: f"{prefix}\n  lookback: 0s", **replaced}
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text
