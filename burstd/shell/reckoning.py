"""What a burst comes to at its end: what it cost, what came home, what stays behind."""

from __future__ import annotations

from burstd.core.money import bill, core_hours, occupied
from burstd.domain import events as ev
from burstd.domain.burst import Burst, Remains
from burstd.domain.data import MOST_COUNTED, from_rows
from burstd.domain.jobs import JobSight
from burstd.shell.world import World


def remains_of(burst: Burst, world: World) -> Remains | None:
    """What its agent has left at the target, until somebody asks for it: what is on demand, or all
    where the stand-in ended too early (KillWait, a proxy node that is gone)."""
    age = world.sites[burst.target].keeps
    if age and _unlanded(burst, world):
        return Remains(world.clock.now() + age, 0, 0, unlanded=True)
    if not age or not {"remains", "staged_out"} <= world.store.said(burst.id):
        return None
    files = from_rows(world.store.reports(burst.id, "remains")["remains"].body.get("files"))
    size = sum(file.size for file in files)
    return Remains(world.clock.now() + age, len(files), size) if files else None


def _unlanded(burst: Burst, world: World) -> bool:
    """It ran, and its results never came home. Without ``staged_in`` nobody could read them: the
    secret that seals their list is in it."""
    said = world.store.said(burst.id)
    if "staged_in" not in said or "staged_out" in said or not burst.submit_intended:
        return False
    if burst.outcome is not None and burst.outcome.ran:
        return True
    # The far scheduler counts in whole seconds.
    target = world.sites[burst.target].target
    return target.run_state(burst.work_key, burst.identity.user).began


def not_landed(burst: Burst, world: World) -> str:
    """The same in words, with what its user can do now."""
    kept = world.sites[burst.target].keeps and _unlanded(burst, world)
    stay = f": burst pull {burst.job} lists and brings them from {burst.target}" if kept else ""
    return f"the stand-in ended before its results were home{stay}"


def reckoned(burst: Burst, seen: JobSight, world: World, remains: Remains | None) -> ev.Settled:
    """What it cost, also as a line on the job's accounting record: never more than was promised,
    for a price that has been raised since is not the one that it left for."""
    view = world.sites[burst.target].target.observe()
    hours = core_hours(burst.cores, occupied(burst, view.overhead))
    output = _came_home(burst, world)
    cost = min(bill(burst, output, view), burst.reserved)
    if seen.is_job(burst.identity):
        kept = f" results={burst.target}" if remains and remains.unlanded else ""
        world.queue.annotate(
            burst.identity,
            f"burst=1 id={burst.id} where={burst.target} core_hours={hours:.4f} "
            f"cost={cost}{world.policy.currency}{kept}",
        )
    return ev.Settled(hours, cost, output, remains)


def _came_home(burst: Burst, world: World) -> int:
    """Bytes of its results, by the word of the agent that landed them: it is the user's program,
    and no word of its spends more than was reserved. One that was killed before has told of what
    had come by then."""
    said = world.store.said(burst.id)
    kind = "staged_out" if "staged_out" in said else "came"
    if kind not in said:
        return 0
    size = world.store.reports(burst.id, kind)[kind].body.get("bytes")
    if not isinstance(size, int) or not 0 <= size < MOST_COUNTED:
        return burst.most_output or 0  # no size: what was put by for it is gone
    return size if burst.most_output is None else min(size, burst.most_output)
