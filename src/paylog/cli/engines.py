"""``paylog engines``: whose logs paylog reads, and what each engine is expected to write."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from paylog.cli.answer import print_json, print_table, printable
from paylog.cli.choice import Json
from paylog.cli.exit_code import NotFoundError, reported

if TYPE_CHECKING:
    from paylog.subscription import ServiceProvider

_FLAT = "all in one folder"


def engines(
    name: Annotated[
        str | None, typer.Argument(metavar="[ENGINE]", help="Describe this one.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the engines whose logs paylog reads, those of installed packages too."""
    from paylog.subscription.section import did_you_mean
    from paylog.subscription.service_provider import service_providers

    with reported(as_json):
        known = service_providers()
        chosen = [provider for provider in known if name in (None, provider.value)]
        if not chosen:
            raise NotFoundError(f"no engine {name!r}{did_you_mean(name, known)}; paylog engines lists them")
        if as_json:
            print_json([_described(provider) for provider in chosen])
        elif name:
            typer.echo(_page(chosen[0]))
        else:
            columns = ("service_provider", "its logs", "filed by (UTC)")
            print_table(
                columns, [(p.value, _text(p).split("\n")[0], p.layout.rstrip("/") or _FLAT) for p in chosen]
            )


def _described(provider: ServiceProvider) -> dict[str, str]:
    return {
        "service_provider": provider.value,
        "layout": provider.layout,
        "logs": _text(provider),
        "engine": provider.engine,
    }


def _page(provider: ServiceProvider) -> str:
    below = f"{provider.layout} below logs.prefix" if provider.layout else _FLAT
    return printable(f"{provider.value}: {_text(provider)}\n\nFiled: {below}; logs.layout says otherwise.")


def _text(provider: ServiceProvider) -> str:
    """What the engine's module says of the logs."""
    module, name = provider.engine.split(":")
    made = getattr(import_module(module), name)
    return inspect.getdoc(sys.modules[made.__module__]) or inspect.getdoc(made) or ""
