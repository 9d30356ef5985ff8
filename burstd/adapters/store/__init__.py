"""The ledger behind port ``BurstStore``."""
