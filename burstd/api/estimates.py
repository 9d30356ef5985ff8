"""``burst estimate``: what would become of a job that is not submitted yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from burstd.api.answers import META
from burstd.api.bodies import read_body, refusal
from burstd.api.desk import Desk
from burstd.api.peers import Peer, peer_of
from burstd.api.reasons import told
from burstd.core import script
from burstd.core.candidates import wishes
from burstd.core.data import kept_from
from burstd.core.decide import decide
from burstd.core.eligible import case_of
from burstd.core.explain import explain, verdicts
from burstd.core.line import Line
from burstd.core.place import Ask, Offer, Places
from burstd.domain.classes import DataRules
from burstd.domain.gres import Gres, Per
from burstd.domain.jobs import JobIdentity, JobKey, JobState, QueuedJob, Shape
from burstd.domain.plan import Plan, Snapshot

LONGEST = (
    8 * 2**20
)  #: bytes; Slurm's own limit of a script is 4 MiB (slurm.conf(5), max_script_size)
MOST_TASKS = 10_000
MOST_GRES = 100
MOST = 2**31  #: CPUs, nodes; Slurm counts no further
MOST_MEMORY = 2**53  #: MiB
LONGEST_TIME = 100 * 365 * 86400  #: seconds
LAST = 2**33  #: seconds since 1970

Name = Annotated[str, Field(max_length=1024)]
Text = Annotated[str, Field(max_length=2**16)]


class WantedGres(BaseModel):
    """See ``domain.gres.Gres``."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    count: int | None = Field(default=1, ge=0, le=MOST)
    per: Per = Per.NODE
    type: Name = ""


class Wanted(BaseModel):
    """The job as Slurm would have it."""

    model_config = ConfigDict(extra="forbid")
    script: str
    name: Name
    partition: Name
    account: Name = ""
    qos: Name = ""
    cpus: int = Field(ge=1, le=MOST)
    nodes: int = Field(default=1, ge=1, le=MOST)
    time_limit_s: float | None = Field(default=None, ge=1, le=LONGEST_TIME)
    comment: Text = ""
    directory: Text = ""
    licences: Text = ""
    ntasks: int = Field(default=1, ge=1, le=MOST)
    cpus_per_task: int = Field(default=1, ge=1, le=MOST)
    tasks_per_node: int | None = Field(default=None, ge=1, le=MOST)
    memory_per_node: int | None = Field(default=None, ge=0, le=MOST_MEMORY)
    memory_per_cpu: int | None = Field(default=None, ge=0, le=MOST_MEMORY)
    exclusive: bool = False
    sockets_per_node: int | None = Field(default=None, ge=1, le=MOST)
    gres: tuple[WantedGres, ...] = Field(default=(), max_length=MOST_GRES)
    tasks: int = Field(default=0, ge=0, le=MOST_TASKS)
    throttle: int | None = Field(default=None, ge=1)  #: tasks that may run at once
    starts_at: float | None = Field(default=None, ge=0, le=LAST)  #: seconds since 1970, by Slurm


class EstimateRoutes:
    """The handler, bound to one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        return [Route("/v1/estimate", self.estimate, methods=["POST"])]

    async def estimate(self, request: Request) -> Response:
        """Nothing is written down, and nobody's job changes."""
        wanted = Wanted.model_validate_json(await read_body(request, LONGEST))
        peer = await run_in_threadpool(peer_of, request, self._desk.operators)
        async with self._desk.looks.turns.of(request):
            return await run_in_threadpool(self._answer, wanted, peer)

    def _answer(self, wanted: Wanted, peer: Peer) -> Response:
        world = self._desk.world
        ledger = world.store.ledger()
        seen = self._desk.looks.lately(world, self._desk.memory)
        if seen is None:
            return refusal(503, "the queue cannot be read now")
        job = _job(wanted, peer.user, world.cluster, seen, world.policy.min_age)
        facts = script.facts(wanted.script, world.applications.values())
        facts = replace(facts, shape=_shape(wanted))
        seen = replace(
            seen,
            queue=replace(seen.queue, jobs=(*seen.queue.jobs, job)),
            scripts={**seen.scripts, job.identity: facts},
        )
        plan = decide(seen, world.policy, ledger)
        found = verdicts(job, plan, world.policy.currency)
        case = case_of(job, seen, world.policy)
        ask = Ask(job, case.asked, facts.application or "", facts.shape)
        offers = Places(seen, world.policy, ledger).offers(ask)
        app = world.applications.get(facts.application or "")
        start = Line.of(seen, world.policy).start(job)
        run = seen.usage.time(job)
        here = None if start is None else {
            "by": start.source.value,
            "starts_in_s": [t.total_seconds() for t in (start.early, start.likely, start.late)],
            "over_in_s": (start.likely + run).total_seconds(),
        }  # fmt: skip
        return JSONResponse({
            "meta": META,
            "leaves": sum(len(group.elements) for group in found if group.leaves),
            "of": len(job.elements),
            "mode": world.policy.mode.value,
            "wish": wishes(job, world.policy),
            "application": facts.application,
            "resolver": app.resolver if app else None,
            "here": here,
            "currency": world.policy.currency,
            "offers": [
                {
                    "target": offer.view.name,
                    "worst_case": str(offer.worst),
                    "expected": str(offer.likely),
                    "begins_in_s": offer.lead.total_seconds(),
                    "over_in_s": offer.over.total_seconds(),
                }
                for offer in offers
            ],
            **_kept(job, plan, offers, world.policy.data),
            **told(found, explain(job, seen, world.policy, ledger, plan)),
        })  # fmt: skip


def _kept(job: QueuedJob, plan: Plan, offers: Sequence[Offer], rules: DataRules) -> dict[str, Any]:
    """Where it would go, or might, and which inputs may not: it would stay for them."""
    mine = set(job.elements)
    goes = [placed.target for placed in plan.placements if placed.identity.key in mine]
    target = next(iter([*goes, *(offer.view.name for offer in offers)]), None)
    if target is None:
        return {"target": None, "kept": []}
    user, account = job.identity.user, job.account
    return {"target": target, "kept": kept_from(target, rules, user, account, job.partitions)}


def _shape(wanted: Wanted) -> Shape:
    """As far as its options say it; Slurm tells the rest when the job is there."""
    gres = tuple(Gres(g.name, g.count, g.per, g.type) for g in wanted.gres)
    return Shape(
        wanted.nodes, wanted.ntasks, wanted.cpus, wanted.cpus_per_task, wanted.tasks_per_node,
        wanted.memory_per_node, wanted.memory_per_cpu, wanted.exclusive, gres,
        wanted.sockets_per_node,
    )  # fmt: skip


def _job(wanted: Wanted, user: str, cluster: str, seen: Snapshot, min_age: timedelta) -> QueuedJob:
    """As it would stand in the line: at its end, and old enough to be considered."""
    waiting = [job.priority for job in seen.queue.jobs if job.state is JobState.PENDING]
    limit = wanted.time_limit_s
    starts = wanted.starts_at
    return QueuedJob(
        JobIdentity(JobKey(cluster, 0), seen.queue.taken_at - min_age, user, wanted.name),
        JobState.PENDING,
        "Priority",
        wanted.partition,
        wanted.account.lower(),
        wanted.qos,
        wanted.cpus,
        wanted.nodes,
        None if limit is None else timedelta(seconds=limit),
        max(1, min(waiting, default=1)),
        tuple(range(wanted.tasks)),
        licences=wanted.licences,
        comment=wanted.comment,
        directory=wanted.directory,
        throttle=wanted.throttle if wanted.tasks else None,
        starts=None if starts is None else datetime.fromtimestamp(starts, UTC),
    )
