"""``paylog inspect``: a folder of unknown scoring logs, and a subscription to start from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from paylog.cli.answer import megabytes, print_json, printable
from paylog.cli.choice import Json
from paylog.cli.exit_code import ExitCode, NotFoundError, reported
from paylog.connections import Connection, resolve
from paylog.errors import ConfigurationError

if TYPE_CHECKING:
    from paylog.inspection import Glimpse, Recognised, Shape
    from paylog.storage import Storage

_SCHEMES = {
    "cos": "ibm_cos_default",
    "s3": "aws_default",
    "az": "wasb_default",
    "gs": "google_cloud_default",
}


@dataclass(frozen=True)
class _Place:
    """Where the logs are: the storage, and the words of a subscription for it."""

    storage: Storage
    logs: dict[str, Any]
    name: str


def inspect(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="A folder, or cos://, s3://, az:// or gs://bucket/prefix.")
    ],
    connection: Annotated[
        str | None,
        typer.Option("--connection", help="Id of the connection to a bucket.", show_default="<type>_default"),
    ] = None,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Also show an example of each member, and class labels.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which engine wrote a folder of logs and what they hold; print a subscription to start from.

    What is seen is printed as comments of the YAML: redirect it into a file of your subscriptions.
    """
    from paylog.inspection import glimpse, proposal, recognise, shapes
    from paylog.inspection.proposal import as_yaml

    with reported(as_json):
        place = _place(uri, connection)
        found = glimpse(place.storage)
        if not found.objects:
            raise NotFoundError(f"{uri} holds no objects: check the prefix")
        recognised = recognise(found)
        seen = shapes([record for sample in found.samples for record in sample.records])
        document, notes = proposal(found, recognised, place.logs, place.name, show_values)
        if as_json:
            print_json(_report(uri, found, recognised, seen, show_values) | {"subscription": document})
            return
        comments = [*_summary(uri, found, recognised), "", *_members(seen, show_values), "", *_check(notes)]
        for line in comments:
            typer.echo(printable(f"# {line}").rstrip())
        if not document:
            raise typer.Exit(ExitCode.NOT_FOUND)
        typer.echo(printable(as_yaml(document)), nl=False)


def _place(uri: str, connection: str | None) -> _Place:
    from paylog.storage import connect

    parts = urlsplit(uri)
    if parts.scheme in _SCHEMES:
        conn_id, prefix = connection or _SCHEMES[parts.scheme], parts.path.strip("/")
        logs: dict[str, Any] = {"connection": conn_id, "bucket": parts.netloc}
        logs |= {"prefix": f"{prefix}/"} if prefix else {}
        storage = connect(resolve(conn_id), parts.netloc, prefix)
        return _Place(storage, logs, prefix.rsplit("/", 1)[-1] or parts.netloc)
    if parts.scheme not in ("", "file"):
        raise ConfigurationError(f"{parts.scheme}:// is not known: a folder, or {', '.join(_SCHEMES)}://…")
    folder = Path(parts.path if parts.scheme else uri).resolve()
    storage = connect(Connection("inspected", "paylog_folder", extra={"path": str(folder)}))
    return _Place(storage, {"connection": connection or "my_logs"}, folder.name)


def _report(
    uri: str, found: Glimpse, recognised: Recognised, seen: list[Shape], show_values: bool
) -> dict[str, Any]:
    return {
        "uri": uri,
        "objects": len(found.objects),
        "bytes": sum(item.size for item in found.objects),
        "containers": found.containers,
        "service_provider": recognised.provider.value if recognised.provider else None,
        "sign": recognised.sign,
        "records": recognised.records,
        "of": recognised.of,
        "others": recognised.others,
        "members": [
            {"path": s.path, "types": sorted(s.kinds), "records": s.records}
            | ({"example": s.example} if show_values else {})
            for s in seen
        ],
    }


def _summary(uri: str, found: Glimpse, recognised: Recognised) -> Iterator[str]:
    from paylog.inspection.glimpse import MOST_LISTED

    more = " or more" if len(found.objects) == MOST_LISTED else ""
    size = megabytes(sum(item.size for item in found.objects))
    opened = len(found.samples)
    yield f"{uri}: {len(found.objects):,}{more} objects, {size}; looked at the beginning of {opened}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.containers.items())
    yield f"containers: {kinds}"
    if recognised.provider is None:
        yield "written by: no engine that paylog knows (paylog engines lists them)"
        return
    told = f"{recognised.records} of {recognised.of} records have {', '.join(recognised.sign)}"
    yield f"written by: {recognised.provider.value} ({told})"
    for name, count in recognised.others.items():
        yield f"            {count} look like {name}"


def _members(seen: list[Shape], show_values: bool) -> Iterator[str]:
    from paylog.inspection.shapes import MOST_SHOWN

    shown = seen[:MOST_SHOWN]
    width = max((len(shape.path) for shape in shown), default=0)
    for shape in shown:
        example = f"  {shape.example}" if show_values else ""
        yield f"{shape.path:{width}}  {' or '.join(sorted(shape.kinds))}, {shape.records:,} records{example}"
    if len(seen) > len(shown):
        yield f"and {len(seen) - len(shown):,} more members"


def _check(notes: list[str]) -> Iterator[str]:
    if notes:
        yield "Look at these first, then: paylog check"
        yield from (f"- {note}" for note in notes)
