"""``paylog training``: check and profile the training data, and look at what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paylog.cli.answer import moment, print_json, print_table
from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, SubscriptionId, find_subscription
from paylog.cli.exit_code import ExitCode, NotFoundError, reported
from paylog.cli.lean import with_pandas
from paylog.errors import ConfigurationError

if TYPE_CHECKING:
    from paylog.data_mart import StoredCheck, StoredFinding, StoredProfile
    from paylog.subscription import Subscription
    from paylog.training_data import ColumnProfile

app = typer.Typer(
    help="The training data: its checks, its profile, and how far the payload is from it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command(epilog="Example:  paylog training check credit-risk")
def check(subscription_id: SubscriptionId, folder: Folder = DEFAULT_FOLDER, as_json: Json = False) -> None:
    """Read the training data, check it, and keep its profile. Ends with 5 when a check is an error."""
    with reported(as_json):
        with_pandas()
        from paylog.pipeline import check_training_data

        stored = check_training_data(find_subscription(folder, subscription_id))
        if as_json:
            print_json(stored.as_dict())
        else:
            _print_check(subscription_id, stored)
        if stored.status.value == "error":
            raise typer.Exit(ExitCode.STOPPED)


@app.command(epilog="Example:  paylog training show credit-risk --checks 10")
def show(
    subscription_id: SubscriptionId,
    checks: Annotated[int, typer.Option("--checks", min=1, max=1000, help="So many checks back.")] = 5,
    findings: Annotated[
        int, typer.Option("--findings", min=0, max=10_000, help="So many findings on the payload back.")
    ] = 20,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Show the standing check, the checks before it, and what the payload has that the data has not."""
    with reported(as_json):
        from paylog.pipeline import open_data_mart

        subscription = find_subscription(folder, subscription_id)
        with open_data_mart(subscription) as data_mart:
            there = data_mart.is_set_up()
            stored = data_mart.training.checks(subscription.id, checks) if there else []
            unlike = data_mart.training.findings(subscription.id, limit=findings) if there else []
        if as_json:
            print_json(
                {
                    "subscription": subscription.id,
                    "checks": [each.as_dict() for each in stored],
                    "payload": [each.as_dict() for each in unlike],
                }
            )
        else:
            _print_history(subscription, stored, unlike)


@app.command(epilog="Example:  paylog training profile credit-risk --statistics --write statistics.json")
def profile(
    subscription_id: SubscriptionId,
    profile_id: Annotated[
        int | None, typer.Option("--id", metavar="ID", help="An older profile.", show_default="the newest")
    ] = None,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="As OpenScale's training statistics JSON, to upload there.")
    ] = False,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the JSON to a file, not to stdout.")
    ] = None,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Show the stored profile of the training data, or export it."""
    with reported(as_json):
        subscription = find_subscription(folder, subscription_id)
        stored = _stored_profile(subscription, profile_id)
        document = stored.profile.to_dict()
        if statistics:
            with_pandas()
            from paylog import training_data

            document = training_data.statistics(stored.profile, subscription)
        if write is not None:
            _write(write, document)
        elif as_json or statistics:
            print_json(document)
        else:
            _print_profile(subscription.id, stored)


def _stored_profile(subscription: Subscription, profile_id: int | None) -> StoredProfile:
    from paylog.pipeline import open_data_mart

    with open_data_mart(subscription) as data_mart:
        stored = data_mart.training.profile(subscription.id, profile_id) if data_mart.is_set_up() else None
    if stored is None:
        which = f"profile {profile_id}" if profile_id else "profile of its training data"
        raise NotFoundError(
            f"{subscription.id} has no {which}; to make one: paylog training check {subscription.id}"
        )
    return stored


def _write(path: Path, document: object) -> None:
    try:
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    typer.echo(f"wrote {path}", err=True)


def _print_check(subscription_id: str, stored: StoredCheck) -> None:
    rows = "not read" if stored.rows is None else f"{stored.rows:,} rows of {stored.location}"
    typer.echo(f"{subscription_id}  training data {stored.status.value}: {rows}, in {stored.seconds:,.1f} s")
    if stored.findings:
        columns = ("  severity", "code", "column", "expected", "found", "what to do")
        found = (
            (f"  {f.severity}", f.code, f.column, f.expected, f.found, f.remedy) for f in stored.findings
        )
        print_table(columns, found)


def _print_history(
    subscription: Subscription, stored: list[StoredCheck], unlike: list[StoredFinding]
) -> None:
    if not stored or subscription.training_data is None:
        known = "never checked" if subscription.training_data else "none declared"
        typer.echo(f"{subscription.id}  training data: {known}")
        return
    _print_check(subscription.id, stored[0])
    if stored[0].schema_version != subscription.model_schema.version:
        typer.echo(f"  of an older model schema; run: paylog training check {subscription.id}")
    columns = ("  checked", "status", "rows", "profile", "content")
    rows = (
        (f"  {moment(c.checked_at)}", c.status, c.rows, c.profile_id, (c.content_hash or "")[:12])
        for c in stored
    )
    print_table(columns, rows, right=("rows", "profile"))
    if unlike:
        typer.echo("  payload records against the profile:")
        _print_payload_findings(unlike)


def _print_payload_findings(unlike: list[StoredFinding]) -> None:
    right = ("rows", "of", "measured", "allowed")
    columns = ("  loaded", "batch", "state", "severity", "code", "column", *right)
    rows = (
        (
            f"  {moment(f.created_at)}", f.batch_id, f.state, f.severity, f.code, f.column, f.rows, f.judged,
            f"{f.measured:.4f}", f"{f.threshold:g}",
        )
        for f in unlike
    )  # fmt: skip
    print_table(columns, rows, right=right)


def _print_profile(subscription_id: str, stored: StoredProfile) -> None:
    shown = stored.profile
    typer.echo(
        f"{subscription_id}  profile {stored.profile_id} of {moment(stored.created_at)} UTC: "
        f"{shown.rows:,} rows of {shown.source.location}, content {shown.content_hash[:12]}"
    )
    columns = ("  column", "type", "role", "nulls", "distinct", "min", "mean", "max", "most frequent")
    rows = (_profile_row(column) for column in shown.columns)
    print_table(columns, rows, right=("nulls", "distinct", "min", "mean", "max"))


def _profile_row(column: ColumnProfile) -> tuple[object, ...]:
    numeric = column.numeric
    figures = [f"{x:.6g}" for x in (numeric.min, numeric.mean, numeric.max)] if numeric else ["", "", ""]
    frequent = "" if column.sensitive else ", ".join(
        f"{name} {count / column.count:.0%}" for name, count in list(column.categories.items())[:3]
    )  # fmt: skip
    return (
        f"  {column.name}", column.type, column.role, column.nulls, column.distinct, *figures, frequent,
    )  # fmt: skip
