"""The command line's processes do not import pandas, although pyarrow would."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
from paylog.cli.lean import start_lean
start_lean()
import paylog.decode
import pyarrow as pa
pa.array([0])
assert "pandas" not in sys.modules
"""


def test_a_load_works_and_leaves_pandas_alone() -> None:
    subprocess.run([sys.executable, "-c", _PROGRAM], check=True)
