"""Posts that come at the same time share a transaction, which costs as much for one as for several."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from dataclasses import dataclass

from paylog.data_mart import DataMart
from paylog.errors import PaylogError
from paylog.posted import Post, store_together
from paylog.records import Counts

log = logging.getLogger(__name__)

MOST_POSTS = 16


@dataclass(eq=False, slots=True)
class _Waiting:
    """A post whose thread waits for its turn.

    :param taken: by the thread whose turn it was, with its own.
    :param alone: it is not stored with others: not yet, or they could not be stored together.
    :param stored: what became of it; None: it was loaded before.
    """

    post: Post
    taken: bool = False
    alone: bool = True
    stored: Counts | None = None


class SharedLoads:
    """Stores posts. Threads share it.

    While posts of a subscription are being stored, others wait; the first of them then stores all that wait.
    If that fails, each is stored alone, so that it can only fail for itself. One with rejects is always
    stored alone: the error budget is held against it, not against those that came at the same time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._waiting: defaultdict[str, list[_Waiting]] = defaultdict(list)

    def store(self, data_mart: DataMart, post: Post) -> Counts | None:
        """What became of the post, when it is committed; None: it was loaded before.

        :raises ErrorBudgetExceeded: too many rejects; nothing was kept.
        """
        if not any(block.rejects or block.halves for block in post.blocks):
            mine = _Waiting(post)
            with self._lock:
                turn = self._turns[post.subscription.id]
                self._waiting[post.subscription.id].append(mine)
            with turn:
                if not mine.taken:
                    _store(data_mart, self._take(mine))
            if not mine.alone:
                return mine.stored
        _, (counts,) = store_together(data_mart, [post])
        return counts

    def _take(self, mine: _Waiting) -> list[_Waiting]:
        """The post and others that wait, if they are of the same declaration of the subscription."""
        with self._lock:
            waiting = self._waiting[mine.post.subscription.id]
            waiting.remove(mine)
            alike = [one for one in waiting if one.post.subscription is mine.post.subscription]
            group = [mine, *alike[: MOST_POSTS - 1]]
            for one in group[1:]:
                waiting.remove(one)
        for one in group:
            one.taken = True
        return group


def _store(data_mart: DataMart, group: list[_Waiting]) -> None:
    try:
        _, stored = store_together(data_mart, [one.post for one in group])
    except Exception as error:
        if len(group) == 1:
            raise
        what = error if isinstance(error, PaylogError) else type(error).__name__  # may hold a payload value
        log.warning("%d posts could not be stored together, each is stored alone: %s", len(group), what)
        return
    for one, counts in zip(group, stored, strict=True):
        one.stored, one.alone = counts, False
