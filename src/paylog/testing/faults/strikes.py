"""The faults: each strikes a site, leaves it struck for a moment, and heals it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from paylog.testing.faults.site import Site
from paylog.testing.tcp_proxy import TcpProxy

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_JUMPS = (1, 30, 10 * _MINUTE, 2 * _HOUR, _DAY, 3 * _DAY, 400 * _DAY)


@dataclass(frozen=True)
class Strike:
    """One kind of fault.

    :param weight: how often it comes, beside the others.
    :param strike: does it and heals it; whether there was anything to strike.
    """

    name: str
    weight: int
    strike: Callable[[Site, random.Random], bool]


def _kill(site: Site, dice: random.Random) -> bool:
    return site.kill_a_worker(dice)


def _cut_mart(site: Site, dice: random.Random) -> bool:
    return site.mart_link.cut() > 0


def _cut_store(site: Site, dice: random.Random) -> bool:
    return site.store_link.cut() > 0


def _cut_in_a_body(site: Site, dice: random.Random) -> bool:
    before = site.store_link.cuts
    site.store_link.cut_after(dice.randint(1, 40_000), times=dice.randint(1, 3))
    deadline = time.monotonic() + 2
    while site.store_link.cuts == before and time.monotonic() < deadline:
        time.sleep(0.02)
    return site.store_link.cuts > before


def _refuse(link: TcpProxy, dice: random.Random) -> bool:
    link.refuse()
    time.sleep(dice.uniform(0.05, 0.6))
    link.refuse(False)
    return True


def _refuse_mart(site: Site, dice: random.Random) -> bool:
    return _refuse(site.mart_link, dice)


def _refuse_store(site: Site, dice: random.Random) -> bool:
    return _refuse(site.store_link, dice)


def _crash_postgres(site: Site, dice: random.Random) -> bool:
    site.postgres.restart("immediate")
    return True


def _restart_postgres(site: Site, dice: random.Random) -> bool:
    site.postgres.restart("fast")
    return True


def _crash_store(site: Site, dice: random.Random) -> bool:
    site.store.stop(patience=0)
    site.store.start()
    return True


def _jump(site: Site, dice: random.Random) -> bool:
    site.clock.jump(dice.choice((-1, 1)) * dice.choice(_JUMPS))
    time.sleep(dice.uniform(0.1, 1.0))
    site.clock.jump(0)
    return True


STRIKES = (
    Strike("worker killed (kill -9)", 40, _kill),
    Strike("link to PostgreSQL cut", 20, _cut_mart),
    Strike("link to the store cut", 8, _cut_store),
    Strike("link to the store cut within a body", 10, _cut_in_a_body),
    Strike("PostgreSQL refuses for up to 0.6 s", 6, _refuse_mart),
    Strike("the store refuses for up to 0.6 s", 6, _refuse_store),
    Strike("PostgreSQL crashes and starts again", 6, _crash_postgres),
    Strike("PostgreSQL is restarted", 4, _restart_postgres),
    Strike("the store is killed and starts again", 2, _crash_store),
    Strike("workers' clock jumps 1 s to 400 days, and back", 10, _jump),
)


def draw(dice: random.Random) -> Strike:
    """Any of them, by weight."""
    return dice.choices(STRIKES, [each.weight for each in STRIKES])[0]
