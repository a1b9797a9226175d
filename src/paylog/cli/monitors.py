"""``paylog monitors``: which monitors a subscription can have, which not, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from paylog.cli.answer import print_json, print_table
from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, SubscriptionIds, find_subscriptions
from paylog.cli.exit_code import ExitCode, reported

if TYPE_CHECKING:
    from paylog.capabilities import Verdict
    from paylog.subscription import Subscription


def monitors(
    subscription_ids: SubscriptionIds = None,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Say which monitors can be had (fairness, quality, explainability, drift), which not, and why.

    Ends with 5 when a monitor that the subscription wants cannot be had.
    """
    with reported(as_json):
        from paylog.capabilities import capabilities

        rules = capabilities()
        asked = find_subscriptions(folder, subscription_ids)
        found = {each.id: (each, facts := _facts(each), rules.verdicts(facts)) for each in asked}
        overridden = {each.id: _overridden(each) for each in asked}
        if as_json:
            print_json(
                [_document(*entry) | {"overridden": overridden[name]} for name, entry in found.items()]
            )
        else:
            for number, (subscription, _, verdicts) in enumerate(found.values()):
                _print(subscription, verdicts, overridden[subscription.id], first=number == 0)
        if any(
            v.answer == "no" and v.monitor in s.monitors and v.monitor.value not in overridden[s.id]
            for s, _, verdicts in found.values()
            for v in verdicts
        ):
            raise typer.Exit(ExitCode.STOPPED)


def _facts(subscription: Subscription) -> dict[str, str]:
    from paylog.capabilities import declared_facts
    from paylog.pipeline import open_data_mart
    from paylog.training_status import UNCHECKED, TrainingStatus

    state, payload = UNCHECKED, False
    with open_data_mart(subscription) as data_mart:
        if data_mart.is_set_up():
            training = TrainingStatus.of(subscription, data_mart)
            state = training.state if training else UNCHECKED
            payload = data_mart.has_payload(subscription.id)
    return declared_facts(subscription) | {
        "training_data_status": state,
        "payload": "loaded" if payload else "none",
    }


def _document(subscription: Subscription, facts: dict[str, str], verdicts: list[Verdict]) -> dict[str, Any]:
    return {
        "subscription": subscription.id,
        "wanted": [monitor.value for monitor in subscription.monitors],
        "facts": facts,
        "monitors": [verdict.as_dict() for verdict in verdicts],
    }


def _overridden(subscription: Subscription) -> dict[str, str]:
    """Reason by monitor, of those that were enabled in Python or over REST though a rule refuses them."""
    from paylog.client.monitors import CONFIGURATIONS
    from paylog.pipeline import open_data_mart

    with open_data_mart(subscription) as data_mart:
        asset = data_mart.registry.asset(subscription.id) if data_mart.is_set_up() else None
    kept = asset.configurations if asset else {}
    return {
        monitor.value: kept[name]["override"]["reason"]
        for monitor, name in CONFIGURATIONS.items()
        if kept.get(name, {}).get("enabled") and "override" in kept[name]
    }


def _print(
    subscription: Subscription, verdicts: list[Verdict], overridden: dict[str, str], *, first: bool
) -> None:
    if not first:
        typer.echo()
    wanted = ", ".join(monitor.value for monitor in subscription.monitors) or "none"
    typer.echo(f"{subscription.id}  wants: {wanted}")
    rows = []
    for verdict in verdicts:
        reasons = [(rule.because, rule.remedy, rule.source) for rule in verdict.rules] or [("", "", "")]
        for number, reason in enumerate(reasons):
            if number == 0 and verdict.monitor.value in overridden:
                rows.append((f"  {verdict.monitor}", "overridden", overridden[verdict.monitor.value], "", ""))
            rows.append((*((f"  {verdict.monitor}", verdict.answer) if number == 0 else ("", "")), *reason))
    print_table(("  monitor", "", "because", "what to do", "source of the rule"), rows)
