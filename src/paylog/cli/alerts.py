"""``paylog alerts``: what is wrong now, and who was told."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paylog.cli.answer import print_json, print_table
from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, SubscriptionIds, find_subscriptions
from paylog.cli.exit_code import reported

if TYPE_CHECKING:
    from paylog.data_mart.alert_log import Alert
    from paylog.subscription import Subscription


def alerts(
    subscription_ids: SubscriptionIds = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the resolved ones, the newest first.")
    ] = False,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """List the open alerts: since when, how often they were seen, whose they are."""
    with reported(as_json):
        chosen = find_subscriptions(folder, subscription_ids)
        found = [(each, alert) for each in chosen for alert in _alerts(each, everything)]
        if as_json:
            print_json([_document(subscription, alert) for subscription, alert in found])
        elif not found:
            typer.echo("no alert is open" if not everything else "there was no alert yet")
        else:
            columns = ("subscription", "cause", "since", "seen", "times", "resolved", "owners", "what")
            rows = (
                (a.subscription_id, a.cause, a.opened_at, a.last_seen_at, a.times, a.resolved_at,
                 ", ".join(_owners(s, a)), a.summary)
                for s, a in found
            )  # fmt: skip
            shown = [i for i, name in enumerate(columns) if everything or name != "resolved"]
            table = ([row[i] for i in shown] for row in rows)
            print_table([columns[i] for i in shown], table, right=("times",))


def _alerts(subscription: Subscription, everything: bool) -> list[Alert]:
    from paylog.pipeline import open_data_mart

    with open_data_mart(subscription) as data_mart:
        if not data_mart.is_set_up():
            return []
        log = data_mart.alerts
        return log.newest(subscription.id) if everything else log.open(subscription.id)


def _owners(subscription: Subscription, alert: Alert) -> list[str]:
    from paylog.alerts import routes_of

    return list(
        dict.fromkeys(owner for route in routes_of(subscription, alert.cause) for owner in route.owners)
    )


def _document(subscription: Subscription, alert: Alert) -> dict[str, Any]:
    return asdict(alert) | {"owners": _owners(subscription, alert)}
