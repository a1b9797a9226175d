"""The command line's commands."""

from __future__ import annotations

import typer

from paylog.cli import (
    alerts,
    backfill,
    check,
    data_mart,
    deliver,
    doctor,
    engines,
    inspect,
    maintain,
    monitors,
    plan,
    quarantine,
    replay,
    retract,
    run,
    schema,
    serve,
    status,
    training,
    watermark,
)
from paylog.cli.exit_code import EPILOG

app = typer.Typer(
    name="paylog",
    help="Payload logging for models served anywhere: from scoring logs to payload records, exactly once.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog="Example:  paylog check subscriptions --connections")(check.check)
app.command(epilog="Example:  paylog plan credit-risk --from 2024-03-04 --to 2024-03-07")(plan.plan)
app.command(epilog="Example:  paylog run credit-risk --from 2024-03-04 --workers 4")(run.run)
app.command(
    epilog="Example:  paylog backfill credit-risk --from 2023-03-04 --to 2024-03-04 --reprocess everything"
)(backfill.backfill)
app.command(epilog="Example:  paylog replay credit-risk --reason TYPE_MISMATCH")(replay.replay)
app.command(epilog="Example:  paylog retract credit-risk --from 2024-03-04 --to 2024-03-05")(retract.retract)
app.command(epilog="Example:  paylog watermark credit-risk")(watermark.watermark)
app.command(epilog="Example:  paylog deliver credit-risk --retry-failed")(deliver.deliver)
app.command(epilog="Example:  paylog doctor credit-risk")(doctor.doctor)
app.command(epilog="Example:  paylog status credit-risk churn")(status.status)
app.command(epilog="Example:  paylog maintain credit-risk --apply")(maintain.maintain)
app.command(epilog="Example:  paylog alerts credit-risk")(alerts.alerts)
app.command(epilog="Example:  paylog monitors credit-risk")(monitors.monitors)
app.add_typer(schema.app, name="schema")
app.command(epilog="Example:  paylog serve --connection postgres_default --schema payloads")(serve.serve)
app.command(epilog="Example:  paylog engines kserve")(engines.engines)
app.command(epilog="Example:  paylog inspect s3://my-bucket/logs/ > subscriptions/new.yaml")(inspect.inspect)
app.add_typer(data_mart.app, name="data-mart")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(training.app, name="training")


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", is_eager=True, help="Print the version and end."),
) -> None:
    if version:
        from paylog import __version__

        typer.echo(f"paylog {__version__}")
        raise typer.Exit
