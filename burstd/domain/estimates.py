"""When waiting jobs will start here, as far as anybody can tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


class Source(Enum):
    """Who says so."""

    SLURM = "slurm"  #: its backfill scheduler
    OWN = "own"  #: the line, filled from its head by how long jobs are expected to run


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How long jobs really waited, as a part of what had been told: the 10 %, 50 % and 90 %
    quantiles of so many ``jobs``."""

    early: float = 1.0
    likely: float = 1.0
    late: float = 1.0
    jobs: int = 0


#: Nothing is known: what is told is taken as it is.
UNTRIED = Accuracy()


@dataclass(frozen=True, slots=True)
class StartEstimate:
    """A job's wait from now on, as told by ``source``, and corrected by how that fared before."""

    told: timedelta
    source: Source
    accuracy: Accuracy = UNTRIED

    @property
    def early(self) -> timedelta:
        return self.told * self.accuracy.early

    @property
    def likely(self) -> timedelta:
        return self.told * self.accuracy.likely

    @property
    def late(self) -> timedelta:
        return self.told * self.accuracy.late
