"""How a ledger of an older burstd becomes one of this: Alembic's scripts, forward only."""
