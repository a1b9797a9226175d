"""``paylog data-mart``: its tables, and the roles that may work on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from paylog.cli.answer import print_json
from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, SubscriptionIds, find_subscriptions
from paylog.cli.exit_code import reported
from paylog.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paylog.data_mart.roles import RolePlan
    from paylog.subscription import Subscription

app = typer.Typer(
    help="The data mart: its tables, and the roles that may work on them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command(epilog="Example:  paylog data-mart setup credit-risk")
def setup(
    subscription_ids: SubscriptionIds = None, folder: Folder = DEFAULT_FOLDER, as_json: Json = False
) -> None:
    """Create or migrate control tables, payload tables and partitions, as the owner's role.

    Runs do that by themselves where they have the owner's connection; where they do not, run this first.
    """
    with reported(as_json):
        from paylog import pipeline
        from paylog.upkeep import prepare_months

        made = {}
        for subscription in find_subscriptions(folder, subscription_ids):
            with pipeline.open_data_mart(subscription) as data_mart:
                data_mart.setup()
                made[subscription.id] = data_mart.ensure(subscription)
                prepare_months(subscription, data_mart)
        if as_json:
            print_json(made)
            return
        for name, changes in made.items():
            typer.echo(f"{name}  {'; '.join(changes) or 'up to date'}")


@app.command(epilog="Example:  paylog data-mart roles credit-risk --apply --admin postgres_admin")
def roles(
    subscription_ids: SubscriptionIds = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Run the statements. Without, only print them.")
    ] = False,
    admin: Annotated[
        str | None, typer.Option("--admin", metavar="CONNECTION", help="Connection that may create roles.")
    ] = None,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Make the roles of owner_connection, connection and read_connection, and give each its rights.

    Each role is named after its connection's login. With --apply, a role that is new gets the password of
    its connection; one that exists keeps its own. Nothing is dropped, and running it again changes nothing.
    """
    with reported(as_json):
        from paylog.connections import resolve
        from paylog.data_mart.roles import apply as run_plan

        plans = list(_plans(find_subscriptions(folder, subscription_ids)))
        if apply:
            if admin is None:
                raise ConfigurationError("name the administrator's connection: --apply --admin CONNECTION")
            made = [(plan, run_plan(plan, resolve(admin))) for plan in plans]
            if as_json:
                print_json([_named(plan) | {"new_roles": names} for plan, names in made])
            for plan, names in () if as_json else made:
                new = f"new roles {', '.join(names)}" if names else "no new role"
                place = f"schema {plan.schema!r} of {plan.load.schema!r}"
                typer.echo(f"{place}: {new}; rights are as they should be")
        elif as_json:
            print_json([_named(plan) | {"statements": plan.statements()} for plan in plans])
        else:
            for plan in plans:
                typer.echo(plan.as_sql())


def _named(plan: RolePlan) -> dict[str, Any]:
    """Which data mart it is of: schemas of two databases may have one name."""
    return {"connection": plan.load.conn_id, "database": plan.load.schema, "schema": plan.schema}


def _plans(subscriptions: Iterable[Subscription]) -> Iterable[RolePlan]:
    """One for each data mart of the subscriptions.

    :raises ConfigurationError: a data mart has no owner's connection, or two connections share a role.
    """
    from paylog.connections import resolve
    from paylog.data_mart.roles import RolePlan

    targets = {s.data_mart: s.id for s in subscriptions}
    for target, name in targets.items():
        if target.owner_connection is None:
            raise ConfigurationError(
                f"{name}: data_mart.owner_connection is missing. Name the connection whose role shall own "
                "the tables; data_mart.connection then only loads"
            )
        read = resolve(target.read_connection) if target.read_connection else None
        yield RolePlan(target.schema_name, resolve(target.owner_connection), resolve(target.connection), read)
