"""Licences that solvers check out while they run: how many there are, and what a job needs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Formula(Enum):
    """A need that grows with a job's cores."""

    ABAQUS = "abaqus-tokens"  #: floor(5 * cores ** 0.422), Abaqus' analysis tokens
    PER_CORE = "per-core"


Tokens = int | Formula


def tokens(rule: Tokens, cores: int) -> int:
    """How many a job of so many cores checks out."""
    match rule:
        case Formula.ABAQUS:
            return math.floor(5 * math.pow(cores, 0.422))
        case Formula.PER_CORE:
            return cores
    return rule


@dataclass(frozen=True)
class Pool:
    """One licence as its source sees it now, over all sites."""

    name: str
    total: int
    used: int
    kept: int = 0  #: that bursts leave to others
    slurm: str = ""  #: its name in Slurm, where Slurm itself keeps it

    @property
    def free(self) -> int:
        """What is left for bursts; never negative, although more may be used than there are."""
        return max(0, self.total - self.kept - self.used)


@dataclass(frozen=True)
class UnseenPool:
    """A licence of which nobody can say now how many are free. Who needs it stays."""

    name: str
    cause: str
    slurm: str = ""


PoolView = Pool | UnseenPool


@dataclass(frozen=True)
class LicenceAsk:
    """What one job needs, by the names of the pools.

    ``booked``: burstd keeps it booked until the job's burst is over. ``held``: Slurm keeps it, for
    the stand-in asks for it by ``-L`` until it ends; it has to be free and is booked nowhere else.
    """

    booked: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.booked or self.held)

    @property
    def all(self) -> tuple[tuple[str, int], ...]:
        """Every need, by name; no pool is in both halves."""
        return tuple(sorted({**self.booked, **self.held}.items()))


_ENTRY = re.compile(r"([\w.+/-]+(?:@[\w.+-]+)?)(?:[:=*](\d{1,9}))?", re.ASCII)


def parse_licences(text: str) -> dict[str, int]:
    """``abaqus@flex:5,ansys``: what ``sbatch -L`` takes; without a count it is one.

    Of alternatives (``a:1|b:2``) Slurm takes one and burstd can't know which: all are needed.
    Raises ``ValueError`` for anything else.
    """
    needs: Counter[str] = Counter()
    for entry in re.split(r"[,;|]", text):
        found = _ENTRY.fullmatch(entry)
        if found is None:
            raise ValueError(f"not licences: {text[:80]!r}")
        needs[found[1]] += int(found[2] or 1)
    return {name: count for name, count in needs.items() if count}
