"""docs/training-data.md names every code, severity, threshold and fact as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paylog.capabilities import FACTS
from paylog.subscription.check_codes import CheckCode
from paylog.subscription.judgement import Judgement, Limits
from paylog.subscription.training_data import FindingSeverity
from paylog.training_data.checks import shipped_severities
from paylog.training_data.judgement import PayloadCode

TEXT = (Path(__file__).parents[2] / "docs" / "training-data.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split("|") for line in TEXT.splitlines() if line.startswith("| ")]


def test_every_check_stands_in_the_column_of_its_severity() -> None:
    listed: dict[FindingSeverity, set[str]] = {FindingSeverity.ERROR: set(), FindingSeverity.WARNING: set()}
    for kind, *cells in ROWS:
        if kind.strip() in ("reading", "the whole", "columns", "label", "fairness"):
            for severity, cell in zip(listed, cells, strict=True):
                listed[severity].update(re.findall(r"`(\w+)`", cell))
    for severity, codes in listed.items():
        assert codes == {code.value for code, shipped in shipped_severities().items() if shipped is severity}
    assert set().union(*listed.values()) == set(CheckCode)


def test_every_payload_code_with_its_key_and_default() -> None:
    rows = [[cell.strip(" `") for cell in cells] for cells in ROWS if len(cells) == 4]
    found = {code: (key, float(default)) for code, _, key, default in rows if code.isupper()}
    keys = [name for name in Limits._fields if name != "severity"]
    assert list(found) == list(PayloadCode)
    assert [key for key, _ in found.values()] == keys
    assert [default for _, default in found.values()] == [getattr(Judgement(), key) for key in keys]


@pytest.mark.parametrize("fact", FACTS)
def test_every_fact(fact: str) -> None:
    assert f"`{fact}`" in TEXT
