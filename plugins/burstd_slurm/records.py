"""What the far Slurm says of our work: ``squeue`` and ``sacct`` rows to ``RemoteJob``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from burstd.domain.targets import Outcome, RemoteId, RemoteJob, RemoteState, WorkKey

BAR = "|"
_SECONDS = re.compile(r"[0-9]{1,10}")  #: no job lasts for centuries
SQUEUE = "%i|%T|%r|%N|%j"
SACCT = "JobID,State,ExitCode,ElapsedRaw,NodeList,JobName"

_HELD = frozenset({"JobHeldUser", "JobHeldAdmin"})
_GOING = frozenset({"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STAGE_OUT", "SIGNALING"})
#: Final state -> how it ended where the exit code does not say. squeue(1), JOB STATE CODES.
_FINAL: Mapping[str, str] = {
    "COMPLETED": "exited",
    "FAILED": "exited",
    "OUT_OF_MEMORY": "signalled",
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "CANCELLED": "cancelled",
    "PREEMPTED": "lost",
    "NODE_FAIL": "lost",
    "BOOT_FAIL": "lost",
    "REVOKED": "lost",
}


@dataclass(frozen=True)
class Row:
    """One job under our key. ``outcome`` only where accounting proved the end."""

    id: int
    key: WorkKey
    state: RemoteState
    place: str
    outcome: Outcome | None = None

    @property
    def started(self) -> bool:
        if self.outcome is not None:  # a duplicate that was cancelled while it waited did not
            return self.outcome.reason != "cancelled" or self.outcome.elapsed > timedelta()
        return self.state is RemoteState.RUNNING


def queue_rows(text: str) -> list[Row]:
    """Rows of ``squeue -t all -o SQUEUE``; a line that can't be read is no row."""
    rows = []
    for line in text.splitlines():
        parts = line.split(BAR, 4)
        if len(parts) == 5 and parts[0].isdecimal():
            outcome = _UNSTARTED if (parts[1], parts[3]) == ("CANCELLED", "") else None
            state = RemoteState.ENDED if outcome else _queued(*parts[1:3])
            rows.append(Row(int(parts[0]), WorkKey(parts[4]), state, parts[3], outcome))
    return rows


#: Accounting never lists a job that was cancelled while it was held; without a node it never ran.
_UNSTARTED = Outcome("cancelled", detail="CANCELLED before it started")


def _queued(state: str, reason: str) -> RemoteState:
    if state == "PENDING":
        return RemoteState.HELD if reason in _HELD else RemoteState.QUEUED
    return RemoteState.RUNNING if state in _GOING else RemoteState.UNKNOWN


def accounting_rows(text: str) -> list[Row]:
    """Rows of ``sacct -P -X -n -o SACCT``; only final states are proof of anything."""
    rows = []
    for line in text.splitlines():
        parts = line.split(BAR, 5)
        if len(parts) == 6 and parts[0].isdecimal() and _SECONDS.fullmatch(parts[3]):
            outcome = _outcome(parts[1], parts[2], int(parts[3]))
            state = RemoteState.ENDED if outcome else RemoteState.UNKNOWN
            rows.append(Row(int(parts[0]), WorkKey(parts[5]), state, parts[4], outcome))
    return rows


def _outcome(state: str, exit_code: str, elapsed: int) -> Outcome | None:
    word = state.split()[0] if state else ""
    reason = _FINAL.get(word)
    if reason is None:
        return None
    code, _, signal = exit_code.partition(":")
    if not (code.isdecimal() and signal.isdecimal()):
        return None  # a state without its exit code proves nothing
    took = timedelta(seconds=elapsed)
    number = int(signal) or None
    if reason == "exited" and number:
        reason = "signalled"
    if reason == "exited":
        return Outcome(reason, exit_code=int(code), elapsed=took, detail=word)
    return Outcome(reason, signal=number, elapsed=took, detail=word)


def merge(live: Iterable[Row], past: Iterable[Row]) -> dict[WorkKey, list[Row]]:
    """One row per job: what the controller shows as going wins; an end needs accounting."""
    by_key: dict[WorkKey, dict[int, Row]] = defaultdict(dict)
    for row in past:
        by_key[row.key][row.id] = row
    for row in live:
        known = by_key[row.key].get(row.id)
        if row.state is not RemoteState.UNKNOWN or known is None:
            by_key[row.key][row.id] = row
    return {key: sorted(rows.values(), key=lambda r: r.id) for key, rows in by_key.items()}


def choose(rows: list[Row]) -> RemoteJob:
    """The one that started, else the oldest that still can, else the oldest."""
    waiting = (r for r in rows if r.state is not RemoteState.ENDED)
    row = next((r for r in rows if r.started), next(waiting, rows[0]))
    return RemoteJob(RemoteId(str(row.id)), row.key, row.state, row.outcome, row.place)


def spare(rows: list[Row], chosen: RemoteJob) -> list[Row]:
    """Duplicates that have not started: to be cancelled."""
    waiting = {RemoteState.HELD, RemoteState.QUEUED}
    return [r for r in rows if str(r.id) != chosen.id and r.state in waiting]
