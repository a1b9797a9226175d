"""How the tests are divided among processes (``make test`` runs one a core)."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

# One real Airflow serves all of these files: they go to one process, the first.
_AIRFLOW = "tests/acceptance/test_airflow"


class _ByFile(LoadScopeScheduling):
    """Tests of one file stay together, and so do the files that share an Airflow."""

    def _split_scope(self, nodeid: str) -> str:
        return _AIRFLOW if nodeid.startswith(_AIRFLOW) else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    return _ByFile(config, log)
