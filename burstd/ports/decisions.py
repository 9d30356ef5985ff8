"""The seam for what was decided: every decision with all that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Protocol

from burstd.domain.decision import Decision, Outline
from burstd.domain.plan import Decline, Placement, Plan


class Kept(Protocol):
    """A decision that is read; good until the next one is. Each method may raise ``Mismatch``."""

    @property
    def outline(self) -> Outline:
        """In one line."""

    def plan(self) -> Plan:
        """Its declines are in the order of the queue."""

    def verdicts(self, job_id: int) -> tuple[Placement | Decline, ...]:
        """Those on one job, or on an array's tasks; much quicker than ``plan``."""


class Decisions(Protocol):
    """Kept for a while, in their order."""

    def keep(self, decision: Decision) -> None:
        """One more. Raises ``NoRoom``, or ``Mismatch`` where it has no words for it: then this one
        is not kept, and the next one is kept as if it were the first."""

    def outlines(
        self, since: datetime, until: datetime, lost: Callable[[str], None]
    ) -> Iterator[Outline]:
        """Those of [``since``, ``until``), the oldest first; ``lost`` hears what can't be read.

        Raises ``Mismatch`` where another burstd has written them in a form of its own.
        """

    def kept(self, since: datetime, until: datetime, lost: Callable[[str], None]) -> Iterator[Kept]:
        """The same with their plans."""

    def last(self, until: datetime, lost: Callable[[str], None]) -> Decision | None:
        """The last one that was made by then, with all that it was made from; ``None`` if there is
        none, or none of that day or the day before can be read."""
