"""v2's data sets: two a subscription, named after it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

from paylog.serve.answers import NotFoundError

PAYLOAD, FEEDBACK = KINDS = ("payload_logging", "feedback")


def data_set_id(subscription_uid: str, kind: str) -> str:
    """Id of a subscription's data set, the same for ever."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"paylog:data_set/{subscription_uid}/{kind}"))


class DataSets:
    """Which subscription a data set belongs to. Subscriptions are listed only for an id that is new."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[str, str]] = {}

    def owner(self, data_set: str, subscriptions: Callable[[], Iterable[str]]) -> tuple[str, str]:
        """Subscription and kind of a data set.

        :param subscriptions: lists the ids of all subscriptions.
        :raises NotFoundError: none has it.
        """
        if data_set not in self._owners:
            self._owners = {data_set_id(uid, kind): (uid, kind) for uid in subscriptions() for kind in KINDS}
        if data_set not in self._owners:
            raise NotFoundError(f"there is no data set {data_set!r}")
        return self._owners[data_set]
