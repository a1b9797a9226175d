"""The command line: ``paylog check | schema | plan | run | status | quarantine | engines | inspect``."""

from paylog.cli.app import main

__all__ = ["main"]
