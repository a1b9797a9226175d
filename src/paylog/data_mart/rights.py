"""Who may do what in a data mart: three roles, and the statements that make them.

The **owner** creates and migrates tables, makes and drops partitions. **Load** reads and writes rows, and
gets partitions from a function. **Read** reads, without the engines' raw bytes. PostgreSQL checks rights
on a partitioned table, not on its partitions, so new partitions need no grant; new tables get theirs from
the owner's default privileges.
"""

from __future__ import annotations

from dataclasses import dataclass

from paylog.data_mart import partition_function
from paylog.data_mart.control_tables import receipts
from paylog.data_mart.operation_tables import OWNED, metadata, raw_columns
from paylog.data_mart.session import quoted

# Tables of paylog's, in a schema that may hold others.
_OURS = r"^(paylog_|Payload_|Feedback_)"


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of a data mart's roles.

    :param read: None where nobody reads with a role of its own.
    """

    owner: str
    load: str
    read: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.owner, self.load, self.read) if name)


def statements(roles: Roles, database: str, schema: str) -> list[str]:
    """What an administrator of the database runs, once or again. Sets no password and drops nothing."""
    space = quoted(schema)
    load, read = quoted(roles.load), roles.read and quoted(roles.read)
    all_users = ", ".join(map(quoted, roles.names))
    users = ", ".join(name for name in (load, read) if name)
    return [
        *map(_created, roles.names),
        _administered(roles.owner),
        f"GRANT CONNECT ON DATABASE {quoted(database)} TO {all_users}",
        f"GRANT TEMPORARY ON DATABASE {quoted(database)} TO {quoted(roles.owner)}, {load}",
        f"CREATE SCHEMA IF NOT EXISTS {space} AUTHORIZATION {quoted(roles.owner)}",
        f"GRANT USAGE, CREATE ON SCHEMA {space} TO {quoted(roles.owner)}",
        f"REVOKE CREATE ON SCHEMA {space} FROM {users}",
        f"GRANT USAGE ON SCHEMA {space} TO {users}",
        *_defaults(roles, schema),
        _taken_over(roles, schema),
        tightened(schema),
    ]


def tightened(schema: str) -> str:
    """Bring the rights on the control tables to what each role needs. Run by their owner.

    Whoever may insert receipts loads, who may only select them reads.
    """
    ours = sorted(metadata.tables)
    function = _in_format(schema, partition_function.NAME)
    changed = _array([name for name in ours if name not in OWNED])
    hidden = " ".join(
        f"EXECUTE format('REVOKE SELECT ON {_in_format(schema, name)} FROM %I', r.rolname); "
        f"EXECUTE format('GRANT SELECT ({_columns(name, gone)}) ON {_in_format(schema, name)} TO %I', "
        "r.rolname);"
        for name, gone in raw_columns().items()
    )
    owned = " ".join(
        f"EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON {_in_format(schema, name)} FROM %I', r.rolname);"
        for name in OWNED
    )
    return f"""DO $paylog$
DECLARE r record; t text;
BEGIN
    FOR r IN SELECT g.rolname, bool_or(a.privilege_type = 'INSERT') AS loads
             FROM pg_class c CROSS JOIN aclexplode(c.relacl) a JOIN pg_roles g ON g.oid = a.grantee
             WHERE c.oid = to_regclass({_literal(quoted(schema, receipts.name))})
             AND a.grantee <> c.relowner GROUP BY 1 LOOP
        {owned}
        IF r.loads THEN
            FOREACH t IN ARRAY {changed} LOOP
                EXECUTE format('GRANT UPDATE ON {_in_format(schema)}.%I TO %I', t, r.rolname);
            END LOOP;
            EXECUTE format('GRANT EXECUTE ON FUNCTION {function}(text, date) TO %I', r.rolname);
        ELSE
            {hidden}
        END IF;
    END LOOP;
END $paylog$"""


def _created(role: str) -> str:
    return (
        f"DO $paylog$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {_literal(role)}) THEN "
        f"CREATE ROLE {quoted(role)} LOGIN; END IF; END $paylog$"
    )


def _administered(owner: str) -> str:
    """An administrator who is no superuser must be a member of the owner's role to act for it."""
    return (
        "DO $paylog$ BEGIN IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) "
        f"AND NOT pg_has_role(current_user, {_literal(owner)}, 'USAGE') THEN "
        f"GRANT {quoted(owner)} TO CURRENT_USER; END IF; END $paylog$"
    )


def _defaults(roles: Roles, schema: str) -> list[str]:
    """Rights on the tables that the owner will create."""
    future = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(roles.owner)} IN SCHEMA {quoted(schema)} GRANT"
    load = quoted(roles.load)
    made = [
        f"{future} SELECT, INSERT, DELETE ON TABLES TO {load}",
        f"{future} USAGE ON SEQUENCES TO {load}",
    ]
    return made + ([f"{future} SELECT ON TABLES TO {quoted(roles.read)}"] if roles.read else [])


def _taken_over(roles: Roles, schema: str) -> str:
    """Give the tables that are there to the owner, and the rights of the defaults on them to the others."""
    owner, load, read = (_literal(name) for name in (roles.owner, roles.load, roles.read or ""))
    reading = f"EXECUTE format('GRANT SELECT ON %s TO %I', r.oid::regclass, {read});" if roles.read else ""
    return f"""DO $paylog$
DECLARE r record;
BEGIN
    FOR r IN SELECT c.oid, c.relkind, pg_get_userbyid(c.relowner) AS owner FROM pg_class c
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {_literal(schema)}
             AND c.relname ~ '{_OURS}' AND c.relkind IN ('r', 'p', 'S')
             ORDER BY c.relkind = 'S' LOOP
        IF r.relkind = 'S' THEN
            EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', r.oid::regclass, {load});
            CONTINUE;
        END IF;
        IF r.owner <> {owner} THEN
            EXECUTE format('ALTER TABLE %s OWNER TO %I', r.oid::regclass, {owner});
        END IF;
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON %s TO %I', r.oid::regclass, {load});
        {reading}
    END LOOP;
    FOR r IN SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname = {_literal(schema)} AND p.proname ~ '^paylog_'
             AND pg_get_userbyid(p.proowner) <> {owner} LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO %I', r.oid::regprocedure, {owner});
    END LOOP;
END $paylog$"""


def _columns(table: str, gone: list[str]) -> str:
    names = [c.name for c in metadata.tables[table].columns if c.name not in gone]
    return ", ".join(map(quoted, names))


def _in_format(*names: str) -> str:
    """A quoted name within a literal that ``format`` reads."""
    return quoted(*names).replace("%", "%%").replace("'", "''")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _array(names: list[str]) -> str:
    return f"ARRAY[{', '.join(map(_literal, names))}]"
