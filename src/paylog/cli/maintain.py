"""``paylog maintain``: partitions ahead, and what retention removes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from paylog.cli.answer import print_json, print_table
from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, SubscriptionIds, find_subscriptions
from paylog.cli.exit_code import reported

if TYPE_CHECKING:
    from paylog.upkeep import Upkeep


def maintain(
    subscription_ids: SubscriptionIds = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without, only say what is due.")] = False,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Make partitions ahead, remove what the subscription's retention says, report sizes.

    Without --apply nothing is changed. What is removed is never loaded again.
    """
    with reported(as_json):
        from paylog.upkeep import maintain as keep_up

        rounds = [keep_up(s, apply=apply) for s in find_subscriptions(folder, subscription_ids)]
        if as_json:
            print_json([each.as_dict() for each in rounds])
            return
        for each in rounds:
            _print(each)
        if not apply:
            typer.echo("Nothing was changed: paylog maintain --apply does it.")


def _print(upkeep: Upkeep) -> None:
    from paylog.subscription.quantities import format_size

    typer.echo(f"{upkeep.subscription_id}  {'done' if upkeep.applied else 'due'}: {upkeep.as_text()}")
    for name in upkeep.removed:
        typer.echo(f"  {upkeep.action} {name}")
    sizes = upkeep.sizes
    cells = (sizes.table_bytes, sizes.index_bytes, sizes.detached_bytes, sizes.control_bytes)
    columns = ("  rows (estimate)", "months", "table", "indexes", "detached", "control tables")
    print_table(columns, [(sizes.rows, sizes.partitions, *map(format_size, cells))], columns)
