"""Making a data mart's roles, as an administrator of the database."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from paylog.connections import Connection
from paylog.data_mart.rights import Roles, statements
from paylog.data_mart.session import Sessions
from paylog.errors import ConfigurationError


@dataclass(frozen=True)
class RolePlan:
    """The roles that three connections sign in as, in one schema of one database.

    :param read: None where nobody reads with a role of its own.
    :raises ConfigurationError: a connection has no login or database, or two have the same login, or other
        databases.
    """

    schema: str
    owner: Connection
    load: Connection
    read: Connection | None = None

    def __post_init__(self) -> None:
        for each in self.connections:
            if not each.login:
                raise ConfigurationError(f"connection {each.conn_id!r} has no login: it names the role")
            if not each.schema:
                raise ConfigurationError(f"connection {each.conn_id!r} names no database (schema)")
            if each.schema != self.owner.schema:
                raise ConfigurationError(
                    f"connections {self.owner.conn_id!r} and {each.conn_id!r} name different databases"
                )
        if len({each.login for each in self.connections}) < len(self.connections):
            names = ", ".join(repr(each.conn_id) for each in self.connections)
            raise ConfigurationError(f"connections {names} must sign in as different roles")

    @property
    def connections(self) -> tuple[Connection, ...]:
        return (self.owner, self.load, *([self.read] if self.read else []))

    @property
    def roles(self) -> Roles:
        return Roles(self.owner.login, self.load.login, self.read.login if self.read else None)

    def statements(self) -> list[str]:
        """In order; to be run in the connections' database. They hold no password."""
        return statements(self.roles, self.owner.schema, self.schema)

    def as_sql(self) -> str:
        r"""A script for ``psql``; passwords of new roles are set with ``\password``."""
        lines = [f"{statement};" for statement in self.statements()]
        passwords = "".join(f"\n--   \\password {name}" for name in self.roles.names)
        body = "\n".join(["BEGIN;", *lines, "COMMIT;"])
        head = f"-- Roles of schema {self.schema!r} in database {self.owner.schema!r}."
        return f"{head}\n{body}\n-- New roles have no password yet. In psql:{passwords}"


def apply(plan: RolePlan, admin: Connection) -> list[str]:
    """Run the statements; the roles that are new, which get their connections' passwords.

    :raises AccessDenied: the administrator may not do that.
    """
    sessions = Sessions(admin, plan.schema)
    with sessions.session("make the roles of a data mart") as link, link.transaction():
        if link.info.dbname != plan.owner.schema:
            raise ConfigurationError(
                f"connection {admin.conn_id!r} is in database {link.info.dbname!r}, the data mart in "
                f"{plan.owner.schema!r}"
            )
        query = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s)"
        known = {row[0] for row in link.execute(query, (list(plan.roles.names),))}
        for statement in plan.statements():
            link.execute(statement.encode())
        made = [each for each in plan.connections if each.login not in known]
        for each in made:
            _set_password(link, each)
    return [each.login for each in made]


def _set_password(link: psycopg.Connection, connection: Connection) -> None:
    """Send a verifier, not the password: the server may log statements."""
    if connection.password:
        hashed = link.pgconn.encrypt_password(
            connection.password.encode(), connection.login.encode(), b"scram-sha-256"
        )
        role, verifier = sql.Identifier(connection.login), sql.Literal(hashed.decode())
        link.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, verifier))
