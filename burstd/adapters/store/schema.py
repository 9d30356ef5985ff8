"""The tables. ``body`` holds the whole value as JSON; the other columns are what is asked for."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

VERSION = 1

metadata = MetaData()

bursts = Table(
    "bursts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("job_id", Integer, nullable=False),
    Column("array_task", Integer),
    Column("target", String(64), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("returned", Boolean, nullable=False),
    Column("month", String(7), nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False),
)
Index(
    "one_open_burst_per_job",
    bursts.c.job_id,
    text("coalesce(array_task, -1)"),
    unique=True,
    sqlite_where=bursts.c.open,
    postgresql_where=bursts.c.open,
)

journal = Table(
    "journal",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("burst", String(32), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("at", String(40), nullable=False),
    Column("event", String(32), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    UniqueConstraint("burst", "version"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("job_id", Integer, primary_key=True),
    Column("array_task", Integer, primary_key=True),  # -1: the job itself
    Column("at", String(40), nullable=False),
    Column("user", String(64), nullable=False),
    Column("placed", Boolean, nullable=False),
    Column("text", Text, nullable=False),
)

permits = Table(
    "permits",
    metadata,
    Column("burst", String(32), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("at", String(40), nullable=False),
)

reports = Table(
    "reports",
    metadata,
    Column("burst", String(32), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("at", String(40), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

facts = Table(
    "facts",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)
