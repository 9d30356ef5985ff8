"""One turn of the daemon: look, decide, write it down, then act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

import structlog

from burstd.core import script
from burstd.core.candidates import needs_script
from burstd.core.decide import acts, decide
from burstd.core.explain import departures
from burstd.core.lifecycle import IllegalTransition, advance
from burstd.core.retries import is_due, next_due
from burstd.domain import events as ev
from burstd.domain.burst import Burst, BurstId, Stage
from burstd.domain.decision import Decision
from burstd.domain.events import Event
from burstd.domain.jobs import JobIdentity, QueuedJob, QueueSnapshot
from burstd.domain.plan import Plan, ScriptFacts, Snapshot
from burstd.domain.policy import Ledger
from burstd.domain.requests import ALL, RequestKind
from burstd.domain.targets import TargetName, WorkKey
from burstd.ports.errors import AccessDenied, Permanent, PortError, Transient
from burstd.ports.store import StaleBurst
from burstd.shell.calendar import closed
from burstd.shell.estimates import Estimates
from burstd.shell.licences import look_at, unseen
from burstd.shell.past import Past
from burstd.shell.requests import ask_back, cancel_asked
from burstd.shell.sight import Sight, take_sight
from burstd.shell.steps import STEPS, Step
from burstd.shell.undisturbed import undisturbed
from burstd.shell.vouched import keep_head, vouch
from burstd.shell.wishes import send_home
from burstd.shell.world import World

log = structlog.get_logger()

#: Scripts read in one tick: one call to the controller each, so a bound.
SCRIPTS_PER_TICK = 100
UNREAD_PER_TICK = 3  #: that may fail: a controller that is away costs each of them its patience
BESIDE = "the file beside the ledger"


@dataclass
class Memory:
    """What a tick keeps for the next one; losing it costs a few reads, nothing else."""

    scripts: dict[JobIdentity, ScriptFacts] = field(default_factory=dict)
    unread: set[JobIdentity] = field(default_factory=set)  #: those whose script could not be
    plan: Plan | None = None
    snapshot: Snapshot | None = None  #: what the plan was made from
    queue: QueueSnapshot | None = None
    past: Past = field(default_factory=Past)
    estimates: Estimates = field(default_factory=Estimates)
    lost_since: dict[BurstId, float] = field(default_factory=dict)
    #: What the targets said of our work this time that nobody can read, and how often so far.
    unreadable: dict[WorkKey, str] = field(default_factory=dict)
    unreadable_total: Counter[TargetName] = field(default_factory=Counter)

    def apart(self) -> Memory:
        """For a look beside the daemon's own, in another thread: accounting is not asked again."""
        return Memory(scripts=dict(self.scripts), past=self.past, estimates=self.estimates)

    def doubts(self, sight: Sight, bursts: Iterable[Burst]) -> None:
        """Keep what could not be read, for people and dashboards; no step looks at it."""
        remarks = {key: job.remark for key, job in sight.remote.items() if job.remark}
        self.unreadable = remarks
        self.unreadable_total.update(b.target for b in bursts if b.work_key in remarks)


Drivers = Callable[[Callable[[Burst], None], Iterable[Burst]], None]


def one_by_one(drive_one: Callable[[Burst], None], bursts: Iterable[Burst]) -> None:
    """Drive bursts in order, in this thread."""
    for burst in bursts:
        drive_one(burst)


def pooled(pool: ThreadPoolExecutor) -> Drivers:
    """Drive bursts at once, as many as the pool has threads."""

    def drivers(drive_one: Callable[[Burst], None], bursts: Iterable[Burst]) -> None:
        driven = [pool.submit(drive_one, burst) for burst in bursts]
        wait(driven)  # whatever happens with one: no two ticks drive at once
        for done in driven:
            done.result()

    return drivers


def tick(world: World, memory: Memory, drivers: Drivers = one_by_one) -> Plan | None:
    """A crash between any two lines is safe. Without a view of the queue nothing is decided,
    but open bursts go on. With a ledger that is older than what is remembered of it nothing is
    done at all."""
    with world.paying:  # nothing else is paid between the look into the purse and the promises
        ledger = world.store.ledger()
        snapshot = look(world, memory, ledger)
        if ledger.suspect or not vouch(world.store, BESIDE, world.witness.kept()):
            log.error("ledger.distrusted", cause=ledger.suspect)
            memory.queue = snapshot.queue if snapshot else memory.queue
            return None
        plan = None if snapshot is None else _decided(snapshot, world, memory, ledger)
    queue = snapshot.queue if snapshot else None
    sight = take_sight(world, queue, memory.lost_since, frozen=bool(ledger.frozen))
    memory.doubts(sight, world.store.open_bursts())
    cancel_asked(world, sight)
    drivers(lambda burst: drive(burst, world, sight), world.store.open_bursts())
    keep_head(world.store, world.witness)
    return plan


def _decided(snapshot: Snapshot, world: World, memory: Memory, ledger: Ledger) -> Plan | None:
    """A fault in deciding stops no burst that is under way."""
    try:
        return decided(snapshot, world, memory, ledger)
    except PortError:
        raise
    except Exception:
        log.exception("plan.broken")
        return None


def decided(snapshot: Snapshot, world: World, memory: Memory, ledger: Ledger) -> Plan:
    """The plan of this moment, written down."""
    with undisturbed():
        plan = decide(snapshot, world.policy, ledger)
    memory.plan, memory.snapshot, memory.queue = plan, snapshot, snapshot.queue
    if world.policy.veto:
        memory.estimates.hear(snapshot, world.policy)
    if acts(world.policy):
        with undisturbed():
            why = departures(snapshot, world.policy, ledger, plan)
        world.store.record(plan, why)
        send_home(plan, world, ledger)
        ask_back(world, ledger)
    else:
        world.store.note(plan)
    keep(Decision(snapshot, world.policy, ledger, plan), world)
    log.info("plan.decided", **summary(plan))
    return plan


def look(world: World, memory: Memory, ledger: Ledger) -> Snapshot | None:
    """See the whole queue and what the targets offer, or nothing: never decide on half a view."""
    try:
        with undisturbed():
            queue = world.queue.observe()
        targets = tuple(site.target.observe() for site in world.sites.values())
        known = {job.identity for job in queue.jobs}
        memory.scripts = {who: f for who, f in memory.scripts.items() if who in known}
        # After the queue: what a job has taken meanwhile is counted twice rather than not at all.
        licences = look_at(world.licences)
        if causes := unseen(licences.values()):
            log.warning("licences.unseen", causes=causes)
        snapshot = Snapshot(
            queue,
            targets,
            memory.scripts,
            usage=memory.past.usage(world.queue, world.clock, world.policy.history),
            closed=closed(world.policy, queue.taken_at),
            licences=licences,
            accuracy=memory.estimates.accuracy(),
        )
    except PortError as error:
        log.warning("queue.unreadable", cause=str(error))
        return None
    read_scripts(needs_script(snapshot, world.policy, ledger), world, memory)
    return snapshot


def read_scripts(jobs: Iterable[QueuedJob], world: World, memory: Memory) -> None:
    """Of some of them. One that can't be read keeps its job here and no other: next time it is
    tried after all that have not been. Of several that can't the controller is the cause."""
    wanted = [job.identity for job in jobs]
    memory.unread &= set(wanted)
    failed = 0
    for who in sorted(wanted, key=memory.unread.__contains__)[:SCRIPTS_PER_TICK]:
        try:
            memory.scripts[who] = _read(who, world)
            memory.unread.discard(who)
        except PortError as error:
            memory.unread.add(who)
            failed += 1
            log.warning("script.unread", job=str(who.key), cause=str(error))
            if failed == UNREAD_PER_TICK:
                return


def _read(who: JobIdentity, world: World) -> ScriptFacts:
    found = script.facts(world.queue.script(who), world.applications.values())
    if found.application is None:
        return found  # it stays, whatever else it asks for
    return replace(found, shape=world.queue.shape(who))


def keep(decision: Decision, world: World) -> None:
    """For those who ask later. One that can't be kept holds up nothing."""
    if world.decisions is None:
        return
    try:
        world.decisions.keep(decision)
    except PortError as error:
        log.warning("decision.lost", cause=str(error))


def summary(plan: Plan) -> dict[str, object]:
    """The plan in one log line."""
    return {
        "backlog_core_hours": round(plan.backlog, 3),
        "surging": bool(plan.surging),
        "pressures": sorted(plan.surging),
        "placed": len(plan.placements),
        "declined": len(plan.declined),
    }


def drive(burst: Burst, world: World, sight: Sight, steps: Mapping[Stage, Step] = STEPS) -> None:
    """Take one burst as far as it will go now, one journalled event at a time."""
    with structlog.contextvars.bound_contextvars(
        burst_id=burst.id, job=str(burst.job), target=burst.target
    ):
        try:
            while not burst.stage.at_rest and not _waits(burst, world):
                event = next_event(burst, world, sight, steps)
                if event is None:
                    return
                burst = move(burst, event, world, sight.heard(burst))
        except StaleBurst:
            log.warning("burst.stale")
        except IllegalTransition as error:
            log.exception("burst.broken")
            move(burst, ev.Broken(cause=str(error)), world)
        except Transient as error:  # the store itself has no room: nothing was recorded
            log.warning("burst.parked", cause=str(error))
        except PortError:
            raise
        except Exception as error:  # of this burst: the others go on
            log.exception("burst.broken")
            move(burst, ev.Broken(cause=repr(error)), world)


def move(burst: Burst, event: Event, world: World, heard: Collection[RequestKind] = ALL) -> Burst:
    """Write the event down; from here on the burst is where the event puts it. ``heard``: what is
    asked of it, as far as the event takes that into account."""
    after = world.store.append(burst, event, advance(burst, event), heard)
    if after.stage is burst.stage:
        log.info("burst.waiting", stage=after.stage.value, cause=after.cause)
    else:
        log.info(
            "burst.moved",
            stage=after.stage.value,
            was=burst.stage.value,
            on=type(event).__name__,
            cause=after.cause,
        )
    world.moved(burst.job)
    return after


def _waits(burst: Burst, world: World) -> bool:
    return not is_due(burst.due_at, world.clock.now())


def next_event(
    burst: Burst, world: World, sight: Sight, steps: Mapping[Stage, Step]
) -> Event | None:
    """Run the stage's step; turn whatever comes out of it into an event."""
    step = steps.get(burst.stage)
    if step is None:
        return ev.Begun()
    try:
        return step(burst, world, sight)
    except Transient as error:
        due = next_due(world.clock.now(), burst.attempt, burst.stage, error.retry_after)
        return ev.Deferred(due, cause=f"{type(error).__name__}: {error}")
    except Permanent as error:
        cause = f"{type(error).__name__}: {error}"
        if isinstance(error, AccessDenied) and burst.claim is not None:
            # Something may be there. That our rights ran out says nothing of it: wait for new ones.
            return ev.Deferred(next_due(world.clock.now(), burst.attempt, burst.stage), cause)
        return ev.Refused(cause)
    except Exception as error:
        log.exception("burst.broken")
        return ev.Broken(cause=repr(error))
