"""What a task says of its run after its batch was committed."""

from __future__ import annotations

from typing import Any

import pytest
from credit_training import subscription

from paylog import pipeline
from paylog.airflow.progress import run_progress
from paylog.errors import RetriableError


def test_a_batch_that_is_loaded_does_not_fail_for_a_data_mart_that_went_since(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(_: Any) -> Any:
        raise RetriableError("the data mart does not answer")

    monkeypatch.setattr(pipeline, "open_data_mart", gone)
    assert run_progress(subscription(), {"run_id": "run-1"}) == ""
    assert "the data mart does not answer" in caplog.text
