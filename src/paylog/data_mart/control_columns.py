"""What the control tables are made of: their metadata, and the columns that many of them have."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Text, text

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_index",
    }
)


def moment(name: str, *, nullable: bool = True, default: str | None = None) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default and text(default))


def named(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


COUNT_NAMES = ("read", "loaded", "duplicate", "rejected", "filtered", "pending")


def counters(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False, server_default=text("0")) for name in names]
