"""What a command prints: one JSON document for machines, or text and tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

# Not a terminal: nobody wants a table cut at 80 columns in a file.
_WIDE = 240


def print_json(document: Any) -> None:
    """The one JSON document of ``--json``, on stdout. Times are ISO 8601."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def printable(text: str) -> str:
    """Text that cannot steer the terminal: object keys and records are written by others."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()) -> None:
    """A table without frame; ``right`` names the columns that are aligned to the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(_cell(value))) for value in row))
    console(stderr=False).print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return moment(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def moment(value: datetime) -> str:
    """``2024-03-04 05:00``, UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"


def megabytes(count: int) -> str:
    """``1.2 MB``."""
    return f"{count / 1e6:,.1f} MB"


def console(*, stderr: bool) -> Console:
    """Rich's console on stdout or stderr; colours only on a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, highlight=False, width=width)
