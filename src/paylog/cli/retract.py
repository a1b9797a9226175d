"""``paylog retract``: take back a batch, a run or a window."""

from __future__ import annotations

import getpass
import os
from typing import Annotated

import typer

from paylog.cli.answer import print_json
from paylog.cli.choice import (
    DEFAULT_FOLDER,
    Folder,
    Json,
    SubscriptionId,
    To,
    asked_window,
    find_subscription,
)
from paylog.cli.exit_code import reported
from paylog.errors import ConfigurationError


def retract(
    subscription_id: SubscriptionId,
    batch: Annotated[
        int | None,
        typer.Option("--batch", metavar="NUMBER", help="A batch, by the number of its receipt (see status)."),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="A run, all of its batches; a replay's too.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Objects from this time on, whichever run loaded them."),
    ] = None,
    end: To = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it. Without it, only say what would be taken back.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit table.")] = "",
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Take back what was loaded, as if it never had been. A later run over its window loads it again."""
    with reported(as_json):
        from paylog import retract as retraction

        subscription = find_subscription(folder, subscription_id)
        window = asked_window(subscription, start, end)
        if [batch, run, window].count(None) != 2:
            raise ConfigurationError("say what to take back: either --batch, or --run, or --from (and --to)")
        selection = retraction.Selection(batch, run, window)
        if yes:
            found = retraction.retract(subscription, selection, actor=_actor(), reason=reason)
        else:
            found = retraction.preview(subscription, selection)
        if as_json:
            print_json(found.as_dict())
            return
        for line in found.lines():
            typer.echo(line)
        if not yes:
            typer.echo("Nothing was changed: add --yes to do it.")


def _actor() -> str:
    """The operating system's user; containers often run as a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
