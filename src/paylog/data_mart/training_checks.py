"""Checks of the training data with their findings, and the profiles that they made: a history of both."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, select

from paylog.data_mart.control_tables import training_checks, training_profiles
from paylog.errors import SchemaMismatch
from paylog.training_data import Finding, Profile, Severity, Status

if TYPE_CHECKING:
    from paylog.subscription import Subscription
    from paylog.training_data import CheckResult


@dataclass(frozen=True, slots=True)
class StoredCheck:
    """One check of a subscription's training data.

    :param profile_id: None when the data could not be read.
    :param rows: of the profile.
    :param schema_version: ``ModelSchema.version`` that it was checked against.
    :param location: where the data lives, without credentials; None when it could not be read.
    """

    check_id: int
    profile_id: int | None
    rows: int | None
    content_hash: str | None
    schema_version: str
    location: str | None
    status: Status
    findings: tuple[Finding, ...]
    seconds: float
    checked_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {
            "status": self.status.value,
            "findings": [asdict(f) | {"severity": f.severity.value} for f in self.findings],
            "checked_at": self.checked_at.isoformat(),
        }

    def severe(self, severity: Severity) -> list[Finding]:
        """The findings of one severity."""
        return [finding for finding in self.findings if finding.severity is severity]


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A profile of a subscription's training data."""

    profile_id: int
    created_at: datetime
    profile: Profile


def write(
    connection: Connection, subscription: Subscription, result: CheckResult, seconds: float
) -> StoredCheck:
    """Store a check; its profile only where content or model schema differ from the last profile's."""
    profile_id = None if result.profile is None else _profile_id(connection, subscription.id, result.profile)
    connection.execute(
        insert(training_checks).values(
            subscription_id=subscription.id,
            profile_id=profile_id,
            schema_version=subscription.model_schema.version,
            status=result.status.value,
            findings=[asdict(f) | {"severity": f.severity.value} for f in result.findings],
            seconds=seconds,
        )
    )
    (written,) = read(connection, subscription.id, 1)
    return written


def read(connection: Connection, subscription_id: str, limit: int) -> list[StoredCheck]:
    """The newest first."""
    checks, profiles = training_checks.c, training_profiles.c
    location = profiles.document["source"]["location"].astext.label("location")
    query = (
        select(
            checks.check_id, checks.profile_id, profiles.rows, profiles.content_hash, checks.schema_version,
            location, checks.status, checks.findings, checks.seconds, checks.checked_at,
        )
        .outerjoin_from(training_checks, training_profiles)
        .where(checks.subscription_id == subscription_id)
        .order_by(checks.check_id.desc())
        .limit(limit)
    )  # fmt: skip
    return [_check(dict(row._mapping)) for row in connection.execute(query)]


def read_profile(
    connection: Connection, subscription_id: str, profile_id: int | None
) -> StoredProfile | None:
    """The newest profile, or one by its id.

    :raises SchemaMismatch: a newer paylog stored it.
    """
    profiles = training_profiles.c
    query = select(profiles.profile_id, profiles.created_at, profiles.document)
    query = query.where(profiles.subscription_id == subscription_id)
    if profile_id is not None:
        query = query.where(profiles.profile_id == profile_id)
    row = connection.execute(query.order_by(profiles.profile_id.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    try:
        return StoredProfile(row.profile_id, row.created_at, Profile.from_dict(row.document))
    except ValueError as error:
        raise SchemaMismatch(
            f"Subscription {subscription_id!r}: the stored profile is {error}. Upgrade paylog here, or "
            f"profile again with it: paylog training check {subscription_id}"
        ) from None


def _profile_id(connection: Connection, subscription_id: str, profile: Profile) -> int:
    """Of the profile as stored: the last one, if that is the same, else a new one."""
    profiles, document = training_profiles.c, profile.to_dict()
    last = connection.execute(
        select(profiles.profile_id, profiles.document)
        .where(profiles.subscription_id == subscription_id)
        .order_by(profiles.profile_id.desc())
        .limit(1)
    ).one_or_none()
    if last is not None and _same(last.document, document):
        return int(last.profile_id)
    new = insert(training_profiles).values(
        subscription_id=subscription_id,
        content_hash=profile.content_hash,
        schema_version=profile.schema_version,
        rows=profile.rows,
        document=document,
    )
    return int(connection.execute(new.returning(profiles.profile_id)).scalar_one())


def _same(stored: dict[str, Any], made: dict[str, Any]) -> bool:
    """Whether both are of the same rows, read the same way; where they lie may differ."""
    names = ("version", "content_hash", "schema_version", "rows", "rows_read", "sample_share", "sample_seed")
    return all(stored.get(name) == made[name] for name in names)


def _check(values: dict[str, Any]) -> StoredCheck:
    findings = [Finding(**f | {"severity": Severity(f["severity"])}) for f in values["findings"]]
    return StoredCheck(**values | {"status": Status(values["status"]), "findings": tuple(findings)})
