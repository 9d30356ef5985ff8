"""One step per stage that acts: cause the effect, or learn that it already happened.

A step returns the event that it has evidence for, or ``None``: nothing new, look again next tick.
Steps learn before they do, so that a crash at any point is repaired by running them again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from burstd.core import script
from burstd.core.barrier import Durability, durability
from burstd.core.money import taken, worst_case
from burstd.core.orders import checkpointed
from burstd.core.place import too_large
from burstd.core.still import objection
from burstd.domain import events as ev
from burstd.domain.burst import Burst, Epoch, Stage, Uptime
from burstd.domain.events import Event
from burstd.domain.jobs import JobRecord, JobSight, JobState
from burstd.domain.requests import RequestKind
from burstd.domain.targets import Outcome, RemoteJob, RemoteState, RunState, WorkOrder
from burstd.ports.errors import Rejected, Unreachable
from burstd.shell.calendar import closed
from burstd.shell.licences import named
from burstd.shell.marks import as_submitted, mark
from burstd.shell.reckoning import not_landed, reckoned, remains_of
from burstd.shell.sight import Sight, state_of
from burstd.shell.standing import (
    HOME,
    asked_back,
    at_home,
    begins_anew,
    being_ended,
    bring_back,
    changed,
    given_up,
    is_proposal,
    own_code,
    recall_reported,
    recalled,
    stands_in,
    stopped,
    unwanted,
    withdrawn,
)
from burstd.shell.world import World

_FORGOTTEN = "the controller there was killed, and has forgotten that it had started the job"
LONGEST_CAUSE = 1000  #: characters
#: A submission without an answer may still arrive (sbatch alone tries for two minutes): until then
#: that nobody sees it proves nothing.
IN_THE_AIR = timedelta(minutes=3)
#: What was seen then proves nothing now: look again, and let the barrier start anew.
_STAMPED_ANEW = frozenset({Durability.RESTARTED, Durability.UNTIMED})

Step = Callable[[Burst, World, Sight], Event | None]


def examine(burst: Burst, world: World, sight: Sight) -> Event | None:
    """Keep the job's record as it is before we change anything; its user may have changed it since
    money was reserved for it."""
    if (stop := asked_back(burst, sight)) is not None:
        return stop
    if is_proposal(burst, world, sight):
        return withdrawn(burst, sight)
    line = sight.lines.get(burst.job)
    if line is None:
        return ev.Refused("it is not in the queue any more") if sight.queue is not None else None
    if closed(world.policy, world.clock.now()):
        return withdrawn(burst, sight)
    facts = script.facts(world.queue.script(line.identity), world.applications.values())
    pools = named(world.licences)
    if why := objection(line, facts, world.policy, burst, world.clock.now(), pools):
        return ev.Refused(f"it may not leave any more: {why}")
    record = as_submitted(world.queue.record(burst.identity), world.store)
    view = world.sites[burst.target].target.observe()
    limit, shape = record.time_limit, record.shape
    most = burst.most_output or 0
    cores = taken(shape.cpus, shape, view.capabilities)
    if limit is None or worst_case(cores, shape.gpus, limit, view, most) > burst.reserved:
        return ev.Refused("it asks for more than was reserved for it")
    if why := too_large(shape, view.capabilities):
        return ev.Refused(why)
    return ev.Kept(record)


def claim(burst: Burst, world: World, sight: Sight) -> Event | None:
    """Park the job; it is claimed when its stand-in runs and the agent has reported in."""
    record = _record(burst)
    boot = world.queue.boot()
    seen = world.queue.look(burst.identity)
    if (stop := stopped(burst, seen, world, sight) or asked_back(burst, sight)) is not None:
        return stop
    if seen.state is JobState.RUNNING:
        if seen.partition != world.policy.burst_partition:
            return ev.Refused("it started on-prem before it could be claimed")
        if "hello" in world.store.said(burst.id):
            return ev.Claimed(Epoch(boot, world.clock.uptime()))
        return None
    world.queue.park(record, mark(burst, world.policy.currency))
    return None


def stage_in(burst: Burst, world: World, sight: Sight) -> Event | None:
    """Open the way; the agent sends the inputs and reports when the far end verified them."""
    if (stop := unwanted(burst, world, sight)) is not None:
        return stop
    site = world.sites[burst.target]
    if site.link is not None:
        site.link.ensure_up()
    site.target.prepare(world.images[world.applications[burst.application].image])
    said = world.store.said(burst.id)
    if "refused" in said:
        refused = world.store.reports(burst.id, "refused")["refused"]
        return ev.Refused(_plain(refused.body.get("cause")))
    return ev.Done() if "staged_in" in said else None


def submit(burst: Burst, world: World, sight: Sight) -> Event | None:
    """Find by key, else submit held."""
    if (stop := unwanted(burst, world, sight)) is not None:
        return stop
    target = world.sites[burst.target].target
    boot = target.generation()
    found = target.find(burst.work_key)
    if found is not None:
        return ev.Accepted(found.id, Epoch(boot, world.clock.uptime()))
    try:
        remote_id = target.submit(_work_order(burst, world))
    except Unreachable as error:
        raise Unreachable(str(error), retry_after=IN_THE_AIR) from error
    return ev.Accepted(remote_id, Epoch(boot, world.clock.uptime()))


def settle_in(burst: Burst, world: World, sight: Sight) -> Event | None:
    """Wait until neither the claim nor the submission can be forgotten by a crash."""
    if (stop := unwanted(burst, world, sight)) is not None:
        return stop
    if burst.claim is None or burst.remote is None:
        raise Rejected(f"burst {burst.id} has no evidence of its claim or submission")
    target, now = world.sites[burst.target].target, world.clock.uptime()
    boot = world.queue.boot()
    on_prem = durability(burst.claim, boot, now)
    if on_prem in _STAMPED_ANEW:
        seen = world.queue.look(burst.identity)
        if at_home(burst, seen, world):
            return ev.Refused("the claim was lost in a restart of the on-prem controller")
        if not stands_in(burst, seen, world):
            return None
        return ev.Reclaimed(Epoch(boot, now))
    generation = target.generation()
    remote = durability(burst.remote, generation, now)
    if remote is not Durability.UNTIMED and Durability.TOO_EARLY in (on_prem, remote):
        return None
    found = target.find(burst.work_key)
    if found is None:
        return ev.Vanished("the target lost the submission")
    if remote is Durability.UNTIMED:
        return ev.Accepted(found.id, Epoch(generation, now))
    return ev.Done()


def permit(burst: Burst, world: World, sight: Sight) -> Event | None:
    """The run permit: the claim still ours and durable at this instant, then one start."""
    if burst.claim is None:
        raise Rejected(f"burst {burst.id} has no evidence of its claim")
    boot = world.queue.boot()
    seen = world.queue.look(burst.identity)
    stop = stopped(burst, seen, world, sight) or being_ended(burst, seen, world)
    if stop is not None:
        return stop
    if at_home(burst, seen, world):
        return ev.Refused(HOME)
    if not stands_in(burst, seen, world):
        return None
    target = world.sites[burst.target].target
    if durability(burst.claim, boot, world.clock.uptime()) is not Durability.DURABLE:
        twin = target.find(burst.work_key)
        if twin is not None and twin.state is not RemoteState.HELD:
            return ev.Done()  # we were killed after the start: what began is never begun at home
        return ev.Refused("the claim was lost in a restart of the on-prem controller")
    if not world.store.permit(burst.id, attempt=1):
        return ev.Refused("it was asked back before its twin was permitted to start")
    if not _run_state(burst, world).began:  # we may have been killed after a first start
        target.start(burst.work_key)
    return ev.Done()


def follow(burst: Burst, world: World, sight: Sight) -> Event | None:
    """Wait for the proven end; a job ended by its user on-prem is recalled."""
    if (stop := recalled(burst, world, sight, home=ev.Recalled)) is not None:
        return stop
    state = state_of(sight, burst)
    if state is RemoteState.RUNNING:
        if burst.started_at is None:
            return ev.Started(world.clock.now())
        if (asked := sight.asked(burst, RequestKind.CHECKPOINT)) is not None and not burst.stopping:
            world.sites[burst.target].target.signal(burst.work_key, burst.checkpoint)
            return ev.Signalled(str(asked))
    if state is not RemoteState.HELD:
        twin = sight.remote.get(burst.work_key)
        if twin is not None and _never_began(twin, burst, world):
            return ev.Unbegun(f"its twin was cancelled at {burst.target} before it began")
        return _proven_end(twin, burst, world)
    # The far controller forgot the permit; or even that it started the work, which goes on then.
    shown = _run_state(burst, world)
    if shown is RunState.OVER:
        return ev.Ended(_forgotten("lost", burst, world))
    if not shown.began and stands_in(burst, world.queue.look(burst.identity), world):
        world.sites[burst.target].target.start(burst.work_key)
    return None


def cancel(burst: Burst, world: World, sight: Sight) -> Event | None:
    """Stop the twin; go on only when it is proven over or never to start."""
    if not burst.submit_intended:
        return ev.Ended(Outcome("cancelled", detail="it was never submitted"))
    target = world.sites[burst.target].target
    twin = target.find(burst.work_key)
    if twin is None:
        return ev.Ended(Outcome("cancelled", detail="no twin is at the target"))
    if twin.state is not RemoteState.ENDED:
        target.cancel(burst.work_key)
        return None
    return _proven_end(twin, burst, world)


def stage_out(burst: Burst, world: World, sight: Sight) -> Event | None:
    """The agent lands the results; without a stand-in nobody can."""
    if "staged_out" in world.store.said(burst.id):
        return ev.Done()
    if not (changed(burst, world, sight) or recall_reported(burst, world)):
        return None
    seen = world.queue.look(burst.identity)
    if begins_anew(burst, seen, world):
        return ev.Skipped("it was requeued on-prem: it goes home, and runs anew")
    bring_back(burst, seen, world)
    if stopped(burst, seen, world, sight) is not None or at_home(burst, seen, world):
        return ev.Skipped(not_landed(burst, world))
    return None


def settle(burst: Burst, world: World, sight: Sight) -> Event | None:
    """Once the job is over on-prem: clean the far side, reckon the cost."""
    boot = world.queue.boot()
    seen = world.queue.look(burst.identity)
    if begins_anew(burst, seen, world) and _record(burst).requeued_held is None:
        # Whose hold it is can be told now, not after ours.
        return ev.Requeued(replace(_record(burst), requeued_held=seen.held))
    if not _put_home(burst, seen, world):
        return None
    if stopped(burst, seen, world, sight) is None and not at_home(burst, seen, world):
        return None
    now = world.clock.uptime()
    aged = _over_for(burst, boot, now)
    if aged in _STAMPED_ANEW:
        return ev.Over(Epoch(boot, now))
    if aged is Durability.TOO_EARLY:
        return None  # a crash now would forget the end and start the stand-in again
    site = world.sites[burst.target]
    if burst.submit_intended:
        twin = site.target.find(burst.work_key)  # which ends any other under its key
        if twin is not None and twin.state is not RemoteState.ENDED:
            site.target.cancel(burst.work_key)
            return None
    remains = None if _goes_on(burst, seen, world) else remains_of(burst, world)
    if burst.claim is not None and remains is None:
        site.target.clean(burst.work_key, burst.identity.user)
    return reckoned(burst, seen, world, remains)


def _put_home(burst: Burst, seen: JobSight, world: World) -> bool:
    """One step further towards its own partition, where it runs once more; True: it is there, or
    it need not be."""
    if _goes_on(burst, seen, world):
        return world.queue.give_back(_record(burst))
    bring_back(burst, seen, world)
    return True


def _goes_on(burst: Burst, seen: JobSight, world: World) -> bool:
    """Its job runs once more, at home."""
    return begins_anew(burst, seen, world) or checkpointed(burst, own_code(burst, world))


def go_home(burst: Burst, world: World, sight: Sight) -> Event | None:
    """Give the job back only once its remote twin is proven over or absent."""
    if burst.submit_intended:
        target = world.sites[burst.target].target
        twin = target.find(burst.work_key)
        if twin is not None and twin.state is not RemoteState.ENDED:
            target.cancel(burst.work_key)
            return None
        if twin is not None and twin.outcome is not None and twin.outcome.by_itself:
            return ev.Ended(twin.outcome)  # faster than we: never run again what is done
        shown = RunState.NEVER if twin is None else _shown(twin, burst, world)
        if shown is RunState.RUNNING:
            return None
        if shown is RunState.OVER:  # what began is never begun at home
            return ev.Ended(_forgotten("lost", burst, world))
    boot = world.queue.boot()
    seen = world.queue.look(burst.identity)
    if not (given_up(burst, seen, world, sight) or world.queue.give_back(_record(burst))):
        return None
    now = world.clock.uptime()
    aged = _over_for(burst, boot, now)
    if aged in _STAMPED_ANEW:
        return ev.Over(Epoch(boot, now))
    if aged is Durability.TOO_EARLY:
        return None  # a crash now would forget the return: a parked job that is nobody's
    if burst.claim is not None:
        world.sites[burst.target].target.clean(burst.work_key, burst.identity.user)
    return ev.Done()


STEPS: Mapping[Stage, Step] = {
    Stage.PLANNED: examine,
    Stage.CLAIMING: claim,
    Stage.STAGING_IN: stage_in,
    Stage.SUBMITTING: submit,
    Stage.SUBMITTED: settle_in,
    Stage.PERMITTING: permit,
    Stage.RUNNING: follow,
    Stage.CANCELLING: cancel,
    Stage.STAGING_OUT: stage_out,
    Stage.SETTLING: settle,
    Stage.RETURNING: go_home,
}


def _record(burst: Burst) -> JobRecord:
    if burst.record is None:
        raise Rejected(f"burst {burst.id} has no record of its job")
    return burst.record


def _over_for(burst: Burst, boot: str, now: Uptime) -> Durability:
    """How long its job's end, or return, has been there."""
    return durability(burst.over, boot, now) if burst.over else Durability.UNTIMED


def _plain(cause: object) -> str:
    """An agent's words as one line that the ledger can hold: names come in any bytes."""
    text = str(cause or "the agent gave no reason")[:LONGEST_CAUSE]
    return "".join(c if c.isprintable() else "?" for c in text)


def _proven_end(twin: RemoteJob | None, burst: Burst, world: World) -> Event | None:
    """How it ended, once nothing of it runs: what its scheduler has forgotten, and so thinks
    cancelled before it began, may go on."""
    if twin is None or twin.state is not RemoteState.ENDED:
        return None
    shown = _shown(twin, burst, world)
    if shown is RunState.OVER:
        return ev.Ended(_forgotten("cancelled", burst, world))
    if shown.began:
        return None
    return ev.Ended(twin.outcome or Outcome("lost", detail="the target gave no outcome"))


def _shown(twin: RemoteJob, burst: Burst, world: World) -> RunState:
    """What the run directory shows of a twin that never ran by the far scheduler's word."""
    ran = twin.outcome is None or twin.outcome.ran
    return RunState.NEVER if ran else _run_state(burst, world)


def _never_began(twin: RemoteJob, burst: Burst, world: World) -> bool:
    """It is over, and nothing ran. By two words: the far scheduler's, which counts in whole seconds
    and may have forgotten a start, and had no node for it; and that of its run directory, which is
    there and shows no start."""
    if twin.outcome is None or twin.outcome.ran or twin.place or burst.started_at is not None:
        return False
    return _run_state(burst, world) is RunState.NEVER


def _run_state(burst: Burst, world: World) -> RunState:
    return world.sites[burst.target].target.run_state(burst.work_key, burst.identity.user)


def _forgotten(reason: str, burst: Burst, world: World) -> Outcome:
    """How a run ended that the far controller knows nothing of. It took at most what was reserved
    for it; the bill takes less where less time has passed."""
    view = world.sites[burst.target].target.observe()
    limit = _record(burst).time_limit or timedelta()
    return Outcome(reason, elapsed=limit + view.overhead, detail=_FORGOTTEN)


def _work_order(burst: Burst, world: World) -> WorkOrder:
    record = _record(burst)
    if record.time_limit is None:
        raise Rejected("the job has no time limit")
    image = world.images[world.applications[burst.application].image]
    return WorkOrder(burst.work_key, burst.identity.user, record.shape, record.time_limit, image)
