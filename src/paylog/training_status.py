"""What is known of a subscription's training data when payload records are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paylog.errors import RequirementUnmet
from paylog.subscription.judgement import Gate
from paylog.subscription.monitors import Requirement

if TYPE_CHECKING:
    from paylog.data_mart import DataMart
    from paylog.data_mart.training_checks import StoredCheck
    from paylog.subscription import Subscription
    from paylog.training_data.judgement import PayloadJudge

UNCHECKED = "unchecked"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TrainingStatus:
    """The standing check of the training data.

    :param state: ``passed``, ``warning`` or ``error``; ``unchecked`` without a check of the data against
        the model schema as it is now.
    :param check: the newest check, None when there was none.
    """

    subscription_id: str
    state: str
    check: StoredCheck | None

    @classmethod
    def of(cls, subscription: Subscription, data_mart: DataMart) -> TrainingStatus | None:
        """None for a subscription that names no training data."""
        if subscription.training_data is None:
            return None
        check = next(iter(data_mart.training.checks(subscription.id)), None)
        current = check is not None and check.schema_version == subscription.model_schema.version
        state = check.status.value if check is not None and current else UNCHECKED
        return cls(subscription.id, state, check)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: codes and columns, no value of the data."""
        check = self.check
        return {
            "status": self.state,
            "checked at": check.checked_at.isoformat() if check else None,
            "rows": check.rows if check else None,
            "profile": check.profile_id if check else None,
            "findings": [
                {"severity": f.severity.value, "code": f.code, "column": f.column}
                for f in (check.findings if check else ())
            ],
        }

    def as_text(self) -> str:
        """``warning: DUPLICATE_ROWS, NULLS Age``, for a line of a receipt."""
        if self.check is None:
            return "never checked"
        if self.state == UNCHECKED:
            return "not checked against this model schema"
        names = [f"{f.code} {f.column}" if f.column else f.code for f in self.check.findings]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"{self.state}: {', '.join(names[:_SHOWN])}{more}" if names else self.state


def require(subscription: Subscription, status: TrainingStatus | None) -> None:
    """Refuse to load what the subscription does not want to be loaded.

    :raises RequirementUnmet: training data is required, and never checked or in error; or the gate for
        payload records is shut, and there is no profile to judge them by.
    """
    required = Requirement.TRAINING_DATA in subscription.require
    if status is None:
        return
    shut = subscription.judgement.gate is Gate.ERROR
    run = f"run: paylog training check {subscription.id}"
    if required and status.state == "error" and status.check is not None:
        errors = "; ".join(map(str, status.check.findings[:_SHOWN]))
        raise RequirementUnmet(
            f"{subscription.id}: nothing is loaded, since the training data is in error: {errors}. "
            f"Mend it, then {run}"
        )
    if status.state == UNCHECKED and (required or (shut and _profile_id(status) is None)):
        raise RequirementUnmet(
            f"{subscription.id}: nothing is loaded, since its training data was {status.as_text()} and it "
            f"says {'require: [training_data]' if required else 'judgement.gate: error'}. To check it, {run}"
        )


def judge(
    subscription: Subscription, data_mart: DataMart, status: TrainingStatus | None
) -> PayloadJudge | None:
    """What holds a batch against the newest profile; None without training data or a profile."""
    stored = None if status is None else data_mart.training.profile(subscription.id)
    if stored is None:
        return None
    from paylog.training_data.judgement import PayloadJudge

    return PayloadJudge(subscription.judgement, stored.profile, subscription.model_schema, stored.profile_id)


def _profile_id(status: TrainingStatus) -> int | None:
    return status.check.profile_id if status.check else None
