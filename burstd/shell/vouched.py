"""A restored ledger is older than the world. Who remembers more than it does puts burstd into safe
mode: it submits and destroys nothing until an operator has accepted the ledger as it is.

The audit log's head is what is remembered: by a file beside the ledger, and by each target.
"""

from __future__ import annotations

import threading
from copy import copy
from dataclasses import dataclass, field

import structlog

from burstd.domain.audit import AuditHead
from burstd.domain.targets import RemoteId, RemoteJob, Ticket, WorkKey, WorkOrder
from burstd.ports.clock import Clock
from burstd.ports.errors import Transient
from burstd.ports.store import BurstStore
from burstd.ports.witness import Witness
from burstd.shell.passing import PassingTarget

log = structlog.get_logger()

QUIET = 5.0  #: seconds for which one that did not answer is not asked again


def vouch(store: BurstStore, who: str, remembered: str | None) -> bool:
    """False, and the ledger is under suspicion, if ``who`` remembers what is not in its log."""
    if remembered is None:
        return True
    try:
        head = AuditHead.parse(remembered)
    except ValueError:
        log.warning("witness.unreadable", witness=who, said=remembered[:100])
        return True
    if store.vouches(head):
        return True
    store.suspect(who, head)
    log.error("ledger.suspected", witness=who, head=str(head), ours=str(store.head()))
    return False


def keep_head(store: BurstStore, witness: Witness) -> None:
    """Let the witness beside the ledger remember how far it has come."""
    head = str(store.head())
    if witness.kept() != head:
        witness.keep(head)


@dataclass
class VouchedTarget(PassingTarget):
    """A target that is asked what it remembers before anything is changed there, and told the head
    before each start."""

    store: BurstStore
    site: str
    name: str
    clock: Clock
    _kept: AuditHead | None = field(default=None)  #: what it remembers; ``None``: not asked yet
    _trouble: tuple[float, Transient] | None = field(default=None)  #: since when it did not answer
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _vouch(self) -> None:
        with self._lock:
            if self._kept is not None:
                return
            if not vouch(self.store, self.name, self._remembered()):
                raise Transient(f"{self.name} remembers more than the ledger: burst status")
            self._keep()  # what it remembered of a branch that was given up is forgotten here

    def _remembered(self) -> str | None:
        """Of many that wait for a target that does not answer one waits as long as that takes."""
        now = self.clock.uptime().seconds
        if self._trouble is not None and 0 <= now - self._trouble[0] < QUIET:
            raise copy(self._trouble[1])
        self._trouble = None
        try:
            return self.target.mark(self.site)
        except Transient as error:
            self._trouble = (self.clock.uptime().seconds, error)
            raise

    def _keep_head(self) -> None:
        """Of many that start at once one tells it for all."""
        now = self.store.head()
        with self._lock:
            if self._kept is None or self._kept.seq < now.seq:
                self._keep()

    def _keep(self) -> None:
        head = self.store.head()
        self.target.keep_mark(self.site, str(head))
        self._kept = head

    def ticket(self, key: WorkKey, user: str, public_key: str) -> Ticket:
        self._vouch()
        return self.target.ticket(key, user, public_key)

    def submit(self, work: WorkOrder) -> RemoteId:
        self._vouch()
        return self.target.submit(work)

    def find(self, key: WorkKey) -> RemoteJob | None:
        self._vouch()  # it cancels duplicates
        return self.target.find(key)

    def start(self, key: WorkKey) -> None:
        self._vouch()
        self._keep_head()
        self.target.start(key)

    def cancel(self, key: WorkKey) -> None:
        self._vouch()
        self.target.cancel(key)

    def signal(self, key: WorkKey, name: str) -> None:
        self._vouch()
        self.target.signal(key, name)

    def clean(self, key: WorkKey, user: str) -> None:
        self._vouch()
        self.target.clean(key, user)

    def tidy(self) -> None:
        self._vouch()
        self.target.tidy()
