"""How a burst's job stands on-prem, and what it means for the burst."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from burstd.domain import events as ev
from burstd.domain.audit import DAEMON
from burstd.domain.burst import Burst, Stage
from burstd.domain.events import Event
from burstd.domain.jobs import JobSight, JobState
from burstd.domain.policy import Mode
from burstd.domain.requests import RequestKind
from burstd.shell.marks import mark
from burstd.shell.sight import Sight
from burstd.shell.world import World

HOME = "it is in its own partition again: its claim was lost or lifted"


def stopped(burst: Burst, seen: JobSight, world: World, sight: Sight) -> Event | None:
    """The job ended, or Slurm has lost it for good, or its id belongs to someone else now."""
    if seen.identity is not None and not seen.is_job(burst.identity):
        return ev.Recalled(f"job {burst.job} is gone and its id was given to another job")
    if seen.state.over:
        return ev.Recalled(f"job {burst.job} is {seen.state.value} on-prem")
    if given_up(burst, seen, world, sight):
        return ev.Recalled(f"job {burst.job} is lost: neither slurmctld nor accounting knows it")
    return None


def given_up(burst: Burst, seen: JobSight, world: World, sight: Sight) -> bool:
    """Slurm has lost it. Whoever restores a controller's state brings its jobs back: so not at
    once."""
    if seen.state is not JobState.LOST:
        sight.lost_since.pop(burst.id, None)
        return False
    now = world.clock.uptime().seconds
    since = sight.lost_since.setdefault(burst.id, now)
    return now - since >= world.policy.lost_after.total_seconds()


def bring_back(burst: Burst, seen: JobSight, world: World) -> None:
    """What is left to do for a stand-in that Slurm has requeued (its node went away); one that
    somebody holds is left alone. One that can never start is for a human."""
    parked = seen.is_job(burst.identity) and seen.partition == world.policy.burst_partition
    waits = seen.state is JobState.PENDING and not seen.held
    if parked and waits and burst.record is not None:
        world.queue.park(burst.record, mark(burst, world.policy.currency))


def stands_in(burst: Burst, seen: JobSight, world: World) -> bool:
    """Its stand-in runs."""
    return (
        seen.is_job(burst.identity)
        and seen.state is JobState.RUNNING
        and seen.partition == world.policy.burst_partition
    )


def at_home(burst: Burst, seen: JobSight, world: World) -> bool:
    """It pends or runs in its own partition."""
    return (
        seen.is_job(burst.identity)
        and seen.state in {JobState.PENDING, JobState.RUNNING}
        and seen.partition not in {"", world.policy.burst_partition}
    )


def changed(burst: Burst, world: World, sight: Sight) -> bool:
    """The queue no longer shows the stand-in as it was: time to look closer, no more."""
    line = sight.lines.get(burst.job)
    if line is None:
        return sight.missing(burst.job)
    # The same id with another face: a renamed or requeued job, or a stranger's.
    return (
        replace(line.identity, key=burst.job) != burst.identity
        or line.state is JobState.COMPLETING
        or line.partition != world.policy.burst_partition
    )


def recall_reported(burst: Burst, world: World) -> bool:
    """Its agent got TERM."""
    return "recalled" in world.store.said(burst.id)


def being_ended(burst: Burst, seen: JobSight, world: World) -> Event | None:
    """Its stand-in got TERM, and stays for what there is to bring home."""
    if seen.state is not JobState.COMPLETING or not recall_reported(burst, world):
        return None
    return ev.Recalled(f"job {burst.job} is being ended on-prem")


def begins_anew(burst: Burst, seen: JobSight, world: World) -> bool:
    """Its user has requeued it (``scontrol requeue``): its twin was stopped for that, and it waits,
    or already runs, once more. It goes home, and runs from its beginning."""
    stopped_for_it = burst.outcome is not None and burst.outcome.reason == "cancelled"
    again = seen.is_job(burst.identity) and seen.state in {JobState.PENDING, JobState.RUNNING}
    if not (stopped_for_it and again and recall_reported(burst, world)):
        return False
    # Its agent got TERM in this life: one that lives on was not requeued.
    life = world.store.reports(burst.id, "recalled")["recalled"].body.get("restarts")
    return not isinstance(life, int) or seen.restarts > life


def own_code(burst: Burst, world: World) -> int | None:
    """What the agent found in the end record; it is its user's word on its user's job."""
    if burst.outcome is None or "staged_out" not in world.store.said(burst.id):
        return None
    code = world.store.reports(burst.id, "staged_out")["staged_out"].body.get("exit_code")
    return code if isinstance(code, int) and 0 <= code <= 255 else None


def recalled(
    burst: Burst, world: World, sight: Sight, *, home: Callable[[str], Event] = ev.Refused
) -> Event | None:
    """Look closer when the queue no longer shows the stand-in or its agent got TERM. ``home``: what
    it means that the job is in its own partition again: its user has put it there, or a crash."""
    reported = recall_reported(burst, world)
    if not (changed(burst, world, sight) or reported):
        return None
    seen = world.queue.look(burst.identity)
    if (end := being_ended(burst, seen, world)) is not None:
        return end
    if at_home(burst, seen, world):
        return home(HOME)
    bring_back(burst, seen, world)
    return stopped(burst, seen, world, sight)


def is_proposal(burst: Burst, world: World, sight: Sight) -> bool:
    """Nothing is touched before an operator has approved it, nor while burstd only observes; while
    it is frozen only what one has approved."""
    mode = world.policy.mode
    if burst.stage is not Stage.PLANNED or mode is Mode.OBSERVE:
        return burst.stage is Stage.PLANNED
    asks = mode is Mode.APPROVE or sight.frozen
    return asks and sight.asked(burst, RequestKind.APPROVE) is None


def withdrawn(burst: Burst, sight: Sight) -> Event | None:
    """A proposal for a job that waits no more is none."""
    line = sight.lines.get(burst.job)
    if sight.queue is None or (line is not None and line.state is JobState.PENDING):
        return None
    return ev.Refused("it did not wait any more before anybody approved that it leaves")


def asked_back(burst: Burst, sight: Sight) -> Event | None:
    """Somebody wants the job to run at home."""
    request = sight.asked(burst, RequestKind.RETURN)
    if request is None:
        return None
    return ev.Refused(str(request), asked_back=request.by != DAEMON)


def unwanted(burst: Burst, world: World, sight: Sight) -> Event | None:
    """Whatever keeps a burst that has not started from going on."""
    return recalled(burst, world, sight) or asked_back(burst, sight)
