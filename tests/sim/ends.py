"""What must hold in the end, once nothing goes wrong any more."""

from __future__ import annotations

import re
from collections.abc import Iterator

from burstd.domain.burst import Stage
from burstd.domain.targets import RemoteState
from burstd.testing.agents import mark
from burstd.testing.slurm_jobs import OVER, SimulatedJob, key_text
from tests.sim.checker import Checker
from tests.sim.ledger import Row
from tests.sim.site import Site

_WAITS = "Dependency"  #: a reason


def users_finish(site: Site) -> None:
    """They let go what they hold and end what can never run."""
    for job in site.slurm.jobs:
        if job.reason == "JobHeldUser":
            site.slurm.unhold(key_text(job))
        if job.reason == "DependencyNeverSatisfied":
            _cancel(site, job)


def _cancel(site: Site, job: SimulatedJob) -> None:
    site.slurm.cancel(key_text(job))
    site.cancelled[mark(job)] = site.clock.now()


def all_is_over(site: Site, checker: Checker) -> bool:
    """True once there is nothing to wait for."""
    users_finish(site)
    return (
        not any(row.open and not _stuck(row) for row in checker.ledger.rows.values())
        and {mark(job) for job in site.slurm.jobs if job.state not in OVER}
        <= _stuck_jobs(site, checker)
        and not any(site.far())
    )


def judge(site: Site, checker: Checker) -> list[str]:
    """Everything that is wrong at the end."""
    return [
        violation
        for check in (_bursts, _jobs, _holds, _far_side, _results, _money)
        for violation in check(site, checker)
    ]


def _bursts(site: Site, checker: Checker) -> Iterator[str]:
    """21: each came to its end, and none needs a human."""
    for row in checker.ledger.rows.values():
        if row.open and not _stuck(row):
            yield f"21: burst {row.id} of {row.face[0]} is still {row.stage}: {row.cause}"


def _stuck(row: Row) -> bool:
    """A site whose own rules do not let a job go home: nobody but its administrators can help."""
    return row.stage == Stage.QUARANTINED.value and "Job rejected by the site's rules" in row.cause


def _stuck_jobs(site: Site, checker: Checker) -> set[str]:
    """Theirs, and whoever waits for one of them."""
    rows = [row for row in checker.ledger.rows.values() if _stuck(row)]
    found = {checker.owners.get(row.id, "") for row in rows}
    for job in site.slurm.jobs:
        awaited = re.findall(r":(\d+)", job.shown["Dependency"]) if job.reason == _WAITS else ()
        if any(mark(other) in found and str(other.job_id) in awaited for other in site.slurm.jobs):
            found.add(mark(job))
    return found


def _jobs(site: Site, checker: Checker) -> Iterator[str]:
    """21: no job is left, neither waiting nor as a stand-in."""
    for job in site.slurm.jobs:
        if job.state not in OVER and mark(job) not in _stuck_jobs(site, checker):
            yield (
                f"21: {mark(job)} ({key_text(job)}) is {job.state} ({job.reason}) in "
                f"{job.shown['Partition']}"
            )


def _holds(site: Site, checker: Checker) -> Iterator[str]:
    """21: no hold is left."""
    for job in site.slurm.jobs:
        if job.held and job.state not in OVER and mark(job) not in _stuck_jobs(site, checker):
            yield f"21: {mark(job)} ({key_text(job)}) is held: {job.reason}"


def _far_side(site: Site, checker: Checker) -> Iterator[str]:
    """22: no work, no run directory, no link."""
    for work in site.target.work.values():
        if work.job.state is not RemoteState.ENDED:
            yield f"22: {work.job.key} is {work.job.state.value} at the far end"
    stuck = _stuck_jobs(site, checker)
    kept = {row.key for row in checker.ledger.rows.values() if row.remains}
    for key, name in site.target.runs.items():
        if name in stuck or key in kept:
            continue
        yield f"22: the run directory of {key} is left"
    if site.link.up:
        yield "22: the link is up"


def _results(site: Site, checker: Checker) -> Iterator[str]:
    """2 and the user's view: each job ended as its payload did, once."""
    last = {mark(job): job for job in site.slurm.accounting.values()}
    for name, job in last.items():
        if job.state not in OVER:
            continue
        ends = [end for end in site.ends if end.mark == name]
        may = 1 + site.forgiven.get(name, 0)
        may += sum(end.where in site.target.forgotten for end in ends if name in site.requeued)
        if len(ends) > may and name not in site.moved:
            yield f"2: {name} came to its end {len(ends)} times: {ends}"
        allowed = _allowed(site, checker, name)
        shown = (job.state, 0 if job.state == "CANCELLED" else job.exit_code)
        if shown not in allowed:
            told = f"{job.state} {job.exit_code}:{job.signal}"
            yield f"result: {name} is {told} in Slurm, may be {sorted(allowed)}; {ends}"


def _allowed(site: Site, checker: Checker, name: str) -> set[tuple[str, int]]:
    """The final states, with exit codes, that tell the user the truth."""
    allowed = {
        ("FAILED" if end.code else "COMPLETED", end.code)
        for end in [end for end in site.ends if end.mark == name][-1:]
    }
    keys = {f"b-{burst}" for burst, owner in checker.owners.items() if owner == name}
    twins = [work.job for work in site.target.work.values() if work.job.key in keys]
    lost = any(t.outcome and t.outcome.reason == "lost" for t in twins)
    if name in site.struck or lost or keys & site.target.forgotten.keys():
        allowed.add(("FAILED", 1))
    if name in site.uncancelled:  # burstd has heard of it, or the agent, and slurmctld has not
        allowed |= {("FAILED", 0), ("FAILED", 1)}
    if name in site.cancelled or name in site.doomed:
        allowed.add(("CANCELLED", 0))
    if checker.starts[name]:
        allowed.add(("NODE_FAIL", 0))
    return allowed


def _money(site: Site, checker: Checker) -> Iterator[str]:
    """12: what was settled is what the far end was used for, and no more than was promised."""
    for row in checker.ledger.rows.values():
        works = [w for w in site.target.work.values() if w.job.key == row.key]
        hours = sum(
            w.order.shape.cpus * w.job.outcome.elapsed.total_seconds() / 3600
            for w in works
            if w.job.outcome is not None
        )
        true = hours * float(site.target.price)
        settled = float(row.cost or 0)
        wrong = abs(settled - true) > 0.0002
        if row.key in site.target.forgotten:  # nobody there can tell for how long it ran
            wrong = not true - 0.0002 <= settled <= float(row.reserved) + 0.0002
        if row.stage == Stage.SETTLED.value and wrong:
            yield f"12: burst {row.id} cost {true:.4f}, settled {row.cost}"
        if true > float(row.reserved) + 0.0002:
            yield f"12: burst {row.id} cost {true:.4f}, reserved {row.reserved}"
