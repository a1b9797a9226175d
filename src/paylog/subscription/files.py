"""Subscriptions read from one YAML file each, and every error in them at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from paylog.errors import ConfigurationError
from paylog.subscription.section import Problem, problems_of
from paylog.subscription.subscription import Subscription
from paylog.subscription.yaml_document import YamlDocument

_PARTITION = re.compile(r"(.+)_\d{4}_\d{2}")


class SubscriptionFiles(NamedTuple):
    """The subscriptions that can be used, and everything that is wrong with the rest."""

    subscriptions: list[Subscription]
    problems: list[str]


def load_subscriptions(path: Path | str) -> list[Subscription]:
    """The subscriptions of a folder (``*.yaml``, ``*.yml``, not below) or of one file, by file name.

    :raises ConfigurationError: every mistake of every file, as ``file:line: path: what and how to mend it``.
    """
    found = read_subscriptions(path)
    if found.problems:
        raise ConfigurationError(found.problems)
    return found.subscriptions


def read_subscriptions(path: Path | str) -> SubscriptionFiles:
    """Like ``load_subscriptions``, but a wrong file does not keep the good ones from being used."""
    path = Path(path)
    if path.is_dir():
        files = sorted(p for p in path.glob("[!.]*") if p.suffix in (".yaml", ".yml"))
    elif path.exists():
        files = [path]
    else:
        return SubscriptionFiles([], [f"{path}: no such file or folder of subscriptions"])
    documents = [YamlDocument.read(file) for file in files]
    problems: list[str] = []
    good: list[tuple[YamlDocument, Subscription]] = []
    for document in documents:
        subscription, mistakes = _subscription(document)
        problems += mistakes
        if subscription and not mistakes:
            good.append((document, subscription))
    clashes = dict(_clashes(documents))
    problems += clashes.values()
    return SubscriptionFiles([s for d, s in good if d.source not in clashes], problems)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a subscription file, for editors."""
    schema = Subscription.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def write_json_schema(path: Path) -> None:
    """Write ``subscription.schema.json``."""
    path.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _subscription(document: YamlDocument) -> tuple[Subscription | None, list[str]]:
    mistakes = document.problems
    if document.content is None:
        return None, mistakes
    try:
        return Subscription.model_validate(document.content), mistakes
    except ValidationError as error:
        return None, mistakes + document.describe(problems_of(error))


def _clashes(documents: list[YamlDocument]) -> Iterator[tuple[str, str]]:
    """Source and problem of each file that must not be used because of another file."""
    owners: dict[str, list[YamlDocument]] = {}
    marts: dict[str, object] = {}
    for document in documents:
        if isinstance(document.content, dict) and isinstance(name := document.content.get("id"), str):
            owners.setdefault(name, []).append(document)
            marts[name] = document.content.get("data_mart")
    for name, sharing in owners.items():
        for document in sharing:
            others = [d.source for d in sharing if d is not document]
            partition = _PARTITION.fullmatch(name)
            if others:
                message = f"{name!r} is also the id in {', '.join(others)}; they would share a payload table"
            elif partition and partition[1] in owners and marts[partition[1]] == marts[name]:
                message = f"its payload table would be named like a partition of {partition[1]!r}"
            else:
                continue
            yield document.source, document.describe([Problem(("id",), message)])[0]
