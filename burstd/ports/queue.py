"""The seam for the on-prem scheduler."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from burstd.domain.jobs import JobIdentity, JobRecord, JobSight, QueueSnapshot, Shape
from burstd.domain.usage import PastRun


class Queue(Protocol):
    """The on-prem Slurm. Every method may raise ``Unreachable`` or ``AccessDenied``.

    Each change is named by a ``JobIdentity``: the job is read first, and a stranger who got the
    same id is never touched. All changes are idempotent and may take several calls to complete.
    """

    def observe(self) -> QueueSnapshot:
        """Read the whole queue in one call to the controller.

        Raises ``Unreachable`` rather than give a partial list.
        """

    def past(self, since: datetime) -> tuple[PastRun, ...]:
        """The runs that ended since, oldest first, in partitions other than the burst partition:
        one call to accounting. Those that were cancelled tell nothing, and are left out."""

    def boot(self) -> str:
        """The controller's boot time, an opaque text that changes when it restarts."""

    def look(self, who: JobIdentity) -> JobSight:
        """A fresh look at one job, past its end as far as Slurm remembers.

        ``UNKNOWN`` where Slurm cannot say: absent is not finished. ``LOST`` where both its
        controller and its accounting say that there is none: whoever restores a controller's
        state may bring it back.
        """

    def script(self, who: JobIdentity) -> str | None:
        """The batch script; ``None`` where the job has none (interactive)."""

    def shape(self, who: JobIdentity) -> Shape:
        """What it asks for: more than the queue's list shows. Of an array: one of its elements."""

    def record(self, who: JobIdentity) -> JobRecord:
        """What ``give_back`` will need, read before the first change. Raises ``Rejected``
        if the job is not there as ``who`` or is not a plain pending batch job."""

    def park(self, record: JobRecord, mark: str) -> None:
        """Move one step towards a started stand-in: hold, read back, update, release.

        ``mark`` is left on the job where Slurm has a field for it.

        Does nothing to a job that already runs. Raises ``Rejected`` if Slurm refuses the
        update for good (a site's submit plugin, limits), with Slurm's own words.
        """

    def give_back(self, record: JobRecord) -> bool:
        """Move one step towards the job pending in its original partition and shape.

        True once it is there and released, or is over or gone, or runs in its own partition.
        """

    def cancel(self, who: JobIdentity) -> None:
        """End the job, as its user's ``scancel`` does. One that is over or ending is left alone;
        its end may take a while. Raises ``Rejected`` if the id belongs to another job now."""

    def annotate(self, who: JobIdentity, line: str) -> None:
        """Leave one line (at most 255 characters) on the ended job's accounting record.

        Best effort: accounting that is away is not an error.
        """
