"""The seam for something that remembers, outside of the ledger, how far its log had come."""

from __future__ import annotations

from typing import Protocol


class Witness(Protocol):
    """One line of text that outlives the ledger. Each method may raise ``NoRoom``."""

    def kept(self) -> str | None:
        """What ``keep`` got last; ``None`` if it never did."""

    def keep(self, text: str) -> None:
        """Durable when it returns, whole or not at all."""
