"""The payload columns that are not the model's: identity, time, and what else an event says of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from paylog import identity
from paylog.casts import cast, timestamps
from paylog.engines import Events
from paylog.errors import Reason
from paylog.model_schema import TIMESTAMP, FieldType
from paylog.outputs import Faults
from paylog.records import CaptureObject
from paylog.regular import EARLIEST, LATEST
from paylog.subscription import Subscription

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the events at hand come from: they are not the same record from another place.

    :param item: None for pairs, whose halves come from several objects and bring id and time.
    """

    item: CaptureObject | None
    variant: str


class EventColumns:
    """Makes them for the events of one subscription.

    :param zone: of times that are written without one.
    """

    def __init__(self, subscription: Subscription, zone: ZoneInfo | None) -> None:
        self.from_object_time = subscription.logs.timestamp == "last_modified"
        self._deployment_id = subscription.deployment.id
        self._provider = str(subscription.service_provider)
        self._zone = zone
        self._constants: dict[tuple[str | int | None, pa.DataType], pa.Array] = {}

    def seed(self, place: Place) -> int:
        """Of the record ids of this place."""
        return identity.scope_seed(self._provider, self._deployment_id, place.variant)

    def constants(self, place: Place) -> dict[str, str | int | None]:
        """Values of the columns that hold one each, where an event does not say otherwise."""
        return {
            "deployment_id": self._deployment_id,
            "asset_revision": place.variant or None,
            "_object_id": 0,
            "_timestamp_approximate": self.from_object_time,
        }

    def of(
        self, events: Events, owners: Indices, numbers: Indices | None, place: Place, faults: Faults
    ) -> dict[str, pa.Array]:
        """Columns of rows; what does not fit is noted in ``faults``.

        :param owners: index of each row's event.
        :param numbers: of each row in its event, from 1; None: all are first rows.
        """
        count = len(owners)
        ids = self._row_ids(events, owners, numbers, place)
        revisions = _picked(events.revisions, owners, pa.string())
        if revisions is None:
            revisions = self.repeated(place.variant or None, pa.string(), count)
        columns = {
            "scoring_id": ids,
            "scoring_timestamp": self._times(events, owners, place, faults),
            "deployment_id": self.repeated(self._deployment_id, pa.string(), count),
            "asset_revision": revisions,
            "_record_id": identity.record_ids(ids, self.seed(place)),
            "_object_id": self.repeated(0, pa.int64(), count),
            "_position": pa.array(np.asarray(events.positions, np.int64)[owners]),
            "_response_time": self._response_times(events, owners, faults),
            "_timestamp_approximate": self._approximate(events, owners),
            "_partner_id": self.repeated(None, pa.int64(), count),
            "_partner_position": self.repeated(None, pa.int64(), count),
        }
        if events.transaction_ids is not None:
            columns["_transaction_id"] = _picked(events.transaction_ids, owners, pa.string())
        for name in ("scoring_id", "asset_revision"):
            columns[name], bad = cast(columns[name], FieldType.STRING)
            faults.add(bad, Reason.TYPE_MISMATCH, name)
        return columns

    def repeated(self, value: str | int | None, kind: pa.DataType, count: int) -> pa.Array:
        """A column that holds one value, which mostly is that of the last block."""
        known = self._constants.get((value, kind))
        if known is None or len(known) < count:
            known = pa.nulls(count, kind) if value is None else pa.repeat(pa.scalar(value, kind), count)
            self._constants[value, kind] = known
        return known.slice(0, count)

    def _response_times(self, events: Events, owners: Indices, faults: Faults) -> pa.Array:
        """Whole milliseconds."""
        tokens = _picked(events.response_times, owners, pa.string())
        if tokens is None:
            return self.repeated(None, pa.int64(), len(owners))
        numbers, bad = cast(tokens, FieldType.DOUBLE)
        faults.add(bad, Reason.TYPE_MISMATCH, "response_time")
        times, bad = cast(pc.round(numbers), FieldType.INTEGER)
        faults.add(bad, Reason.TYPE_MISMATCH, "response_time")
        return times

    def _row_ids(self, events: Events, owners: Indices, numbers: Indices | None, place: Place) -> pa.Array:
        given: Any = _picked(events.event_ids, owners, pa.string())
        if numbers is None and not events.row_ids and (ids := identity.first_row_ids(given)) is not None:
            return ids
        if given.null_count or not pc.min(pc.binary_length(given)).as_py():
            uri, version = (place.item.uri, place.item.version) if place.item else ("", "")
            made = [
                one or identity.event_id_at(uri, version, int(events.positions[i]))
                for one, i in zip(given.to_pylist(), owners.tolist(), strict=True)
            ]
            given = pa.array(made, pa.string())
        if events.row_ids:
            return given
        suffixes = pa.scalar("1") if numbers is None else pa.array(numbers).cast(pa.string())
        return pc.binary_join_element_wise(given, suffixes, "-")

    def _times(self, events: Events, owners: Indices, place: Place, faults: Faults) -> pa.Array:
        if self.from_object_time and place.item is not None:
            return pa.repeat(pa.scalar(place.item.last_modified, TIMESTAMP), len(owners))
        times, _ = timestamps(_picked(events.timestamps, owners, pa.string()), self._zone)
        moments = pc.fill_null(times.cast(pa.int64()), -1).to_numpy()
        if len(moments) and not EARLIEST <= moments.min() <= moments.max() < LATEST:
            missing = (moments < EARLIEST) | (moments >= LATEST)
            faults.add(missing, Reason.NO_TIMESTAMP, "scoring_timestamp")
        return times

    def _approximate(self, events: Events, owners: Indices) -> pa.Array:
        if isinstance(events.approximate, bool) or self.from_object_time:
            flag = self.from_object_time or bool(events.approximate)
            return self.repeated(flag, pa.bool_(), len(owners))
        return pa.array(events.approximate[owners])


def _picked(values: list[Any] | pa.Array | None, owners: Indices, kind: pa.DataType) -> pa.Array | None:
    if values is None:
        return None
    array = values if isinstance(values, pa.Array) else pa.array(values, kind)
    same = len(owners) == len(values) and (not len(owners) or owners[-1] == len(values) - 1)
    return array if same and bool((np.diff(owners) == 1).all()) else array.take(pa.array(owners))
