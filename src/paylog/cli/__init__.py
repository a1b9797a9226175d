"""The command line: ``paylog check | schema | training | monitors | plan | run | status | quarantine``."""

from paylog.cli.app import main

__all__ = ["main"]
