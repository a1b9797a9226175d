"""Which engine wrote a record: every engine names the members that its records have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import import_module
from typing import Any

from paylog.inspection.glimpse import Glimpse, Sample
from paylog.subscription.service_provider import ServiceProvider, service_providers

Sign = frozenset[str]


@dataclass(frozen=True, slots=True)
class Recognised:
    """Whose logs these are.

    :param provider: None when no engine's signs were found.
    :param sign: what tells, the largest that was found.
    :param records: that bear a sign of the engine, of ``of`` that were looked at.
    :param others: engines of other records, with their number.
    """

    provider: ServiceProvider | None
    sign: tuple[str, ...]
    records: int
    of: int
    others: dict[str, int]


def recognise(found: Glimpse) -> Recognised:
    """The engine that wrote most of the records."""
    signs = [(provider, sign) for provider in service_providers() for sign in _signs(provider)]
    told = Counter(_best(names, signs) for names in _names(found))
    providers = Counter[ServiceProvider | None]()
    for best, count in told.items():
        providers[best[0] if best else None] += count
    of = sum(told.values())
    known = [(count, provider) for provider, count in providers.items() if provider is not None]
    if not known:
        return Recognised(None, (), 0, of, {})
    count, winner = max(known, key=lambda pair: pair[0])
    sign = max((best[1] for best in told if best and best[0] is winner), key=len)
    others = {provider.value: n for n, provider in known if provider is not winner}
    return Recognised(winner, tuple(sorted(sign)), count, of, others)


def _signs(provider: ServiceProvider) -> tuple[Sign, ...]:
    module, name = provider.engine.split(":")
    signs: tuple[Sign, ...] = getattr(import_module(module), name).signs
    return signs


def _best(
    names: tuple[str, frozenset[str]], signs: list[tuple[ServiceProvider, Sign]]
) -> tuple[ServiceProvider, Sign] | None:
    key, members = names
    bearing = [
        (provider, sign)
        for provider, sign in signs
        if all(fnmatch(key, part) if "*" in part else part in members for part in sign)
    ]
    return max(bearing, key=lambda pair: len(pair[1]), default=None)


def _names(found: Glimpse) -> Iterator[tuple[str, frozenset[str]]]:
    """Key and members of each record; an object without records speaks for itself by its key."""
    for sample in found.samples:
        for record in sample.records or [None]:
            yield sample.item.key, frozenset(_members(record))


def _members(record: Any) -> Iterator[str]:
    if not isinstance(record, Mapping):
        return
    for name, value in record.items():
        yield name
        if isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in value)


def is_flat(sample: Sample) -> bool:
    """Whether the records are rows: no member holds members."""
    return bool(sample.records) and all(
        isinstance(record, Mapping) and not any(isinstance(value, Mapping) for value in record.values())
        for record in sample.records
    )
