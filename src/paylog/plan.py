"""The plan of a run: which capture objects of a window are new, cut into batches by bytes."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import accumulate, groupby
from operator import itemgetter

from paylog.engines import Engine, engine
from paylog.errors import ObjectChanged, ObjectNotFound
from paylog.layout import Layout, Window
from paylog.records import CaptureObject
from paylog.reprocess import Order
from paylog.storage import Storage
from paylog.storage.delta_log import live_files
from paylog.subscription import Subscription
from paylog.subscription.quantities import format_size

log = logging.getLogger(__name__)

MAX_BATCHES = 1000
MAX_OBJECTS = 5000
# Less is not worth a second worker.
SMALLEST_SHARE = 4_000_000
_NO_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some objects that one task loads in one transaction, in the order of their URIs."""

    batch_id: str
    objects: tuple[CaptureObject, ...]
    label: str = ""

    @property
    def bytes(self) -> int:
        return sum(item.size for item in self.objects)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run has to do.

    :param too_young: objects that ``logs.settle`` leaves for the next run.
    :param changed: objects that are loaded in an older version.
    :param growing: objects that the engine appends to, of which a part is loaded.
    :param again: objects that are read again although they did not change.
    :param late: objects older than the window, found by ``logs.lookback``.
    :param forgotten: unknown objects so old that retention may have removed their ledger entries: not read.
    """

    subscription_id: str
    window: Window
    batches: list[Batch] = field(default_factory=list)
    already_loaded: int = 0
    too_young: int = 0
    changed: int = 0
    growing: int = 0
    again: int = 0
    late: int = 0
    forgotten: int = 0

    @property
    def new(self) -> int:
        """Objects of which nothing is loaded."""
        return self.objects - self.changed - self.growing - self.again

    @property
    def objects(self) -> int:
        return sum(len(batch.objects) for batch in self.batches)

    @property
    def bytes(self) -> int:
        return sum(batch.bytes for batch in self.batches)


def searched_window(subscription: Subscription, window: Window) -> Window:
    """The window and the lookback before it, which does not reach behind the schedule's start."""
    start = window.start - subscription.logs.lookback
    if subscription.schedule.start is not None:
        start = max(start, min(subscription.schedule.start, window.start))
    return Window(start, window.end)


def listed(storage: Storage, subscription: Subscription, window: Window) -> Iterator[CaptureObject]:
    """Objects of the window and of the lookback before it, each once."""
    return found_in(storage, subscription, searched_window(subscription, window))


def found_in(storage: Storage, subscription: Subscription, window: Window) -> Iterator[CaptureObject]:
    """Objects of the window, and those that their manifests name, each once.

    Those that no folder gives a time are of every window.
    """
    logs, owner = subscription.logs, engine(subscription)
    layout = Layout(subscription.layout)
    manifests, met = [], set()
    for prefix in layout.prefixes(window):
        for item in _alive(storage, storage.list(prefix)):
            covered = layout.covers(item.key, window) and _is_of_variant(item, logs.variant)
            if covered and not owner.skips(item):
                manifests += [item] if owner.is_manifest(item) else []
                met.add(item.key)
                yield item
    for manifest in manifests if layout.pattern else ():  # without a layout all there is was listed
        for item in _named(storage, owner, manifest, logs.max_record_bytes):
            if item.key not in met and not owner.skips(item):
                met.add(item.key)
                yield item


def _named(
    storage: Storage, owner: Engine, manifest: CaptureObject, most_bytes: int
) -> Iterator[CaptureObject]:
    """What a manifest names, as far as it is there; the rest may come before the lookback is over."""
    if manifest.size > most_bytes:
        return  # decoding it says so
    try:
        with storage.open(manifest) as chunks:
            keys = owner.named(b"".join(chunks))
    except ObjectChanged:
        log.warning("%s was overwritten while it was read: the next run follows it", manifest.uri)
        return
    for key in keys:
        try:
            yield storage.stat(key)
        except ObjectNotFound:
            log.warning("%s names %s, which is not there", manifest.uri, key)


def _alive(storage: Storage, items: Iterator[CaptureObject]) -> Iterator[CaptureObject]:
    """Without the files that a Delta table no longer consists of."""
    tables: list[frozenset[str] | None] = []
    for item in items:
        if item.key.endswith(".parquet"):
            tables = tables or [live_files(storage)]
            if tables[0] is not None and item.key not in tables[0]:
                continue
        yield item


def _is_of_variant(item: CaptureObject, variant: str | None) -> bool:
    return variant is None or f"/{variant}/" in item.uri


def to_read_again(
    storage: Storage, stale: Mapping[str, str], found: Sequence[CaptureObject]
) -> Iterator[CaptureObject]:
    """Objects that the ledger calls stale and that the window's listing did not find, as they are now."""
    missing = sorted(stale.keys() - {item.uri for item in found})
    example = found[0] if found else next(iter(storage.list("")), None) if missing else None
    if example is None:
        return
    root = example.uri.removesuffix(example.key)
    for uri in missing:
        try:
            yield storage.stat(uri.removeprefix(root))
        except ObjectNotFound:
            continue  # gone from the store: what it loaded stays


def make_plan(
    subscription: Subscription,
    window: Window,
    found: Sequence[CaptureObject],
    loaded: Mapping[str, str],
    *,
    batch_bytes: int,
    max_batches: int,
    workers: int = 1,
    unfinished: Collection[str] = (),
    replaced: Mapping[str, int] | None = None,
    order: Order = Order.OLDEST,
) -> Plan:
    """Subtract the ledger (``loaded``: URI → version) and cut what is left into batches.

    :param workers: among which the batches shall divide evenly.
    :param unfinished: URIs of objects that are loaded, but must be read again or on.
    :param replaced: ledger entries by URI that the window's objects take the place of, changed or not.
    """
    layout = Layout(subscription.layout)
    sorted_out = _Sorting(subscription, layout, window)
    for item in found:
        sorted_out.add(item, loaded.get(item.uri), item.uri in unfinished, (replaced or {}).get(item.uri))
    new = in_order(subscription, sorted_out.to_load)
    cut = _cut(new, batch_bytes, max_batches, layout)
    parts = _shared(new, cut, workers, max_batches, layout)
    if order is Order.NEWEST:
        parts.reverse()
    batches = [_batch(number, part, layout) for number, part in enumerate(parts)]
    return Plan(subscription.id, window, batches, **sorted_out.counts)


class _Sorting:
    """Which of the objects found are to be loaded, and how many there are of each kind."""

    def __init__(self, subscription: Subscription, layout: Layout, window: Window) -> None:
        self.to_load: list[CaptureObject] = []
        self.counts = dict.fromkeys(("already_loaded", "too_young", "changed", "growing", "again", "late"), 0)
        self._youngest = datetime.now(UTC) - subscription.logs.settle
        self._engine = engine(subscription)
        self._layout = layout
        self._window = window

    def add(self, item: CaptureObject, version: str | None, unfinished: bool, entry: int | None) -> None:
        """Take an object, whose ``version`` is loaded; and the ledger entry that it shall replace."""
        in_window = not self._layout.misses(item.key, self._window)
        same = version == item.version
        if same and not (entry and in_window):
            self.counts["already_loaded"] += 1
        elif item.last_modified > self._youngest:
            self.counts["too_young"] += 1
        else:
            known = version is not None or unfinished
            if known:
                appended = not same and self._engine.appends(item)
                kind = "growing" if appended else "changed" if version and not same else "again"
                self.counts[kind] += 1
            self.counts["late"] += not in_window
            self.to_load.append(replace(item, replaces=entry) if entry and in_window else item)


def in_order(subscription: Subscription, items: Iterable[CaptureObject]) -> list[CaptureObject]:
    """Objects by the time in their path, then by URI: both halves of a pair, in two folders, are near."""
    layout = Layout(subscription.layout)
    return sorted(items, key=lambda item: (layout.time_of(item.key) or _NO_TIME, item.uri))


def _cut(
    items: Sequence[CaptureObject], size: int, max_batches: int, layout: Layout
) -> list[Sequence[CaptureObject]]:
    """Consecutive objects of up to ``size`` bytes; more when that were more than ``max_batches``."""
    most = MAX_OBJECTS
    while len(parts := list(_parts(items, size, most, layout))) > max_batches:
        size, most = 2 * size, 2 * most
    return parts


def _parts(
    items: Sequence[CaptureObject], size: int, most: int, layout: Layout
) -> Iterator[Sequence[CaptureObject]]:
    start = total = 0
    for i, item in enumerate(items):
        # Folders of one period that hold both halves of pairs stay together, up to twice the size.
        stretch = 2 if i > start and layout.pairs(items[i - 1].key, item.key) else 1
        if i > start and (total + item.size > stretch * size or i - start >= stretch * most):
            yield items[start:i]
            start, total = i, 0
        total += item.size
    if start < len(items):
        yield items[start:]


def _shared(
    items: Sequence[CaptureObject],
    parts: list[Sequence[CaptureObject]],
    workers: int,
    max_batches: int,
    layout: Layout,
) -> list[Sequence[CaptureObject]]:
    """As many parts as keep all workers busy until the end, where there is enough for that."""
    total = sum(item.size for item in items)
    count = -(-len(parts) // workers) * workers if len(parts) > 1 else min(workers, total // SMALLEST_SHARE)
    if total and len(parts) < count <= max_batches:
        even = _even_parts(items, count, layout)
        if len(even) >= len(parts) and max(map(len, even)) <= MAX_OBJECTS:
            return even
    return parts


def _even_parts(items: Sequence[CaptureObject], count: int, layout: Layout) -> list[Sequence[CaptureObject]]:
    """Up to ``count`` parts of consecutive objects, of about the same bytes; both halves of pairs in one."""
    ends = list(accumulate(item.size for item in items))
    # An object belongs to the part that its middle lies in.
    numbers = [(2 * end - item.size) * count // (2 * ends[-1]) for item, end in zip(items, ends, strict=True)]
    for i in range(1, len(items)):
        if layout.pairs(items[i - 1].key, items[i].key):
            numbers[i] = numbers[i - 1]
    numbered = groupby(zip(numbers, items, strict=True), key=itemgetter(0))
    return [[item for _, item in part] for _, part in numbered]


def _batch(number: int, items: Sequence[CaptureObject], layout: Layout) -> Batch:
    batch = Batch(f"{number:04d}", tuple(items))
    first, last = layout.time_of(items[0].key), layout.time_of(items[-1].key)
    when = f"{first:%Y-%m-%d %H:%M} · " if first else ""
    if first and last and last != first:
        same_day = first.date() == last.date()
        days = f"{first:%Y-%m-%d} to {last:%Y-%m-%d} · "
        when = f"{first:%Y-%m-%d %H:%M} to {last:%H:%M} · " if same_day else days
    count = f"{len(items):,} object{'s' if len(items) != 1 else ''}"
    return Batch(batch.batch_id, batch.objects, f"{when}{count} · {format_size(batch.bytes)}")
