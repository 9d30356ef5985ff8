"""Will a job be over sooner here than elsewhere? A veto, never a trigger. Pure."""

from __future__ import annotations

from datetime import timedelta

from burstd.core.place import Offer
from burstd.domain.estimates import StartEstimate
from burstd.domain.plan import Objection, Reason
from burstd.domain.spans import between, spoken


def objection(offer: Offer, run: timedelta, start: StartEstimate | None) -> Objection | None:
    """Who would be over sooner here even if it starts as late as estimates ever were wrong.

    ``run``: that it is expected to run here. Where nobody can tell when it starts, none.
    """
    if start is None or start.late + run > offer.over:
        return None
    return Reason.SOONER_HERE, told(offer, run, start)


def told(offer: Offer, run: timedelta, start: StartEstimate) -> dict[str, str]:
    """The numbers that it is judged by."""
    how = start.accuracy
    return {
        "here": spoken(start.late + run),
        "there": spoken(offer.over),
        "starts_here": between(start.early, start.late),
        "by": f"{start.source.value} estimate, {how.jobs} compared",
    }
