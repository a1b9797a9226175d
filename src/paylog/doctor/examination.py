"""Checks, each by itself and with a time limit: one that fails or hangs hides no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from paylog.errors import PaylogError, RetriableError

if TYPE_CHECKING:
    from paylog.subscription import Subscription

SECONDS = 20.0


class Health(StrEnum):
    """``unknown``: it could not be found out. Only ``failed`` keeps paylog from working."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Answer(NamedTuple):
    """What a check found.

    :param remedy: what to do about it, empty when all is well.
    """

    health: Health
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer of one check.

    :param code: stable: an interface.
    :param subject: subscription, or schema of the data mart.
    :param error: what ended the check, if something did.
    """

    code: str
    subject: str
    health: Health
    found: str
    remedy: str = ""
    error: BaseException | None = field(default=None, compare=False, repr=False)

    def as_dict(self) -> dict[str, str]:
        """Plain JSON values."""
        return {
            "code": self.code,
            "subject": self.subject,
            "health": self.health.value,
            "found": self.found,
            "remedy": self.remedy,
        }


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    :param remedy: what to do when it ends in an error.
    """

    code: str
    run: Callable[[], Answer | str]
    remedy: str


@dataclass(frozen=True)
class Group:
    """Checks of one subject. When the first one fails, the others could only fail in the same way."""

    subject: str
    checks: Sequence[Check]


def examine(subscriptions: Iterable[Subscription], seconds: float = SECONDS) -> Iterator[Diagnosis]:
    """Look at everything that the subscriptions name.

    :param seconds: the time limit of each check.
    """
    from paylog.doctor.groups import groups

    for group in groups(list(subscriptions)):
        gate: Diagnosis | None = None
        for check in group.checks:
            if gate is not None and gate.health is Health.FAILED:
                yield Diagnosis(check.code, group.subject, Health.UNKNOWN, f"not looked at: see {gate.code}")
                continue
            diagnosis = _diagnosed(group.subject, check, seconds)
            gate = gate or diagnosis
            yield diagnosis


def _diagnosed(subject: str, check: Check, seconds: float) -> Diagnosis:
    made = partial(Diagnosis, check.code, subject)
    try:
        answer = _within(check.run, seconds)
    except PaylogError as error:
        return made(Health.FAILED, str(error), check.remedy, error)
    except Exception as error:
        said = f"{type(error).__name__}: a defect in this check of paylog"
        return made(Health.FAILED, said, "Please report it.", error)
    if isinstance(answer, str):
        return made(Health.OK, answer)
    return made(answer.health, answer.found, answer.remedy)


def _within(run: Callable[[], Answer | str], seconds: float) -> Answer | str:
    """The answer of ``run``; it is left behind when it takes too long.

    :raises RetriableError: it took too long.
    """
    outcome: list[Answer | str | BaseException] = []

    def attempt() -> None:
        try:
            outcome.append(run())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise RetriableError(f"no answer within {seconds:.0f} seconds")
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
