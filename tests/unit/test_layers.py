"""Who may import what: the rooms of the package keep their doors shut."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "paylog"
ALLOWED = {
    "airflow": ("airflow/",),
    "psycopg": ("data_mart/", "testing/exactly_once/books"),
    # Db2 is read through SQLAlchemy, never written; Airflow's runs are read through its own models.
    "sqlalchemy": ("data_mart/", "training_data/db2", "airflow/page/runs"),
    "ibm_db": ("training_data/db2",),
    "ibm_db_dbi": ("training_data/db2", "testing/db2"),
    "ibm_db_sa": ("training_data/db2",),
    "alembic": ("data_mart/",),
    "ibm_boto3": ("storage/",),
    "ibm_botocore": ("storage/",),
    "boto3": ("storage/",),
    "botocore": ("storage/",),
    "obstore": ("storage/",),
}
CORE = [
    "paylog.subscription",
    "paylog.pipeline",
    "paylog.plan",
    "paylog.decode",
    "paylog.normalize",
    "paylog.connections",
    "paylog.training_data.checks",
    "paylog.training_data.openscale_statistics",
    "paylog.engines.amazon_sagemaker",
    "paylog.engines.custom_machine_learning",
]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("package", ALLOWED)
def test_only_its_own_room_imports(package: str) -> None:
    offenders = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for name in _imports(path)
        if name.split(".")[0] == package and not str(path.relative_to(SOURCE)).startswith(ALLOWED[package])
    ]
    assert not offenders


def test_the_core_works_where_they_are_not_installed() -> None:
    """Importing the core with those packages blocked: nothing of it needs them."""
    program = (
        "import sys\n"
        f"for name in {sorted(ALLOWED)!r}:\n"
        "    sys.modules[name] = None\n"
        f"for name in {CORE!r}:\n"
        "    __import__(name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_no_file_is_longer_than_400_lines() -> None:
    root = SOURCE.parents[1]
    folders = (root / name for name in ("src", "dags", "benchmarks", "tests"))
    long = [
        f"{path.relative_to(root)}: {lines}"
        for folder in folders
        for path in folder.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    ]
    assert not long
