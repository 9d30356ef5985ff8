"""The invariants, one function each. Pure: evidence in, violations in words out.

The numbers are those of the failure model: 1-11 safety, 12 money, 18 the ledger, 21-24 liveness.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from burstd.core.audit import BrokenChain, verify
from burstd.core.lifecycle import TRANSITIONS, History
from burstd.domain.burst import Stage
from lab.oracle.evidence import FAR_NODES, ONPREM_NODES, Errand, Evidence, Life, Word

CANCEL_BOUND = 60.0  #: seconds from scancel to the twin's end, with the link up
SLACK = 1.0  #: seconds: sacct rounds, and both ends of an interval may fall into one
#: What others write into a job's output: burstd's remarks, and Slurm's own word on a scancel.
NOT_THE_PAYLOADS = ("burstd: ", "slurmstepd-", "slurmstepd: ")

Check = Callable[[Evidence], Iterator[str]]


@dataclass(frozen=True)
class Finding:
    """One invariant that does not hold."""

    invariant: str
    violations: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.invariant}: {'; '.join(self.violations)}"


def judge(evidence: Evidence, *, settled: bool = True) -> list[Finding]:
    """Every invariant that is violated. `settled`: faults are over and burstd had its time, so
    what must be reached in the end counts too."""
    checks = {**SAFETY, **(LIVENESS if settled else {})}
    found = ((name, tuple(check(evidence))) for name, check in checks.items())
    return [Finding(name, wrong) for name, wrong in found if wrong]


# --- executions


def one_at_a_time(e: Evidence) -> Iterator[str]:
    """1: by the payloads' own witness, then by both schedulers."""
    for job, runs in _executions(e).items():
        spans = sorted((_span(words), name) for name, words in runs.items())
        for ((_, end), one), ((start, _), two) in pairwise(spans):
            if start < end:
                yield f"{job}: execution {two} began before {one} ended"
    for errand_key, lives in _lives(e).items():
        for life, later in pairwise(sorted(lives, key=lambda life: life.start)):
            if later.start < (life.end or float("inf")) - SLACK:
                yield f"{errand_key}: runs as {life.name} on {life.nodes} and as {later.name}"


def starts_as_often_as_allowed(e: Evidence) -> Iterator[str]:
    """2a: no payload starts again that ran to its end; none starts more often than it may."""
    runs = _executions(e)
    for errand in e.errands:
        of_it = runs.get(errand.name, {})
        if len(of_it) > errand.starts:
            yield f"{errand.name} started {len(of_it)} times, may {errand.starts}"
        ends = sorted(w.at for words in of_it.values() for w in words if w.word == "end")
        began = [words[0].at for words in of_it.values()]
        if ends and any(at > ends[0] for at in began):
            yield f"{errand.name} started again after it had come to its end"


def one_run_per_twin(e: Evidence) -> Iterator[str]:
    """2b: of all far jobs of one name at most one was ever on a node."""
    ran = Counter(life.name for life in e.far if life.name.startswith("b-") and life.ran)
    for name, count in ran.items():
        if count > 1:
            yield f"{name} was on a node {count} times"


def here_or_there(e: Evidence) -> Iterator[str]:
    """3: a job that ran away was not also run at home, unless its twin never came to its end."""
    for key, lives in _lives(e).items():
        home = [life for life in lives if set(life.nodes) & ONPREM_NODES]
        away = [life for life in lives if set(life.nodes) & FAR_NODES]
        for twin in away:
            if twin.state == "COMPLETED" and home:
                yield f"{key} ran on {home[0].nodes} and, to its end, as {twin.name}"


def only_known_twins(e: Evidence) -> Iterator[str]:
    """4: no far job of ours without a row in the ledger."""
    for name in {life.name for life in e.far} | {job.name for job in e.far_queue}:
        if name.startswith("b-") and e.burst_of(name) is None:
            yield f"{name} is in no ledger"


def right_ends(e: Evidence) -> Iterator[str]:
    """5 and the user's view: each job, a stranger's too, ended once and as it must."""
    last = _last_lives(e)
    for errand in e.errands:
        lives = [life for life in e.onprem if life.key == errand.key]
        ended = [life for life in lives if life.end and not _between(life, lives)]
        life = last.get(errand.key)
        if life is None:
            yield f"{errand.name} ({errand.key}) is not in sacct"
        elif len(ended) != 1:
            states = [life.state for life in lives]
            yield f"{errand.name} ({errand.key}) has {len(ended)} ends: {states}"
        elif not _allowed(errand, life):
            yield f"{errand.name} ({errand.key}) ended {life.state} {life.exit_code}"


def right_place(e: Evidence) -> Iterator[str]:
    """The payload ran where the errand says."""
    for errand in e.errands:
        for words in _executions(e).get(errand.name, {}).values():
            host = words[0].host
            place = "onprem" if host in ONPREM_NODES else "cloud" if host in FAR_NODES else host
            if place not in errand.where:
                yield f"{errand.name} ran on {host}"


def came_to_its_end(e: Evidence) -> Iterator[str]:
    """2c: exactly one execution of each came to its end."""
    for errand in e.errands:
        runs = _executions(e).get(errand.name, {})
        ends = sum(word.word == "end" for words in runs.values() for word in words)
        if errand.completes and ends != 1:
            yield f"{errand.name} came to its end {ends} times"


# --- files


def results_are_whole(e: Evidence) -> Iterator[str]:
    """7: bytes, mode and time of every result are those that the payload wrote."""
    for errand in e.errands:
        for path, right in errand.files.items():
            seen = e.homes.get(path)
            if seen is None:
                yield f"{path} is missing"
            elif path in errand.keeps:
                continue
            elif seen != right:
                words = [
                    f"{name} {getattr(seen, name)!s:.12} not {getattr(right, name)!s:.12}"
                    for name in ("sha256", "mode", "mtime", "uid")
                    if getattr(seen, name) != getattr(right, name)
                ]
                yield f"{path}: {', '.join(words)}"


def output_is_once(e: Evidence) -> Iterator[str]:
    """7b: standard output has each of the payload's lines once, in order."""
    for errand in e.errands:
        if errand.lines:
            said = e.outputs.get(errand.name, ())
            seen = [line for line in said if not line.startswith(NOT_THE_PAYLOADS)]
            if tuple(seen) != errand.lines:
                yield f"{errand.output} says {seen!r:.200}"


def never_partial(e: Evidence) -> Iterator[str]:
    """8: at no instant that anybody saw."""
    yield from e.glimpses


def nothing_elsewhere(e: Evidence) -> Iterator[str]:
    """9: no file that nobody expects, no foreign owner, no special bits."""
    for path, seen in e.homes.items():
        if seen.uid not in (1001, 1002):
            yield f"{path} belongs to {seen.uid}"
        if seen.mode & 0o7000:
            yield f"{path} has mode {seen.mode:o}"
        if e.known and path not in e.known:
            yield f"{path} is nobody's"


def changes_are_kept(e: Evidence) -> Iterator[str]:
    """10: what the user changed meanwhile is as he left it."""
    for errand in e.errands:
        for path in errand.keeps:
            seen = e.homes.get(path)
            if seen is None or seen.sha256 != errand.files[path].sha256:
                yield f"{path} was overwritten"


def far_copy_until_landed(e: Evidence) -> Iterator[str]:
    """11: a run directory vanished only after its results were at home, where they are its own:
    a job that was requeued has made them at home."""
    runs = _executions(e)
    for errand in e.errands:
        words = [word for run in runs.get(errand.name, {}).values() for word in run]
        if any(word.word == "end" and word.host in ONPREM_NODES for word in words):
            continue
        for row in (row for row in e.rows if row.job == errand.key):
            vanished = e.gone.get(f"b-{row.id}")
            if vanished is None or row.stage == Stage.RETURNED.value:
                continue
            for path in errand.files:
                if path not in errand.keeps and e.landed.get(path, vanished) > vanished + SLACK:
                    yield f"{path} was landed after its far copy was gone"


# --- money and the ledger


def within_budget(e: Evidence) -> Iterator[str]:
    """12."""
    spent = sum(row.cost or 0.0 for row in e.rows)
    reserved = sum(row.reserved for row in e.rows if row.open)
    if e.budget and spent + reserved > e.budget:
        yield f"{spent:.4f} spent and {reserved:.4f} reserved of {e.budget:.4f}"
    for row in e.rows:
        if row.cost is not None and row.cost > row.reserved:
            yield f"burst {row.id} cost {row.cost} of {row.reserved} reserved"


def audit_is_whole(e: Evidence) -> Iterator[str]:
    """17: a dense chain."""
    try:
        verify(e.audit)
    except BrokenChain as error:
        yield str(error)


def along_the_table(e: Evidence) -> Iterator[str]:
    """18: every move of the ledger is a row of the table, and none is missing."""
    for burst, story in _stories(e).items():
        for one, two in pairwise(sorted(story, key=lambda move: move.version)):
            if two.version != one.version + 1:
                yield f"burst {burst}: version {two.version} follows {one.version}"
            row = {event.__name__: to for event, to in TRANSITIONS[Stage(one.stage)].items()}
            if two.event == "Deferred" and two.stage == one.stage:
                continue
            to = row.get(two.event)
            if not isinstance(to, History) and (to is None or to.value != two.stage):
                yield f"burst {burst}: {one.stage} to {two.stage} on {two.event}"


def no_human_needed(e: Evidence) -> Iterator[str]:
    """None of these faults is one that only a human can judge."""
    for row in e.rows:
        if row.stage == Stage.QUARANTINED.value:
            yield f"burst {row.id} of job {row.job} is quarantined"


# --- in the end


def all_is_over(e: Evidence) -> Iterator[str]:
    """21a: every burst is closed, no job waits."""
    yield from (f"burst {row.id} of job {row.job} is {row.stage}" for row in e.rows if row.open)
    yield from (f"job {job.key} is {job.state} ({job.reason})" for job in e.queue)


def no_hold_left(e: Evidence) -> Iterator[str]:
    """21b."""
    for job in e.queue:
        if job.reason.startswith("JobHeld") or "held" in job.reason:
            yield f"job {job.key} is held: {job.reason}"


def nothing_left(e: Evidence) -> Iterator[str]:
    """22: no far job, run directory, process, interface or temporary file. Of a job that was
    cancelled, Slurm may have ended the stand-in before its results were home: they stay."""
    cancelled = {errand.key for errand in e.errands if errand.cancelled_at is not None}
    kept = {f"b-{row.id}" for row in e.rows if row.remains and row.job in cancelled}
    yield from (f"far job {job.key} {job.name} is {job.state}" for job in e.far_queue)
    yield from (f"run directory {name}" for name in e.runs if name not in kept)
    yield from e.left


def cancelled_in_time(e: Evidence) -> Iterator[str]:
    """23."""
    for errand in e.errands:
        if errand.cancelled_at is None:
            continue
        twins = {f"b-{row.id}" for row in e.rows if row.job == errand.key}
        for life in e.far:
            if life.name in twins and life.ran:
                late = (life.end or float("inf")) - errand.cancelled_at
                if late > CANCEL_BOUND:
                    yield f"{errand.name}: its twin ended {late:.0f} s after scancel"


_BETWEEN = frozenset({"REQUEUED", "PENDING", "RUNNING"})


def _between(life: Life, lives: list[Life]) -> bool:
    """Not the job's end: one that lost its node was requeued if another life follows."""
    requeued = life.state == "NODE_FAIL" and any(other.submit > life.submit for other in lives)
    return requeued or life.state in _BETWEEN


SAFETY: dict[str, Check] = {
    "1 one live execution": one_at_a_time,
    "2 no start too many": starts_as_often_as_allowed,
    "2 one run per twin": one_run_per_twin,
    "3 here or there": here_or_there,
    "4 no twin without a row": only_known_twins,
    "8 never partial": never_partial,
    "9 nothing elsewhere": nothing_elsewhere,
    "10 changes are kept": changes_are_kept,
    "11 far copy until landed": far_copy_until_landed,
    "12 within budget": within_budget,
    "17 audit is whole": audit_is_whole,
    "18 along the table": along_the_table,
    "no human needed": no_human_needed,
}
LIVENESS: dict[str, Check] = {
    "2 one end of each payload": came_to_its_end,
    "5 right ends in sacct": right_ends,
    "6 right place": right_place,
    "7 results are whole": results_are_whole,
    "7 output is once": output_is_once,
    "21 all is over": all_is_over,
    "21 no hold left": no_hold_left,
    "22 nothing left": nothing_left,
    "23 cancelled in time": cancelled_in_time,
}


@dataclass(frozen=True)
class _Move:
    """One event of one burst, as the audit log tells it."""

    version: int
    event: str
    stage: str


def _stories(e: Evidence) -> dict[str, list[_Move]]:
    found = defaultdict(list)
    for record in e.audit:
        kind, _, event = record.action.partition(".")
        if kind == "burst":
            version, stage = record.detail["version"], str(record.detail["stage"])
            found[record.subject].append(_Move(int(str(version)), event, stage))
    return found


def _executions(e: Evidence) -> dict[str, dict[str, list[Word]]]:
    """job -> execution -> its words, oldest first."""
    found: dict[str, dict[str, list[Word]]] = defaultdict(lambda: defaultdict(list))
    for word in sorted(set(e.words), key=lambda w: w.at):
        found[word.job][word.execution].append(word)
    return found


def _span(words: list[Word]) -> tuple[float, float]:
    """From the first word to the last: one that never said its end may have died at any time."""
    return words[0].at, words[-1].at


def _lives(e: Evidence) -> dict[str, list[Life]]:
    """on-prem job -> all that ran for it, at home and away; stand-ins are no executions."""
    found: dict[str, list[Life]] = defaultdict(list)
    for life in e.onprem:
        if life.ran and set(life.nodes) & ONPREM_NODES:
            found[life.key].append(life)
    for life in e.far:
        row = e.burst_of(life.name)
        if row is not None and life.ran:
            found[row.job].append(life)
    return found


def _last_lives(e: Evidence) -> dict[str, Life]:
    return {life.key: life for life in sorted(e.onprem, key=lambda life: life.submit)}


def _allowed(errand: Errand, life: Life) -> bool:
    return any(state == life.state and code in ("*", life.exit_code) for state, code in errand.ends)
