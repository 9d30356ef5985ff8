"""A mistake that a competent programmer might make, as data."""

from __future__ import annotations

from dataclasses import dataclass

#: How a defect is looked for: by the campaign, or by the landing's power cuts.
CAMPAIGN, LANDING = "campaign", "landing"


@dataclass(frozen=True)
class Edit:
    """``old`` occurs once in ``file`` (below ``burstd/``)."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Defect:
    """``ought``: the invariants that it should break, by number, one of which is to be seen."""

    name: str
    what: str
    ought: str
    edits: tuple[Edit, ...]
    by: str = CAMPAIGN


def one(name: str, what: str, ought: str, file: str, old: str, new: str) -> Defect:
    """One that is made by one edit, and found by the campaign."""
    return Defect(name, what, ought, (Edit(file, old, new),))


def file(
    name: str, what: str, ought: str, old: str, new: str, where: str = "agent/landing.py"
) -> Defect:
    """One of the landing."""
    return Defect(name, what, ought, (Edit(where, old, new),), LANDING)


STEPS, QUEUE, SQL = "shell/steps.py", "adapters/slurm/queue.py", "adapters/store/sql.py"
LIFECYCLE = "core/lifecycle.py"
