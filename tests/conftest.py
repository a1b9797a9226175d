"""How the tests are divided among processes (``make test`` runs one a core)."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

# One real Airflow serves most of these files, and two at a time are too many for two cores.
_ACCEPTANCE = "tests/acceptance/"


class _ByFile(LoadScopeScheduling):
    """Tests of one file stay together, and so do all that start an Airflow: they go to the first process."""

    def _split_scope(self, nodeid: str) -> str:
        return _ACCEPTANCE if nodeid.startswith(_ACCEPTANCE) else nodeid.split("::", 1)[0]


@pytest.hookimpl(optionalhook=True)  # pytest -p no:xdist has none
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    return _ByFile(config, log)
