"""A pool of loads bounds connections: each load holds two at most, and none when it is over."""

from __future__ import annotations

import pytest

from paylog import pipeline
from paylog.testing.collector_logs import INPUTS, OUTPUTS
from paylog.testing.exactly_once.books import ask
from paylog.testing.exactly_once.collector import Calls, collector, inputs, outputs
from paylog.testing.exactly_once.runs import plan
from paylog.testing.exactly_once.served_model import LogFolder, credit, credit_log

_SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'paylog'"
)


def sessions() -> int:
    ((count,),) = ask(_SESSIONS)
    return int(count)


@pytest.mark.parametrize("paired", [False, True])
def test_a_load_holds_two_connections_at_most(folder: LogFolder, paired: bool) -> None:
    if paired:
        calls, subscription = Calls(1_000), collector()
        folder.write(inputs(0), calls.of(INPUTS, *range(1_000)))
        folder.write(outputs(0), calls.of(OUTPUTS, *range(500)))
    else:
        subscription = credit()
        folder.fill(credit_log(records=3_000, objects_count=5))
    run_id, (batch_id,) = plan(subscription)
    assert sessions() == 0
    seen: list[int] = []
    pipeline.ingest_planned(subscription, run_id, batch_id, lambda rows, size: seen.append(sessions()))
    assert 1 <= max(seen) <= 2
    assert sessions() == 0
