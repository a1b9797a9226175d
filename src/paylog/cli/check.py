"""``paylog check``: the configuration, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paylog.cli.answer import print_json, print_table, printable
from paylog.cli.choice import DEFAULT_FOLDER, Json
from paylog.cli.exit_code import ExitCode, NotFoundError, describe, reported
from paylog.errors import PaylogError

if TYPE_CHECKING:
    from paylog.subscription import Subscription


@dataclass(frozen=True)
class Probe:
    """Whether a connection answers, and what it said."""

    subscription: str
    use: str
    connection: str
    ok: bool
    said: str
    exit_code: int = 0


def check(
    path: Annotated[
        Path,
        typer.Argument(
            envvar="PAYLOG_SUBSCRIPTIONS",
            help="Folder of subscriptions, or one file.",
            show_default="./subscriptions",
        ),
    ] = DEFAULT_FOLDER,
    connections: Annotated[
        bool,
        typer.Option(
            "--connections",
            help="Also list one key of each store, sign in to each data mart and ask each service.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Validate subscriptions and print every problem at once, with file, line and mend."""
    from paylog.capabilities import capabilities, refusals
    from paylog.subscription import read_subscriptions

    with reported(as_json):
        found = read_subscriptions(path)
        if not found.subscriptions and not found.problems:
            raise NotFoundError(f"no subscriptions (*.yaml) in {path}")
        rules = capabilities()
        problems = found.problems + [line for s in found.subscriptions for line in refusals(s, rules)]
        probes = list(_probes(found.subscriptions)) if connections else []
        names = [s.id for s in found.subscriptions]
        if as_json:
            print_json(
                {
                    "subscriptions": names,
                    "problems": problems,
                    "connections": [asdict(p) for p in probes],
                }
            )
        else:
            _print(names, problems, probes)
        if problems:
            raise typer.Exit(ExitCode.CONFIGURATION)
        if failed := [probe.exit_code for probe in probes if not probe.ok]:
            raise typer.Exit(failed[0])


def _print(names: list[str], problems: list[str], probes: list[Probe]) -> None:
    for problem in problems:
        typer.echo(printable(problem))
    good = f"{len(names)} good: {', '.join(names)}" if names else "none is good"
    wrong = f", {len(problems)} problem{'s' if len(problems) != 1 else ''}" if problems else ""
    typer.echo(f"subscriptions: {good}{wrong}")
    if probes:
        columns = ("subscription", "use", "connection", "", "")
        rows = ((p.subscription, p.use, p.connection, "ok" if p.ok else "FAILED", p.said) for p in probes)
        print_table(columns, rows)


def _probes(subscriptions: Iterable[Subscription]) -> Iterator[Probe]:
    from paylog.doctor.probes import ask_service, list_one, open_training, sign_in

    for subscription in subscriptions:
        logs, mart = subscription.logs.connection, subscription.data_mart.connection
        yield _probe(subscription, "scoring logs", logs, list_one)
        yield _probe(subscription, "data mart", mart, sign_in)
        if subscription.training_data is not None:
            yield _probe(subscription, "training data", subscription.training_data.connection, open_training)
        if subscription.deliver is not None:
            yield _probe(subscription, "delivery", subscription.deliver.connection, ask_service)


def _probe(
    subscription: Subscription, use: str, connection: str, attempt: Callable[[Subscription], str]
) -> Probe:
    try:
        said = attempt(subscription)
    except PaylogError as error:
        return Probe(subscription.id, use, connection, False, describe(error), int(ExitCode.of(error)))
    return Probe(subscription.id, use, connection, True, said)
