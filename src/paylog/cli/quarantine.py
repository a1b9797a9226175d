"""``paylog quarantine``: the records that were not loaded, and why."""

from __future__ import annotations

import base64
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paylog.cli.answer import moment, print_json, print_table, printable
from paylog.cli.choice import (
    DEFAULT_FOLDER,
    Folder,
    Json,
    OfReason,
    SubscriptionId,
    find_subscription,
    find_subscriptions,
)
from paylog.cli.exit_code import NotFoundError, reported
from paylog.errors import ConfigurationError

if TYPE_CHECKING:
    from paylog.data_mart import QuarantinedRecord

app = typer.Typer(
    help="The records that were not loaded, and why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("list", epilog="Example:  paylog quarantine list credit-risk --reason TYPE_MISMATCH")
def list_records(
    subscription_id: SubscriptionId,
    reason: OfReason = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, help="At most so many, newest first.")
    ] = 50,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """List quarantined records, the newest first, without their content."""
    with reported(as_json):
        from paylog.pipeline import open_for_reading

        subscription = find_subscription(folder, subscription_id)
        with open_for_reading(subscription) as data_mart:
            known = data_mart.is_set_up()
            records = data_mart.quarantine(subscription.id, reason, limit) if known else []
        if as_json:
            print_json([_document(record) for record in records])
        elif not records:
            typer.echo(f"{subscription.id}: nothing is in quarantine{f' for {reason}' if reason else ''}")
        else:
            columns = ("id", "reason", "column", "rows", "record", "row", "state", "object", "since")
            rows = (
                (
                    str(r.quarantine_id),
                    r.reason,
                    r.column,
                    r.rows,
                    r.position,
                    r.row,
                    r.state,
                    r.uri,
                    r.created_at,
                )
                for r in records
            )
            print_table(columns, rows, right=("id", "rows", "record", "row"))


@app.command("show", epilog="Example:  paylog quarantine show 17 --raw")
def show_record(
    quarantine_id: Annotated[int, typer.Argument(metavar="ID", help="Id, as 'quarantine list' prints it.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Also print the record itself. It holds payload values.")
    ] = False,
    of: Annotated[
        str | None,
        typer.Option(
            "--subscription", metavar="SUBSCRIPTION", help="Whose data mart to look in; all by default."
        ),
    ] = None,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Show one quarantined record: where it is, why it was rejected, and with --raw what it holds."""
    with reported(as_json):
        record = _find(folder, quarantine_id, of)
        document = _document(record) | (_content(record) if raw else {})
        if as_json:
            print_json(document)
            return
        for name, value in document.items():
            if value is not None and name not in ("raw", "raw_encoding"):
                shown = f"{moment(record.created_at)} UTC" if name == "created_at" else value
                typer.echo(f"{name.replace('_', ' '):<14} {printable(str(shown))}")
        if raw:
            typer.echo()
            typer.echo(printable((record.raw or b"").decode("utf-8", "backslashreplace")))


def _find(folder: Path, quarantine_id: int, of: str | None) -> QuarantinedRecord:
    """The record, in whichever data mart of the subscriptions has it. Ids are unique in one schema."""
    from paylog.pipeline import open_data_mart

    subscriptions = find_subscriptions(folder, [of] if of else None)
    marts = {(s.data_mart.connection, s.data_mart.schema_name): s for s in subscriptions}
    found = []
    for subscription in marts.values():
        with open_data_mart(subscription) as data_mart:
            record = data_mart.quarantine_record(quarantine_id) if data_mart.is_set_up() else None
        if record is not None and of in (None, record.subscription_id):
            found.append(record)
    if not found:
        raise NotFoundError(f"no record {quarantine_id} is in quarantine{f' of {of}' if of else ''}")
    if len(found) > 1:
        owners = ", ".join(record.subscription_id for record in found)
        raise ConfigurationError(
            f"several data marts have a record {quarantine_id}: add --subscription ({owners})"
        )
    return found[0]


def _document(record: QuarantinedRecord) -> dict[str, Any]:
    """Everything but the content."""
    document = asdict(record)
    del document["raw"]
    return document


def _content(record: QuarantinedRecord) -> dict[str, str]:
    content = record.raw or b""
    try:
        return {"raw": content.decode("utf-8"), "raw_encoding": "utf-8"}
    except UnicodeDecodeError:
        return {"raw": base64.b64encode(content).decode(), "raw_encoding": "base64"}
