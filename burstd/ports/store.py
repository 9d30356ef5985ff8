"""The seam for durable state. The database is the truth; memory is a cache of one tick."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

from burstd.domain.audit import AuditHead, AuditRecord
from burstd.domain.burst import Burst, BurstId
from burstd.domain.events import Event
from burstd.domain.jobs import JobKey, JobRecord
from burstd.domain.keys import WrappedKey
from burstd.domain.plan import Plan
from burstd.domain.policy import Ledger
from burstd.domain.reasons import Step
from burstd.domain.requests import ALL, Request, RequestKind

#: Every rule's word on a job.
Reasons = Mapping[JobKey, Sequence[Step]]
NO_REASONS: Reasons = MappingProxyType({})


class StaleBurst(Exception):
    """Someone else moved this burst first. Reload; never overwrite."""


@dataclass(frozen=True)
class JournalEntry:
    """One event of one burst: the story that ``burst logs`` tells."""

    at: datetime
    burst: BurstId
    event: str
    stage: str
    detail: str


@dataclass(frozen=True)
class Verdict:
    """The last decision on a job, for ``burst why``."""

    at: datetime
    job: JobKey
    user: str
    placed: bool
    text: str


@dataclass(frozen=True)
class Report:
    """What an agent told us of its burst. ``body`` is the agent's JSON, checked by the API."""

    kind: str
    at: datetime
    body: Mapping[str, Any]


class BurstStore(Protocol):
    """One writer. Every method that writes is one transaction, durable when it returns.

    Raises ``NoRoom`` when the disk is full: nothing was written.
    """

    def open_bursts(self) -> tuple[Burst, ...]:
        """All bursts that are not at rest, oldest first."""

    def quarantined(self) -> tuple[Burst, ...]:
        """All bursts that wait for an operator, oldest first."""

    def remaining(self) -> tuple[Burst, ...]:
        """All of which something remains at a target, oldest first."""

    def bursts(self, job: JobKey | None = None) -> tuple[Burst, ...]:
        """All bursts ever, newest first; of one job if given."""

    def burst(self, id: BurstId) -> Burst | None:
        """One burst."""

    def ledger(self) -> Ledger:
        """Money of this calendar month, open bursts, returned jobs, whether a surge is on."""

    def record(self, plan: Plan, reasons: Reasons = NO_REASONS) -> tuple[Burst, ...]:
        """Write the plan's verdicts and new bursts with their reservations; return the new.

        ``reasons``: every rule's word on those that leave, kept with their bursts.
        A placement whose job already has an open burst makes none, and a frozen ledger none at
        all, whatever the plan was made from.
        """

    def send_home(self, record: JobRecord, cause: str) -> Burst:
        """Open a burst without a target that only returns: a declined wish on its way home.

        Returns the open burst of that job if there is one.
        """

    def freeze(self, by: str, why: str, *, close: bool = False) -> None:
        """From when it returns on, ``record`` begins no burst. Frozen twice: the later words.

        With ``close``, until it is thawed, no wish waits for better times either.
        """

    def thaw(self, by: str) -> None:
        """End it; nothing where nothing is frozen."""

    def note(self, plan: Plan) -> None:
        """Write the plan's verdicts only (mode observe)."""

    def append(
        self, before: Burst, event: Event, after: Burst, heard: Collection[RequestKind] = ALL
    ) -> Burst:
        """Write ``event`` to the journal and move the row.

        Raises ``StaleBurst`` unless the stored version is ``before.version``, and where the burst
        would be closed though its job shall be cancelled and that is not among what was ``heard``.
        """

    def journal(self, burst: BurstId) -> tuple[JournalEntry, ...]:
        """The burst's story, oldest first."""

    def reasons(self, burst: BurstId) -> tuple[Step, ...]:
        """Every rule's word on its job when it left; none where none were kept."""

    def head(self) -> AuditHead:
        """Where the audit log ends."""

    def vouches(self, head: AuditHead) -> bool:
        """Is this on the log's chain, or accepted by an operator though it is not?"""

    def suspect(self, witness: str, head: AuditHead) -> None:
        """Somebody remembers a head that is not on the chain: from now on ``ledger().suspect``
        says so, until it is accepted. Suspected twice by one witness: the later head."""

    def accept(self, by: str) -> None:
        """The ledger is right as it is, whatever was remembered; nothing where nothing is
        suspected."""

    def tell(self, action: str, burst: str, detail: Mapping[str, object]) -> None:
        """Write an effect into the audit log (``ports.audit.Tell``)."""

    def audit(self, after: int = 0, most: int = 1000) -> tuple[AuditRecord, ...]:
        """The audit log's records from ``after`` on, oldest first, at most ``most`` of them."""

    def verdict(self, job: JobKey) -> Verdict | None:
        """The last decision on this job or on the array it belongs to."""

    def request(self, burst: BurstId, request: Request) -> bool:
        """Keep what somebody asks of a burst; the first of a kind counts.

        False, and nothing is kept, where it comes too late, or too early: the burst is at rest; or
        its job shall be returned and its permit is given; or be stopped to go on at home, and it
        does not run, or can't.
        """

    def requests(self) -> Mapping[BurstId, frozenset[Request]]:
        """What is asked of open bursts."""

    def permit(self, burst: BurstId, attempt: int) -> bool:
        """Write the one run permit of (burst, attempt). True if it stands: given now or before.

        False where the burst's job shall be returned: then it is not given, now or later.
        """

    def report(self, burst: BurstId, kind: str, body: Mapping[str, Any]) -> bool:
        """Keep what the agent said; a later report of the same kind replaces it. False, and nothing
        is written, where just this was said before. Each ``staged_in`` is in the audit log, and
        there are but a few of one burst: what goes beyond them is not kept."""

    def reports(self, burst: BurstId, *kinds: str) -> Mapping[str, Report]:
        """What the agent has said so far, by kind; with ``kinds`` only those."""

    def report_text(self, burst: BurstId, kind: str) -> str | None:
        """The body of one report as JSON in ASCII, not read; ``None`` where there is none."""

    def said(self, burst: BurstId) -> frozenset[str]:
        """The kinds of its reports, without their bodies: a manifest may be many megabytes."""

    def seal_keys(self) -> tuple[WrappedKey, ...]:
        """Of what lies in buckets: all that live, and destroyed ones until they are forgotten;
        oldest first."""

    def shreds(self, scope: str) -> tuple[AuditRecord, ...]:
        """The certificates of what was sealed for a scope, oldest first: their details."""

    def keep_key(self, fresh: WrappedKey) -> WrappedKey:
        """The living key of its bucket and scope: this one where there was none."""

    def destroy_key(self, place: str, by: str, why: str) -> None:
        """What was sealed with it can't be read any more; in the audit log. Again: nothing."""

    def shredded(self, key: WrappedKey, certificate: Mapping[str, object]) -> None:
        """Of a destroyed key nothing is there any more; the certificate is in the audit log.
        Again: nothing."""

    def forget_key(self, place: str) -> None:
        """One of which nothing is there, nor can come back; else nothing."""

    def staged(self) -> dict[tuple[str, str], int]:
        """Bytes by (target, ``in``/``out``) that agents have moved, for dashboards."""
