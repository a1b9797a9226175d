"""MLflow's scoring bodies, as its scoring server and Databricks inference tables have them.

Requests (``/invocations``): ``dataframe_split`` {columns, data}, ``dataframe_records``, ``instances``, or
``inputs`` as columns or rows. Responses: ``predictions``, a scalar, a list of scalars, lists or
records, one record, or a column a key. Lists of rows are read as everywhere; this is the rest.
Source: mlflow/pyfunc/scoring_server and its real responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paylog.codecs import NESTING, Side
from paylog.codecs.seldon_body import Table
from paylog.errors import Reason, RejectedRecord

COLUMNAR = ("inputs", "outputs", "predictions")
"""Members that may hold a list of cells a column; those of no use are passed over."""


def mlflow_rows(document: Any, side: Side) -> Table | None:
    """(names or None, cells) of each row; None when the body holds a list of rows, or is no MLflow body.

    Raises RejectedRecord when columns differ in length.
    """
    if not isinstance(document, Mapping) or any(isinstance(document.get(key), list) for key in NESTING):
        return None
    split = document.get("dataframe_split")
    if isinstance(split, Mapping) and isinstance(split.get("data"), list):
        columns = split.get("columns")
        names = tuple(map(str, columns)) if isinstance(columns, list) else None
        return [(names, row if isinstance(row, list | dict) else [row]) for row in split["data"]]
    for key in COLUMNAR:
        if isinstance(held := document.get(key), Mapping) and key not in side.wanted:
            return columnar_rows({name: cells for name, cells in held.items() if name in side.wanted})
    held = document.get("predictions")
    if len(document) == 1 and "predictions" in document and not isinstance(held, list | Mapping):
        return [(None, [held])]
    return None


def columnar_rows(columns: Mapping[str, Any]) -> Table:
    """Rows of a list of cells a column; of one record by name, if not all of its cells are lists."""
    lists = list(columns.values())
    if not lists or not all(isinstance(cells, list) for cells in lists):
        return [(None, columns)]
    sizes = set(map(len, lists))
    if len(sizes) > 1:
        raise RejectedRecord(Reason.ROW_COUNT_MISMATCH, rows=max(sizes))
    return [(None, dict(zip(columns, cells, strict=True))) for cells in zip(*lists, strict=True)]
