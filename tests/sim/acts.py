"""What the world does to burstd: one table, one row per act.

Each act has a victim (``pick``, a number that chooses among those there are) and a size (seconds,
where it lasts). It says what it did, or ``None`` where there was nobody to do it to. None is
invented: the last column says where Slurm, a network or a user is known to do so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from burstd.adapters.store.sql import SqlStore
from burstd.domain.burst import BurstId
from burstd.domain.requests import Request, RequestKind
from burstd.domain.targets import RemoteState
from burstd.testing.agents import mark
from burstd.testing.slurm_jobs import SimulatedJob, key_text
from tests.sim.site import Site

if TYPE_CHECKING:
    from tests.sim.play import Play

Do = Callable[["Play", int, int], str | None]
_UPDATE = "job_mgr.c, _update_job"
_AGENT = "slurmctld's queue to slurmdbd"


@dataclass(frozen=True)
class Act:
    """``over`` ends what lasts, after its size in seconds; it gets the victim that ``do`` named."""

    what: str
    known: str
    weight: int
    do: Do
    sizes: Sequence[int] = (0,)
    over: Callable[[Play, str], None] | None = None


def _living(site: Site, states: Sequence[str]) -> list[SimulatedJob]:
    return [job for job in site.slurm.jobs if job.state in states] if site.slurm.up else []


def _to_a_job(states: Sequence[str], then: Callable[[Site, SimulatedJob], object]) -> Do:
    """What a user does to one of the jobs in one of these states."""

    def do(play: Play, pick: int, _size: int) -> str | None:
        jobs = _living(play.site, states)
        if not jobs:
            return None
        job = jobs[pick % len(jobs)]
        play.site.slurm.split(job)
        then(play.site, job)
        play.site.slurm.note()
        return key_text(job)

    return do


def _state(place: str, name: str, value: object) -> Do:
    """Something of the site becomes so."""

    def do(play: Play, _pick: int, _size: int) -> str | None:
        if getattr(getattr(play.site, place), name) == value:
            return None
        setattr(getattr(play.site, place), name, value)
        return ""

    return do


def _lasting(
    what: str, known: str, weight: int, sizes: Sequence[int], state: tuple[str, str, object]
) -> Act:
    """For so many seconds ``state`` holds, where it is a truth value."""
    place, name, value = state

    def over(play: Play, _whom: str) -> None:
        setattr(getattr(play.site, place), name, not value)

    return Act(what, known, weight, _state(*state), sizes, over)


# --- users


def _scancel(site: Site, job: SimulatedJob) -> None:
    site.slurm.cancel(key_text(job))
    site.cancelled[mark(job)] = site.clock.now()


def _requeue(site: Site, job: SimulatedJob, *, held: bool) -> None:
    site.requeued.add(mark(job))
    site.slurm.requeue(key_text(job), held=held)


def _rename(_site: Site, job: SimulatedJob) -> None:
    job.name += "x"


def _raise_limit(site: Site, job: SimulatedJob) -> None:
    if not job.held:  # else a claim or a return is under way, and sets it anew
        job.shown["TimeLimit"] = "09:00:00"
        site.asked.get(mark(job), {}).setdefault("TimeLimit", set()).add("09:00:00")


def _more_cpus(_site: Site, job: SimulatedJob) -> None:
    if job.shown["NumNodes"] == "1":
        job.shown["NumCPUs"] = "16"


def _other_partition(site: Site, job: SimulatedJob) -> None:
    site.moved.add(mark(job))
    job.shown["Partition"] = "night" if job.shown["Partition"] == "cae" else "cae"


_WAITING, _RUNNING, _LIVING = ("PENDING",), ("RUNNING",), ("PENDING", "RUNNING")
_SCANCEL = _to_a_job(_LIVING, _scancel)
_HOLD = _to_a_job(_WAITING, lambda site, job: site.slurm.hold(key_text(job)))
_RELEASE = _to_a_job(_WAITING, lambda site, job: site.slurm.unhold(key_text(job)))
_RAISE_LIMIT = _to_a_job(_WAITING, _raise_limit)
_MORE_CPUS = _to_a_job(_WAITING, _more_cpus)
_OTHER_PARTITION = _to_a_job(_WAITING, _other_partition)
_REQUEUE = _to_a_job(_RUNNING, lambda site, job: _requeue(site, job, held=False))
_REQUEUE_HELD = _to_a_job(_RUNNING, lambda site, job: _requeue(site, job, held=True))


def _stranger(play: Play, pick: int, _size: int) -> str | None:
    if not play.site.slurm.up:
        return None
    user = ("alice", "zoe")[pick % 2]
    return play.site.slurm.submit(user, f"stranger{pick}", "cae", "#!/bin/sh\nother\n", 30)


# --- the on-prem cluster


def _slurm_crash(play: Play, pick: int, size: int) -> str | None:
    if not play.site.slurm.up:
        return None
    play.site.slurm.crash(timedelta(seconds=pick % 6))
    play.site.slurm.up = False
    play.site.what_was_forgotten()
    for job in play.site.slurm.jobs:
        job.word = ""  # how a state was told is no part of what was saved
    return str(min(1, pick % 4))


def _slurm_back(play: Play, stranger: str) -> None:
    play.site.slurm.up = True
    if stranger == "1":  # a stranger's job gets the next id, which may be one that was lost
        _stranger(play, play.site.slurm.boots, 0)


def _dbd_caught_up(play: Play, _whom: str) -> None:
    play.site.slurm.unlisted.clear()


def _dbd_lags(play: Play, _pick: int, _size: int) -> str | None:
    slurm = play.site.slurm
    slurm.unlisted |= {key_text(job) for job in slurm.accounting.values()}
    return ""


def _odd_word(play: Play, pick: int, _size: int) -> str | None:
    jobs = _living(play.site, _LIVING)
    if not jobs:
        return None
    jobs[pick % len(jobs)].word = "EXPEDITING"
    return mark(jobs[pick % len(jobs)])


def _plain_word(play: Play, whom: str) -> None:
    for job in play.site.slurm.jobs:
        job.word = "" if mark(job) == whom else job.word


def _proxy_reboots(play: Play, _pick: int, _size: int) -> str | None:
    if not play.site.slurm.up:
        return None
    play.site.slurm.lose("px")
    return ""


def _node_fails(play: Play, _pick: int, _size: int) -> str | None:
    if not play.site.slurm.up or not any(play.site.local()):
        return None
    play.site.slurm.lose("n1")
    return ""


def _room(play: Play, pick: int, _size: int) -> str | None:
    play.site.slurm.slots = 1 + pick % 2
    if play.site.slurm.up:
        play.site.slurm.schedule()  # what waits starts in this very moment
    return ""


def _no_room(play: Play, _whom: str) -> None:
    play.site.slurm.slots = 99 if play.site.hurry else 0


# --- the cloud and the way there


def _far_crash(play: Play, pick: int, _size: int) -> str | None:
    if play.site.target.away:
        return None
    play.site.target.crash(timedelta(seconds=pick % 6))
    play.site.target.away = True
    return ""


def _far_lags(play: Play, pick: int, _size: int) -> str | None:
    keys = [work.job.key for work in play.site.target.work.values()]
    if not keys:
        return None
    play.site.target.unlisted.add(keys[pick % len(keys)])
    return keys[pick % len(keys)]


def _far_caught_up(play: Play, _whom: str) -> None:
    play.site.target.unlisted.clear()


def _far_node_lost(play: Play, pick: int, _size: int) -> str | None:
    keys = [key for key, _ in play.site.far()]
    if not keys:
        return None
    play.site.target.finish(keys[pick % len(keys)], "lost")
    return keys[pick % len(keys)]


def _far_admin_cancels(play: Play, pick: int, _size: int) -> str | None:
    open_ = {RemoteState.HELD, RemoteState.QUEUED, RemoteState.RUNNING}
    keys = [w.job.key for w in play.site.target.work.values() if w.job.state in open_]
    if not keys:
        return None
    key = keys[pick % len(keys)]
    play.site.struck.add(play.site.target.runs.get(key, key))
    play.site.target.end_by_hand(key)
    return key


def _far_back(play: Play, _whom: str) -> None:
    play.site.target.away = False


# --- operators


def _asked(kind: RequestKind) -> Do:
    """An operator asks this of an open burst."""

    def do(play: Play, pick: int, _size: int) -> str | None:
        bursts = [row for row in play.checker.ledger.rows.values() if row.open]
        daemon = play.daemons[0]
        if not bursts or not daemon.alive:
            return None
        row = bursts[pick % len(bursts)]
        store = SqlStore(play.database, play.site.slurm.cluster, daemon.clock)
        if not store.request(BurstId(row.id), Request(kind, "root", "a rehearsal")):
            return None
        if kind is RequestKind.CANCEL:
            name = play.checker.owners[row.id]
            play.site.cancelled[name] = play.site.clock.now()
            play.site.doomed.add(name)
        return row.id

    return do


# --- burstd's own machine


def _clock_set(play: Play, pick: int, _size: int) -> str | None:
    play.daemons[0].clock.ahead = timedelta(hours=(-1, 0, 1)[pick % 3])
    return str(play.daemons[0].clock.ahead)


def _machine_reboots(play: Play, _pick: int, size: int) -> str | None:
    play.daemons[0].clock.reboot()
    play.kill(play.daemons[0], size)
    return ""


def _killed(play: Play, _pick: int, size: int) -> str | None:
    play.kill(play.daemons[0], size)
    return ""


def _second_daemon(play: Play, _pick: int, _size: int) -> str | None:
    if play.daemons[1].alive:
        return None
    play.daemons[1].start()
    return ""


def _second_daemon_dies(play: Play, _whom: str) -> None:
    play.daemons[1].die()


def _time_passes(play: Play, _pick: int, size: int) -> str | None:
    play.others(size)
    return ""


ACTS: Mapping[str, Act] = {
    "scancel": Act("a user ends a job", "scancel(1)", 8, _SCANCEL),
    "hold": Act("a user holds a job", "scontrol(1)", 2, _HOLD),
    "release": Act("a user lets a job go", "scontrol(1)", 2, _RELEASE),
    "requeue": Act("a user requeues a job that runs", "scontrol(1)", 3, _REQUEUE),
    "requeuehold": Act("a user requeues a job that runs, held", "scontrol(1)", 2, _REQUEUE_HELD),
    "rename": Act("a user renames a job", "scontrol(1)", 2, _to_a_job(_LIVING, _rename)),
    "raise limit": Act("a user raises a waiting job's time limit", _UPDATE, 2, _RAISE_LIMIT),
    "more cpus": Act("a user asks for more CPUs", "scontrol(1)", 2, _MORE_CPUS),
    "other partition": Act("a user moves a waiting job", "scontrol(1)", 2, _OTHER_PARTITION),
    "stranger": Act("somebody submits a job", "sbatch(1)", 2, _stranger),
    "slurm crash": Act(
        "slurmctld is killed and forgets up to 5 s; ids are given again",
        "measured, F1 and F2", 8, _slurm_crash, (3, 8, 40), _slurm_back,
    ),
    "slurm away": Act(
        "slurmctld does not answer",
        "slurm_errno.c", 3, _state("slurm", "up", False), (5, 30, 120), _slurm_back,
    ),
    "slurmdbd away": _lasting(
        "accounting is away", "DBD_OPEN", 2, (20, 400), ("slurm", "accounting_up", False)
    ),
    "slurmdbd lags": Act(
        "accounting lacks what ended", _AGENT, 2, _dbd_lags, (20, 400), _dbd_caught_up
    ),
    "odd word": Act(
        "a state that this burstd does not know",
        "EXPEDITING of Slurm 25.11", 2, _odd_word, (10, 60), _plain_word,
    ),
    "proxy reboots": Act("all stand-ins are requeued", "NODE_FAIL", 4, _proxy_reboots),
    "node fails": Act("local jobs are requeued", "NODE_FAIL", 8, _node_fails),
    "room": Act("nodes become free", "any cluster", 6, _room, (5, 30, 100), _no_room),
    "update refused": _lasting(
        "a submit plugin refuses updates", "job_submit.lua", 1, (10, 60),
        ("slurm", "accepts", False),
    ),
    "far crash": Act(
        "the far slurmctld is killed and forgets up to 5 s",
        "measured, F2", 6, _far_crash, (3, 8, 40), _far_back,
    ),
    "far away": _lasting(
        "the far controller is away", "slurm_errno.c", 3, (10, 120, 900), ("target", "away", True)
    ),
    "far silent": _lasting(
        "the far accounting is away", "DBD_OPEN", 2, (10, 400), ("target", "silent", True)
    ),
    "far lags": Act(
        "the far accounting lacks a row", _AGENT, 2, _far_lags, (10, 400), _far_caught_up
    ),
    "far node lost": Act("a running twin is lost", "NODE_FAIL", 3, _far_node_lost),
    "far admin": Act("somebody ends a twin over there", "scancel(1)", 2, _far_admin_cancels),
    "far refuses": _lasting(
        "the far end takes no work", "job_submit.lua", 1, (30,), ("target", "rejects", True)
    ),
    "cancel lingers": _lasting(
        "a cancelled twin takes its time", "KillWait", 2, (20, 30), ("target", "stubborn", True)
    ),
    "cut": _lasting(
        "the link is cut", "any network", 6, (1, 10, 60, 900), ("link", "cut", True)
    ),
    "link lost": Act("burst-netd restarts", "kill -9", 2, _state("link", "up", False)),
    "agents away": _lasting(
        "no agent speaks", "a full proxy node", 3, (10, 60, 300), ("agents", "asleep", True)
    ),
    "asked back": Act(
        "an operator asks a burst back", "burst return", 3, _asked(RequestKind.RETURN)
    ),
    "asked to end": Act(
        "an operator ends a burst", "burst cancel", 2, _asked(RequestKind.CANCEL)
    ),
    "clock set": Act("the wall clock jumps an hour", "date(1)", 3, _clock_set),
    "machine reboots": Act("burstd's machine starts again", "", 2, _machine_reboots, (1, 3)),
    "killed": Act("burstd is killed", "kill -9", 6, _killed, (0, 1, 5)),
    "second daemon": Act(
        "another burstd works on the same ledger",
        "a failover that was none", 4, _second_daemon, (10, 60), _second_daemon_dies,
    ),
    "time passes": Act("nobody asks burstd for a while", "", 4, _time_passes, (20, 120, 330)),
}  # fmt: skip
