"""``paylog schema``: the JSON Schema of a subscription file, and a model schema from training data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paylog.cli.answer import print_json
from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, find_subscription
from paylog.cli.exit_code import NotFoundError, reported
from paylog.cli.lean import with_pandas
from paylog.errors import ConfigurationError

if TYPE_CHECKING:
    from paylog.subscription import Subscription

app = typer.Typer(
    help="The JSON Schema of a subscription file, or a model schema proposed from training data.",
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
        if not from_training_data:
            raise ConfigurationError("say from what: paylog schema init SUBSCRIPTION --from-training-data")
        with_pandas()
        from paylog.training_data import open_source
        from paylog.training_data.proposal import proposed_schema

        data = open_source(_draft(subscription, folder))
        text = proposed_schema(data, label, rows)
        _print(text, write, as_json, {"model_schema": text})


def _draft(name: str, folder: Path) -> Subscription:
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
    if not content.get("training_data"):
        raise ConfigurationError(f"{path}: training_data is missing: say where the training data lives")
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
