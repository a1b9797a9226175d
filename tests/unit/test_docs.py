"""What the documents point at is there: pages, sections, files, pictures, settings, commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from paylog.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
# Attributes of the Python client, which has a ``data_mart`` too.
OF_THE_CLIENT = {("data_mart", "bindings"), ("data_mart", "subscriptions")}
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def settings(schema: Any) -> Iterator[tuple[str, set[str]]]:
    """Section of a subscription → its keys."""
    for name, section in schema["properties"].items():
        for part in [section, *section.get("anyOf", ()), *section.get("oneOf", ())]:
            if "$ref" in part:
                part = schema["$defs"][part["$ref"].rpartition("/")[2]]
            if "properties" in part:
                yield name, set(part["properties"])


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", TEXTS[page]):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_files_that_are_named_are_there(page: Path) -> None:
    named = re.findall(r"`((?:tests|src|benchmarks|deploy|dags|subscriptions)/[\w/.]+\.\w+)`", TEXTS[page])
    assert [file for file in named if not (ROOT / file).exists()] == []


def test_every_picture_is_shown() -> None:
    shown = {Path(name).name for text in TEXTS.values() for name in re.findall(r"\]\(([^)]+\.png)\)", text)}
    assert {picture.name for picture in (ROOT / "docs/images").iterdir()} == shown


def test_settings_are_those_of_a_subscription() -> None:
    schema = json.loads((ROOT / "subscriptions/subscription.schema.json").read_text(encoding="utf-8"))
    known = dict(settings(schema))
    assert {"logs", "batch", "deliver", "retention", "alerts", "judgement"} <= known.keys()
    named = {
        (section, key)
        for text in TEXTS.values()
        for section, key in re.findall(r"`([a-z_]+)\.([a-z_]+)(?::[^`]*)?`", text)
        if section in known and key != "py"
    } - OF_THE_CLIENT
    assert len(named) > 15
    assert {f"{section}.{key}" for section, key in named if key not in known[section]} == set()


def shown_commands() -> Iterator[list[str]]:
    for text in TEXTS.values():
        for block in re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL):
            for line in re.findall(r"^(?:\$ )?paylog ([^#\n]*)", block, re.MULTILINE):
                yield line.split()


def test_commands_and_their_options_exist() -> None:
    called = list(shown_commands())
    assert len(called) > 30
    for words in called:
        command: Any = typer.main.get_command(app)
        rest = list(words)
        while hasattr(command, "commands"):
            assert rest[0] in command.commands, words
            command = command.commands[rest.pop(0)]
        known = {flag for parameter in command.params for flag in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, words
