"""Training data in a folder, as an object store without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from paylog.subscription import Subscription
from paylog.testing.training_people import as_csv, document
from paylog.training_data import CheckResult, Profile, check

CONNECTION = "training_folder"


class TrainingFolder:
    """Writes training data and checks it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        definition = {"conn_type": "paylog_folder", "extra": {"path": str(folder)}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", json.dumps(definition))

    def write(self, name: str, content: bytes | pd.DataFrame) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_csv(content) if isinstance(content, pd.DataFrame) else content)

    def reference(self, **reference: Any) -> dict[str, Any]:
        """The document of a subscription that names the folder's ``people.csv``, or another object."""
        place = {} if "prefix" in reference else {"object": "people.csv"}
        return document(**{"type": "cos", "connection": CONNECTION} | place | reference)

    def subscription(self, **reference: Any) -> Subscription:
        return Subscription.model_validate(self.reference(**reference))

    def check(
        self,
        content: bytes | pd.DataFrame,
        changed: dict[str, Any] | None = None,
        previous: Profile | None = None,
    ) -> CheckResult:
        """Write ``people.csv`` and check it.

        :param changed: the subscription's document; None: as generated.
        """
        self.write("people.csv", content)
        subscription = Subscription.model_validate(changed or self.reference())
        return check(subscription, previous)


def codes(result: CheckResult) -> list[str]:
    return [str(finding.code) for finding in result.findings]
