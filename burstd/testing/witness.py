"""A witness that outlives any number of ledgers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SimulatedWitness:
    """``ports.witness.Witness``."""

    text: str | None = None

    def kept(self) -> str | None:
        return self.text

    def keep(self, text: str) -> None:
        self.text = text
