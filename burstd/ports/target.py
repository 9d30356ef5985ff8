"""The seam for places where jobs can run. The one Protocol a target plugin implements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from burstd.domain.findings import Finding
from burstd.domain.targets import (
    Generation,
    Image,
    RemoteId,
    RemoteJob,
    RunState,
    TargetView,
    Ticket,
    WorkKey,
    WorkOrder,
)


class Target(Protocol):
    """Every method may raise any ``Transient`` error or ``AccessDenied``; others are named."""

    def mark(self, site: str) -> str | None:
        """The text that ``keep_mark`` left for this site last; ``None`` if it never did."""

    def keep_mark(self, site: str, text: str) -> None:
        """Keep one line for this site, durably, in place of the one before: a burstd whose
        ledger is older than it knows by this that the ledger was restored."""

    def observe(self) -> TargetView:
        """What it offers and costs. Never needs the link: an unreachable target is no error."""

    def prepare(self, image: Image) -> None:
        """Make sure that our program and ``image`` are there, by digest. Idempotent."""

    def ticket(self, key: WorkKey, user: str, public_key: str) -> Ticket:
        """Give ``user``'s agent, who holds the private half of ``public_key`` (OpenSSH text),
        a short-lived right to the run directory of ``key`` and to nothing else.

        Raises ``Rejected`` if the user has no account there.
        """

    def generation(self) -> Generation:
        """Changes when the target may have forgotten acknowledged work."""

    def submit(self, work: WorkOrder) -> RemoteId:
        """Hand in ``work``, held: it may not start before ``start``.

        The caller has asked ``find`` first. Raises ``Rejected`` if the target will never run it.
        """

    def find(self, key: WorkKey) -> RemoteJob | None:
        """Our work by its key, whoever submitted it; ``None`` only if proven absent.

        Of several, the one that started, else the oldest; the others are cancelled.
        """

    def poll(self, keys: Sequence[WorkKey]) -> Mapping[WorkKey, RemoteJob]:
        """Report each key in one call to the far scheduler.

        One we cannot learn about is ``UNKNOWN``, never an ending.
        """

    def run_state(self, key: WorkKey, user: str) -> RunState:
        """What the run directory shows. A scheduler that was killed may have forgotten that it
        started the work, and show it as held while it runs: what began must not begin again.
        """

    def start(self, key: WorkKey) -> None:
        """The run permit: let the held work start. Idempotent."""

    def cancel(self, key: WorkKey) -> None:
        """Stop it. Ended or absent work is not an error; ``find`` tells when it is over."""

    def signal(self, key: WorkKey, name: str) -> None:
        """Send its payload's first process the signal of this name (``USR1``), once: at an error
        it may have arrived or not. Nothing where it does not run."""

    def clean(self, key: WorkKey, user: str) -> None:
        """Remove all that the burst left at the target. Absent is fine."""

    def tidy(self) -> None:
        """Remove what was kept there for later bursts, and that none has used for longer than it is
        worth. Asked for once a day: it may be that no burst ever comes again."""

    def examine(self) -> Iterable[Finding]:
        """Look at all that a burst needs there, for ``burst doctor``. Changes nothing, always
        ends, and raises nothing: a target that does not answer is a finding."""
