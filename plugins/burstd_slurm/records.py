"""What the far Slurm says of our work: ``squeue`` and ``sacct`` rows to ``RemoteJob``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from burstd.domain.targets import Outcome, RemoteId, RemoteJob, RemoteState, WorkKey

BAR = "|"
_NUMBER = re.compile(r"[0-9]{1,10}")
_SECONDS = re.compile(r"[0-9]{1,10}")  #: no job lasts for centuries
SQUEUE = "%i|%T|%r|%N|%j"
SACCT = "JobID,State,ExitCode,ElapsedRaw,NodeList,JobName"

_SEVERAL = re.compile(r"[0-9]+[_+].*")  #: an array's or a heterogeneous job's: never one of ours
_NO_NODE = "None assigned"  #: sacct's NodeList of what never had one
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
#: States that are no end, and those that are. squeue(1), JOB STATE CODES.
_KNOWN = _GOING | _FINAL.keys() | {
    "PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "RESV_DEL_HOLD",
    "SPECIAL_EXIT", "STOPPED",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One job under our key. ``outcome`` only where accounting proved the end; ``remark``: what it
    says that we can't read."""

    id: int
    key: WorkKey
    state: RemoteState
    place: str
    outcome: Outcome | None = None
    remark: str = ""

    @property
    def started(self) -> bool:
        if self.outcome is not None:  # a duplicate that was cancelled while it waited did not
            return self.outcome.ran
        return self.state is RemoteState.RUNNING


@dataclass
class Reading:
    """An answer of the far end. ``garbled``: lines that are no row of ours, so that whoever is not
    among the rows is not proven to be absent."""

    rows: list[Row] = field(default_factory=list)
    garbled: list[str] = field(default_factory=list)

    def doubt(self, line: str) -> None:
        """It is no row, and may have been one."""
        if not _SEVERAL.fullmatch(line.partition(BAR)[0]):
            self.garbled.append(line)


def read_queue(text: str, keys: Collection[WorkKey]) -> Reading:
    """The answer of ``squeue -t all -o SQUEUE`` to the question for these keys."""
    found = Reading()
    for line in filter(None, text.split("\n")):
        parts = line.split(BAR, 4)
        if len(parts) < 5 or not _NUMBER.fullmatch(parts[0]) or parts[4] not in keys:
            found.doubt(line)
            continue
        number, word, reason, place, key = parts
        outcome = _UNSTARTED if (word, place) == ("CANCELLED", "") else None
        state = RemoteState.ENDED if outcome else _queued(word, reason)
        remark = "" if word in _KNOWN or outcome else f"state {shown(word)}"
        found.rows.append(Row(int(number), WorkKey(key), state, place, outcome, remark))
    return found


#: Accounting never lists a job that was cancelled while it was held; without a node it never ran.
_UNSTARTED = Outcome("cancelled", detail="CANCELLED before it started")


def _queued(state: str, reason: str) -> RemoteState:
    if state == "PENDING":
        return RemoteState.HELD if reason in _HELD else RemoteState.QUEUED
    return RemoteState.RUNNING if state in _GOING else RemoteState.UNKNOWN


def read_accounting(text: str, keys: Collection[WorkKey]) -> Reading:
    """The answer of ``sacct -P -X -n -o SACCT``; only final states are proof of anything."""
    found = Reading()
    for line in filter(None, text.split("\n")):
        parts = line.split(BAR, 5)
        whole = len(parts) == 6 and _NUMBER.fullmatch(parts[0]) and parts[5] in keys
        if not whole or not _SECONDS.fullmatch(parts[3]):
            found.doubt(line)
            continue
        number, word, code, elapsed, nodes, key = parts
        place = "" if nodes == _NO_NODE else nodes
        outcome = _outcome(word, code, int(elapsed))
        state = RemoteState.ENDED if outcome else RemoteState.UNKNOWN
        known = outcome or (word.split() or [""])[0] in _KNOWN - _FINAL.keys()
        remark = "" if known else f"{shown(word)} with exit code {shown(code)}"
        found.rows.append(Row(int(number), WorkKey(key), state, place, outcome, remark))
    return found


def shown(text: str) -> str:
    """A hostile word, for people: short and without anything that a terminal obeys."""
    return repr(text[:60].encode("ascii", "backslashreplace").decode())


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
    remark = row.remark if row.state is RemoteState.UNKNOWN else ""
    return RemoteJob(RemoteId(str(row.id)), row.key, row.state, row.outcome, row.place, remark)


def spare(rows: list[Row], chosen: RemoteJob) -> list[Row]:
    """Duplicates that have not started: to be cancelled."""
    waiting = {RemoteState.HELD, RemoteState.QUEUED}
    return [r for r in rows if str(r.id) != chosen.id and r.state in waiting]
