"""Licence admission: booked + used + asked <= total in every pool, else the job stays.

Who counts what, so that nothing is counted twice and nothing is forgotten:

- What a job names by ``-L`` is Slurm's own. Slurm has it booked while the stand-in runs, so burstd
  books nothing. Where ``[licences.*]`` has it with ``source = "slurm"``, it must be free there now;
  open bursts whose stand-in still pends are counted, a running one is in Slurm's own count.
- What the application's profile or ``#BURST licences=`` says is needed is booked in the ledger with
  its burst, and counts until that burst is over, also when a licence server shows it as used by
  then: which use is whose can't be proved, and to be too careful is the lesser evil.
- A licence that Slurm keeps can be held by ``-L`` alone: who needs more of it stays.
- A licence that a job was short of, and what else it needs, goes to no younger job: else a large
  one would be overtaken for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from burstd.domain.jobs import JobState, QueuedJob, QueueSnapshot
from burstd.domain.licences import LicenceAsk, Pool, PoolView, UnseenPool, parse_licences, tokens
from burstd.domain.plan import Objection, Reason, ScriptFacts, Snapshot
from burstd.domain.policy import Ledger

NO_LICENCES = LicenceAsk({}, {})


class Never(Exception):
    """The job stays whatever is free; ``numbers`` say why."""

    def __init__(self, **numbers: str) -> None:
        super().__init__(numbers)
        self.numbers = numbers


def never(job: QueuedJob, facts: ScriptFacts, pools: Mapping[str, PoolView]) -> Objection | None:
    """Why its licences keep this job here even if none were in use."""
    try:
        ask = ask_of(job, facts, pools)
    except Never as why:
        return Reason.LICENCES, why.numbers
    if ask is NO_LICENCES:
        return None
    for name, count in ask.all:
        pool = pools[name]
        if isinstance(pool, Pool) and count > pool.total - pool.kept:
            return Reason.LICENCES, _numbers(pool, count)
    return None


def ask_of(job: QueuedJob, facts: ScriptFacts, pools: Mapping[str, PoolView]) -> LicenceAsk:
    """What a job needs. Raises ``Never``."""
    if not (job.licences or facts.licences or facts.asked.licences):
        return NO_LICENCES
    held, booked = _named(job, pools)
    for name, count in _needs(job, facts).items():
        pool = pools.get(name)
        if pool is None:
            raise Never(licence=name, asked=str(count), cause=f"there is no [licences.{name}]")
        if not pool.slurm:
            booked[name] = max(booked.get(name, 0), count)
        elif count > held.get(name, 0):
            asked = f"-L {pool.slurm}:{held.get(name, 0)}"
            raise Never(licence=name, asked=str(count), cause=f"Slurm keeps it, and it has {asked}")
    # What runs already, as a wish may, is in Slurm's own count of what is used.
    return LicenceAsk(booked, {} if job.state is JobState.RUNNING else held)


def _named(job: QueuedJob, pools: Mapping[str, PoolView]) -> tuple[dict[str, int], dict[str, int]]:
    """Of what it names by ``-L``: what Slurm's configured pools hold, and what others keep."""
    try:
        named = parse_licences(job.licences) if job.licences else {}
    except ValueError:
        raise Never(licences=job.licences, cause="-L can't be read") from None
    ours = {pool.slurm: name for name, pool in pools.items() if pool.slurm}
    held: dict[str, int] = {}
    booked: dict[str, int] = {}
    for name, count in named.items():
        if name in ours:
            held[ours[name]] = count
        elif name in pools and not pools[name].slurm:
            booked[name] = count
        elif "@" in name:
            raise Never(licence=name, asked=str(count), cause="no [licences.*] has this feature")
    return held, booked


def _needs(job: QueuedJob, facts: ScriptFacts) -> dict[str, int]:
    """By profile and user; whoever says more is right."""
    needs = {name: tokens(rule, job.cpus) for name, rule in facts.licences.items()}
    try:
        theirs = parse_licences(facts.asked.licences) if facts.asked.licences else {}
    except ValueError:
        raise Never(
            script=f"#BURST licences={facts.asked.licences}", cause="can't be read"
        ) from None
    for name, count in theirs.items():
        needs[name] = max(needs.get(name, 0), count)
    return needs


@dataclass
class Desk:
    """What is free while one plan is made; each ``take`` makes it less."""

    pools: Mapping[str, PoolView]
    booked: Counter[str]
    awaited: dict[str, str] = field(default_factory=dict)  #: by which older job

    @classmethod
    def opened(cls, snapshot: Snapshot, ledger: Ledger) -> Desk:
        """With what open bursts have booked, and what their pending stand-ins ask of Slurm."""
        booked = Counter(ledger.booked)
        booked.update(_standing_in_line(snapshot.queue, snapshot.licences, ledger))
        return cls(snapshot.licences, booked)

    def take(self, job: QueuedJob, ask: LicenceAsk) -> Objection | None:
        """Book all of it, or nothing and say why."""
        refusals = dict(why for name, count in ask.all if (why := self._short(name, count)))
        if unseen := refusals.get(Reason.LICENCES_UNSEEN):
            return Reason.LICENCES_UNSEEN, unseen  # one server that is away holds up no others
        if refusals:
            for name, _ in ask.all:
                self.awaited.setdefault(name, str(job.key))
            return Reason.LICENCES, refusals[Reason.LICENCES]
        self.booked.update(dict(ask.all))
        return None

    def _short(self, name: str, count: int) -> Objection | None:
        pool = self.pools[name]
        if isinstance(pool, UnseenPool):
            numbers = {"licence": name, "asked": str(count), "cause": pool.cause}
            return Reason.LICENCES_UNSEEN, numbers
        free = max(0, pool.free - self.booked[name])
        if count > free:
            return Reason.LICENCES, _numbers(pool, count, free)
        if name in self.awaited:
            first = {"first": f"job {self.awaited[name]}"}
            return Reason.LICENCES, _numbers(pool, count, free) | first
        return None


def _standing_in_line(
    queue: QueueSnapshot, pools: Mapping[str, PoolView], ledger: Ledger
) -> Counter[str]:
    found: Counter[str] = Counter()
    for job in queue.jobs if ledger.open else ():
        if not job.licences:
            continue
        gone = sum(key in ledger.open for key in job.elements)
        if not gone or job.state is not JobState.PENDING:
            continue
        try:
            held, _ = _named(job, pools)
        except Never:
            continue
        for name, count in held.items():
            found[name] += count * gone
    return found


def _numbers(pool: Pool, asked: int, free: int | None = None) -> dict[str, str]:
    numbers = {"licence": pool.name, "asked": str(asked)}
    if free is not None:
        numbers["free"] = str(free)
    numbers["total"] = str(pool.total)
    return numbers | ({"kept": str(pool.kept)} if pool.kept else {})
