"""The tables. ``body`` holds the whole value as JSON; the other columns are what is asked for.

A change here needs a migration in ``migrations/versions`` and its test from every older schema.
"""

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
    Column("fetched_at", String(40)),
    Column("remains", Boolean, nullable=False, server_default=text("false")),
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

#: The chain. A burst's journal is its records of action ``burst.*``.
audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", String(40), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(40), nullable=False),
    Column("subject", String(64), nullable=False, index=True),
    Column("version", Integer),  # of the burst, where it is an event of one
    Column("detail", Text, nullable=False),
    Column("prev", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    UniqueConstraint("subject", "version", name="one_record_per_event"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("job_id", Integer, primary_key=True, autoincrement=False),
    Column("array_task", Integer, primary_key=True, autoincrement=False),  # -1: the job itself
    Column("at", String(40), nullable=False),
    Column("user", String(64), nullable=False),
    Column("placed", Boolean, nullable=False),
    Column("text", Text, nullable=False),
)

permits = Table(
    "permits",
    metadata,
    Column("burst", String(32), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
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

requests = Table(
    "requests",
    metadata,
    Column("burst", String(32), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("by", String(64), nullable=False),
    Column("why", Text, nullable=False),
    Column("at", String(40), nullable=False),
)

#: Single values: ``surging``, ``frozen``, ``closed``.
facts = Table(
    "facts",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

#: Of what lies in buckets: a row without ``wrapped`` is a destroyed key whose objects may be there.
keys = Table(
    "keys",
    metadata,
    Column("place", String(32), primary_key=True),
    Column("bucket", String(64), nullable=False),
    Column("scope", String(200), nullable=False),
    Column("wrapped", Text),
    Column("made_at", String(40), nullable=False),
    Column("destroyed_at", String(40)),
    Column("emptied_at", String(40)),
    Column("by", String(64), nullable=False),
    Column("why", Text, nullable=False),
)
Index(
    "one_living_key",
    keys.c.bucket,
    keys.c.scope,
    unique=True,
    sqlite_where=keys.c.wrapped.is_not(None),
    postgresql_where=keys.c.wrapped.is_not(None),
)
