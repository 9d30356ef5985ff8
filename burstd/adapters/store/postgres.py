"""A ledger in PostgreSQL, for a pair of daemons of which one leads."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine, make_url

#: libpq's words. A frozen daemon must not keep the lease's row locked for ever, nor may a dead
#: server keep us waiting.
_CONNECT = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "application_name": "burstd",
    "options": " ".join(
        f"-c {name}={milliseconds}"
        for name, milliseconds in {
            "idle_in_transaction_session_timeout": 10_000,
            "lock_timeout": 20_000,
            "statement_timeout": 30_000,
        }.items()
    ),
}


def engine_at(url: str) -> Engine:
    """The engine of ``postgresql://...``; it connects at the first question."""
    driver = make_url(url).set(drivername="postgresql+psycopg")
    return create_engine(driver, pool_pre_ping=True, pool_size=4, connect_args=_CONNECT)
