"""A Db2 for the tests: the one that ``PAYLOG_TEST_DB2_DSN`` names, else the stand-in beside the repository.

The variable reads ``db2+ibm_db://user:password@host:port/DATABASE;Authentication=SERVER``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paylog.testing.db2 import Db2Server, answering, missing_for_standin, standin

DSN = os.environ.get("PAYLOG_TEST_DB2_DSN", "")


@contextmanager
def db2_server(folder: Path) -> Iterator[Db2Server]:
    """While the block runs; skips where there is neither."""
    pytest.importorskip("ibm_db_dbi", reason="IBM's Db2 driver is not installed (paylog[db2])")
    if DSN:
        yield answering(Db2Server(DSN))
        return
    if reason := missing_for_standin():
        pytest.skip(f"{reason}, and PAYLOG_TEST_DB2_DSN names no real Db2")
    with standin(folder / "db2") as server:
        yield server
