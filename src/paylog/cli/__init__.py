"""The command line: ``paylog``, a module for each of its commands."""

from paylog.cli.lean import settle, start_lean

__all__ = ["main"]


def main() -> None:
    """Entry point of ``paylog``."""
    start_lean()
    from paylog.cli.app import app

    try:
        app()
    finally:
        settle()
