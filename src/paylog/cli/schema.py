"""``paylog schema``: the JSON Schema of a subscription file; a model schema proposed, or compared."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paylog.cli.answer import print_json, printable
from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, SubscriptionId, find_subscription
from paylog.cli.exit_code import ExitCode, NotFoundError, reported
from paylog.cli.lean import with_pandas
from paylog.errors import ConfigurationError

if TYPE_CHECKING:
    from paylog.subscription import Subscription

app = typer.Typer(
    help="The JSON Schema of a subscription file; a model schema proposed, or compared with the data mart.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Write = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", help="Write it to a file, not to stdout.")
]


@app.callback(epilog="Example:  paylog schema --write subscriptions/subscription.schema.json")
def schema(context: typer.Context, write: Write = None, as_json: Json = False) -> None:
    """Print the JSON Schema of a subscription file, for the completion of editors."""
    if context.invoked_subcommand is not None:
        return
    from paylog.subscription import json_schema

    with reported(as_json):
        text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
        _print(text, write, as_json, None)


@app.command(epilog="Example:  paylog schema init subscriptions/credit_risk.yaml --from-training-data")
def init(
    subscription: Annotated[
        str,
        typer.Argument(
            metavar="SUBSCRIPTION",
            help="Id of a subscription, or a YAML file that may lack its model_schema still.",
        ),
    ],
    from_training_data: Annotated[
        bool, typer.Option("--from-training-data", help="Propose it from the file's training_data.")
    ] = False,
    from_logs: Annotated[
        bool, typer.Option("--from-logs", help="Propose it from what lies in the file's logs.")
    ] = False,
    label: Annotated[
        str | None, typer.Option("--label", metavar="COLUMN", help="The label.", show_default="guessed")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Look at so many rows.")] = 100_000,
    write: Write = None,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Propose a model schema (types, categories, roles) as commented YAML, for you to review."""
    with reported(as_json):
        if from_training_data == from_logs:
            raise ConfigurationError(
                "say from what: paylog schema init SUBSCRIPTION --from-training-data, or --from-logs"
            )
        if from_logs:
            text = _seen_in_logs(_draft(subscription, folder, "logs"))
            _print(text, write, as_json, {"model_schema": text})
            return
        with_pandas()
        from paylog.training_data import open_source
        from paylog.training_data.proposal import proposed_schema

        data = open_source(_draft(subscription, folder, "training_data"))
        text = proposed_schema(data, label, rows)
        _print(text, write, as_json, {"model_schema": text})


@app.command(epilog="Example:  paylog schema diff credit-risk")
def diff(subscription_id: SubscriptionId, folder: Folder = DEFAULT_FOLDER, as_json: Json = False) -> None:
    """Compare a model schema with the payload table: what a run would change in it, and what it refuses."""
    with reported(as_json):
        from paylog.pipeline import open_data_mart

        subscription = find_subscription(folder, subscription_id)
        with open_data_mart(subscription) as data_mart:
            found = data_mart.schema_change(subscription)
        if as_json:
            print_json({"subscription": subscription.id, **asdict(found)})
        else:
            same = found.before == found.after or found.before is None
            versions = found.after if same else f"{found.before} → {found.after}"
            typer.echo(f"{subscription.id}  model schema {versions}")
            for statement in found.statements:
                typer.echo(f"  will be done: {statement}")
            for problem in found.refused:
                typer.echo(f"  refused: {problem}")
            if not found.statements and not found.refused:
                typer.echo("  the payload table has all of it")
        if found.refused:
            raise typer.Exit(ExitCode.STOPPED)


def _seen_in_logs(draft: Subscription) -> str:
    """The model schema that ``paylog inspect`` would propose, with its doubts as comments."""
    from paylog.inspection import glimpse, proposal, recognise
    from paylog.inspection.proposal import as_yaml
    from paylog.pipeline import open_storage

    found = glimpse(open_storage(draft))
    if not found.objects:
        raise NotFoundError(f"the logs of {draft.id} hold no objects: check logs.bucket and logs.prefix")
    document, notes = proposal(
        found, recognise(found), {"connection": draft.logs.connection}, draft.id, False
    )
    comments = "".join(f"# - {printable(note)}\n" for note in notes)
    if not document:
        raise NotFoundError(f"the logs of {draft.id}: {'; '.join(notes)}")
    return comments + printable(as_yaml({"model_schema": document["model_schema"]}))


def _draft(name: str, folder: Path, needed: str) -> Subscription:
    """The subscription; one without a model schema gets some schema, which reading does not look at."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        return find_subscription(folder, name)
    from pydantic import ValidationError

    from paylog.subscription import Subscription
    from paylog.subscription.section import problems_of
    from paylog.subscription.yaml_document import YamlDocument

    document = YamlDocument.read(path)
    if document.problems:
        raise ConfigurationError(document.problems)
    content: dict[str, Any] = document.content if isinstance(document.content, dict) else {}
    if not content.get(needed):
        what = needed.replace("_", " ")
        raise ConfigurationError(f"{path}: {needed} is missing: say where the {what} are to be found")
    try:
        return Subscription.model_validate({"model_schema": _PLACEHOLDER} | content)
    except ValidationError as error:
        raise ConfigurationError(document.describe(problems_of(error))) from None


_PLACEHOLDER = {
    "problem_type": "regression",
    "fields": [
        {"name": "feature", "type": "double"},
        {"name": "prediction", "type": "double", "role": "prediction"},
    ],
}


def _print(text: str, write: Path | None, as_json: bool, document: dict[str, str] | None) -> None:
    """The text on stdout or in a file.

    :param document: what ``--json`` prints instead of text that is no JSON.
    """
    if write is None:
        if as_json and document is not None:
            print_json(document)
        else:
            typer.echo(text, nl=False)
        return
    try:
        write.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotFoundError(f"{write} cannot be written: {error.strerror}") from None
    if as_json:
        print_json({"written": os.fspath(write)})
    else:
        typer.echo(f"wrote {write}")
