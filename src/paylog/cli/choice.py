"""What the command line chooses: subscriptions, a window, sizes."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from paylog.cli.exit_code import NotFoundError
from paylog.errors import ConfigurationError, Reason

if TYPE_CHECKING:
    from paylog.layout import Window
    from paylog.subscription import Subscription

DEFAULT_FOLDER = Path("subscriptions")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
SubscriptionId = Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Id of the subscription.")]
SubscriptionIds = Annotated[list[str] | None, typer.Argument(metavar="[SUBSCRIPTION]...", show_default="all")]
Folder = Annotated[
    Path,
    typer.Option(
        "--subscriptions",
        envvar="PAYLOG_SUBSCRIPTIONS",
        help="Folder of the subscriptions, or one file.",
        show_default="./subscriptions",
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="Start of the window: 2024-03-04 or 2024-03-04T05:00Z; without an offset, in the zone of the "
        "schedule. Left out: the watermark, else the schedule's start, else a day ago.",
    ),
]
OfReason = Annotated[
    Reason | None, typer.Option("--reason", metavar="REASON", help="Only records with this reason code.")
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", help="End of the window, exclusive.", show_default="now"),
]


def parse_bytes(text: str) -> int:
    """``64MB`` → bytes, for an option."""
    from pydantic_core import PydanticCustomError

    from paylog.subscription.quantities import parse_size

    try:
        return parse_size(int(text) if text.isdigit() else text)
    except PydanticCustomError as error:
        raise typer.BadParameter(error.message()) from None


def find_subscription(folder: Path, name: str) -> Subscription:
    """The subscription of that id. Files of other subscriptions may be wrong.

    :raises ConfigurationError: there is none, and some files cannot be read.
    :raises NotFoundError: there is none.
    """
    from paylog.subscription import read_subscriptions

    found = read_subscriptions(folder)
    for subscription in found.subscriptions:
        if subscription.id == name:
            return subscription
    if found.problems:
        raise ConfigurationError([f"no usable subscription {name!r}; mend these first:", *found.problems])
    known = [s.id for s in found.subscriptions]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
    raise NotFoundError(f"no subscription {name!r} in {folder}; {hint}")


def find_subscriptions(folder: Path, names: list[str] | None) -> list[Subscription]:
    """The subscriptions of those ids, or all that the folder has.

    :raises ConfigurationError: a file is wrong.
    :raises NotFoundError: there is none.
    """
    from paylog.subscription import load_subscriptions

    if names:
        return [find_subscription(folder, name) for name in names]
    found = load_subscriptions(folder)
    if not found:
        raise NotFoundError(f"no subscriptions (*.yaml) in {folder}")
    return found


def chosen_window(subscription: Subscription, start: str | None, end: str | None) -> tuple[Window, str]:
    """The window to load, and where it comes from, in words.

    :raises ConfigurationError: unreadable, or empty.
    """
    from paylog.pipeline import due_window

    zone = ZoneInfo(subscription.schedule.timezone)
    until = _moment(end, "--to", zone) if end else datetime.now(UTC)
    if start is None:
        return due_window(subscription, until), "what is due"
    return _window(_moment(start, "--from", zone), until), "as asked"


def asked_window(subscription: Subscription, start: str | None, end: str | None) -> Window | None:
    """The window that was asked for; None when none was.

    :raises ConfigurationError: unreadable, empty, or without a start.
    """
    if start is not None:
        return chosen_window(subscription, start, end)[0]
    if end is not None:
        raise ConfigurationError("--to needs --from: say where the window starts")
    return None


def _window(since: datetime, until: datetime) -> Window:
    from paylog.pipeline import Window

    if since >= until:
        raise ConfigurationError(
            f"the window is empty: it starts at {since:%Y-%m-%d %H:%M %Z} and ends at "
            f"{until:%Y-%m-%d %H:%M %Z}; the end is exclusive and must come later"
        )
    return Window(since, until)


def _moment(text: str, option: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{option} {text!r} is not a time; write it like 2024-03-04T05:00Z"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
