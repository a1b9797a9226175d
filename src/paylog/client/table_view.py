"""Tables of a few columns, printed for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print to the terminal or notebook; a missing value is blank."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    Console().print(table)


def matching(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], wanted: dict[str, Any]
) -> list[Sequence[Any]]:
    """Rows whose cells equal ``wanted``, by column name. Raises ``KeyError`` for an unknown column."""
    places = {column: i for i, column in enumerate(columns)}
    return [row for row in rows if all(row[places[name]] == value for name, value in wanted.items())]
