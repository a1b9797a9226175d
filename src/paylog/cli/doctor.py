"""``paylog doctor``: everything that an installation needs, and the remedy of what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from paylog.cli.answer import print_json, print_table, printable
from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, SubscriptionIds, find_subscriptions
from paylog.cli.exit_code import ExitCode, reported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paylog.doctor import Diagnosis


def doctor(
    subscription_ids: SubscriptionIds = None,
    seconds: Annotated[
        float, typer.Option("--time-limit", min=0.1, max=600, help="Seconds that one check may take.")
    ] = 20.0,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Look at connections, rights, clocks, server settings, tables and services; name remedies.

    Changes nothing. A warning leaves the exit code 0.
    """
    with reported(as_json):
        from paylog.doctor import Health, examine

        found = list(examine(find_subscriptions(folder, subscription_ids), seconds))
        if as_json:
            print_json([each.as_dict() for each in found])
        else:
            _print(found)
        if failed := [each for each in found if each.health is Health.FAILED]:
            error = failed[0].error
            raise typer.Exit(ExitCode.STOPPED if error is None else ExitCode.of(error))


def _print(found: Sequence[Diagnosis]) -> None:
    shown = {"ok": "ok", "unknown": "unknown", "warning": "WARNING", "failed": "FAILED"}
    rows = ((each.subject, each.code, shown[each.health], each.found) for each in found)
    print_table(("subject", "check", "", ""), rows)
    remedies = [each for each in found if each.remedy]
    if remedies:
        typer.echo()
    for each in remedies:
        typer.echo(printable(f"{each.subject} {each.code}: {each.remedy}"))
    counts = [f"{sum(each.health == name for each in found)} {name}" for name in shown]
    typer.echo(f"\n{len(found)} checks: {', '.join(counts)}")
