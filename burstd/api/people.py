"""Routes of ``burst``. A user sees own jobs, an operator all."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from burstd.api import pulls
from burstd.api.answers import always, burst_named, handler, iso, none, operators_only
from burstd.api.decisions import decisions, placements
from burstd.api.desk import Desk, job_key
from burstd.api.manifest import manifest
from burstd.api.moved import moved
from burstd.api.peers import Peer
from burstd.api.reasons import is_unseen, why
from burstd.api.showback import showback
from burstd.core.audit import to_json
from burstd.core.decide import decide, purse_of
from burstd.core.orders import checkpointed
from burstd.core.purse import Pot
from burstd.domain.burst import Burst
from burstd.domain.jobs import JobKey, QueuedJob, ranges
from burstd.domain.plan import Plan
from burstd.ports.errors import PortError
from burstd.shell.standing import own_code
from burstd.shell.tick import summary


class PeopleRoutes:
    """The handlers, bound to one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        return [
            Route("/v1/status", handler(self._desk, self.status)),
            Route("/v1/jobs", handler(self._desk, self.jobs)),
            Route("/v1/jobs/{job}", handler(self._desk, self.show)),
            Route("/v1/jobs/{job}/why", handler(self._desk, self.why, self._is_unseen)),
            Route("/v1/jobs/{job}/files", handler(self._desk, self.files)),
            Route("/v1/jobs/{job}/pull", handler(self._desk, self.pulled)),
            Route("/v1/jobs/{job}/journal", handler(self._desk, self.journal)),
            Route("/v1/cost", handler(self._desk, self.cost)),
            Route("/v1/plan", handler(self._desk, self.plan, always)),
            Route("/v1/decisions", handler(self._desk, self.decisions)),
            Route("/v1/audit", handler(self._desk, self.audit)),
        ]

    def status(self, _request: Request, peer: Peer) -> Any:
        """One screen: mode, pressure, bursts by stage, links, money."""
        world, memory = self._desk.world, self._desk.memory
        ledger, now = world.store.ledger(), world.clock.now()
        stages: dict[str, int] = {}
        for burst in world.store.open_bursts():
            stages[burst.stage.value] = stages.get(burst.stage.value, 0) + 1
        return {
            "mode": world.policy.mode.value,
            "policy_trouble": world.rules.trouble,
            "since": self._desk.started_at.isoformat(),
            "backlog_core_hours": memory.plan.backlog if memory.plan else None,
            "surging": bool(ledger.surging),
            "pressures": sorted(ledger.surging),
            "frozen": ledger.frozen,
            "closed": ledger.closed,
            "suspect": ledger.suspect,
            "quarantined": len(world.store.quarantined()),
            "high": world.policy.watermarks.high,
            "low": world.policy.watermarks.low,
            "bursts": stages,
            "links": [self._link(name) for name in world.sites],
            "spent": str(ledger.spent),
            "reserved": str(ledger.reserved),
            "budget": str(world.policy.budget),
            "currency": world.policy.currency,
            "budgets": [_pot(pot) for pot in purse_of(world.policy, ledger, now).pots],
            "queue_seen_at": iso(memory.queue.taken_at if memory.queue else None),
        }

    def _link(self, name: Any) -> dict[str, Any]:
        link = self._desk.world.sites[name].link
        if link is None:
            return {"target": name, "up": None}
        try:
            view = link.view()
        except PortError as error:
            return {"target": name, "up": None, "error": str(error)}
        return {
            "target": name,
            "up": view.up,
            "session": view.session,
            "last_handshake": iso(view.last_handshake),
        }

    def jobs(self, _request: Request, peer: Peer) -> Any:
        """The open bursts beside the waiting jobs, with squeue's columns."""
        world, queue = self._desk.world, self._desk.memory.queue
        left = {b.job: b for b in world.store.open_bursts() if peer.may_see(b.identity.user)}
        rows: list[tuple[dict[str, Any], Burst | None]] = []
        for job in queue.jobs if queue else ():
            if not peer.may_see(job.identity.user):
                continue
            # Slurm may have given the number of one to another user since.
            mine = {
                key: left.pop(key)
                for key in job.elements
                if key in left and left[key].identity.user == job.identity.user
            }
            parts = ((part, mine.get(part.key)) for part in _parts(job, mine))
            rows += [(_job_row(part, burst), burst) for part, burst in parts]
        rows += [(_burst_row(burst), burst) for burst in left.values()]
        return {"jobs": [{**row, "percent": self._percent(burst)} for row, burst in rows]}

    def _percent(self, burst: Burst | None) -> int | None:
        found = moved(self._desk, burst) if burst is not None else None
        return None if found is None else found.percent

    def show(self, request: Request, peer: Peer) -> Any:
        """Everything about one job's latest burst."""
        burst = self._burst(request)
        if burst is None or not peer.may_see(burst.identity.user):
            return none(request)
        doubt = self._desk.memory.unreadable.get(burst.work_key)
        own, going = own_code(burst, self._desk.world), moved(self._desk, burst)
        told = {
            "unreadable": doubt,
            "moved": going
            and {"bytes": going.size, "of": going.total, "waiting_files": going.waiting},
        }
        detail = {**_burst_detail(burst, own), **told, "currency": self._desk.world.policy.currency}
        return {"burst": detail}

    def why(self, request: Request, peer: Peer) -> Any:
        """Every rule's word on it, the last verdict, and where its burst stands."""
        found = why(self._desk, self._job(request), self._burst(request), peer)
        return none(request) if found is None else found

    def journal(self, request: Request, peer: Peer) -> Any:
        """The burst's story."""
        burst = self._burst(request)
        if burst is None or not peer.may_see(burst.identity.user):
            return none(request)
        entries = self._desk.world.store.journal(burst.id)
        return {
            "burst": burst.id,
            "journal": [
                {"at": iso(e.at), "event": e.event, "stage": e.stage, "detail": e.detail}
                for e in entries
            ],
        }

    def files(self, request: Request, peer: Peer) -> Any:
        """What of it has left the site."""
        burst = self._burst(request)
        if burst is None or not peer.may_see(burst.identity.user):
            return none(request)
        return manifest(self._desk, burst)

    def pulled(self, request: Request, peer: Peer) -> Any:
        """What came of the last burst pull."""
        burst = self._burst(request)
        if burst is None or not peer.may_see(burst.identity.user):
            return none(request)
        return pulls.answered(self._desk, burst)

    def plan(self, _request: Request, peer: Peer) -> Any:
        """The decision on what the last cycle saw, not carried out."""
        world = self._desk.world
        snapshot = self._desk.looks.lately(world, self._desk.memory)
        if snapshot is None:
            return JSONResponse({"error": "the queue cannot be read now"}, status_code=503)
        plan = _plan(decide(snapshot, world.policy, world.store.ledger()), peer)
        return {**plan, "currency": world.policy.currency}

    def cost(self, request: Request, peer: Peer) -> Any:
        """What bursts have cost, by whom or what."""
        return showback(self._desk, request.query_params, peer)

    def decisions(self, request: Request, peer: Peer) -> Any:
        """What was decided, line by line."""
        return decisions(self._desk, request.query_params, peer)

    def audit(self, request: Request, peer: Peer) -> Any:
        """A page of the audit log's records after ``after``; for operators."""
        if not peer.operator:
            return operators_only()
        after = int(request.query_params.get("after", "0"))
        return {"records": [to_json(record) for record in self._desk.world.store.audit(after)]}

    def _is_unseen(self, request: Request) -> bool:
        return is_unseen(self._desk, self._job(request))

    def _job(self, request: Request) -> JobKey:
        return job_key(self._desk, request.path_params["job"])

    def _burst(self, request: Request) -> Burst | None:
        return burst_named(self._desk, request.path_params["job"])


def _plan(plan: Plan, peer: Peer) -> dict[str, Any]:
    return {
        **summary(plan),
        "placements": placements(plan, peer),
        "declines": [
            {"jobs": [str(k) for k in d.elements], "user": d.identity.user,
             "reason": d.reason.name.lower(), "text": d.text}
            for d in plan.declined
            if peer.may_see(d.identity.user)
        ],
    }  # fmt: skip


def _pot(pot: Pot) -> dict[str, Any]:
    budget = pot.budget
    return {
        "name": budget.name,
        "amount": str(budget.amount),
        "period": budget.period.value,
        "taken": str(pot.taken),
        "left": str(pot.left),
        "soft": budget.soft,
        "accounts": sorted(budget.accounts),
        "users": sorted(budget.users),
    }


def _parts(job: QueuedJob, bursts: Collection[JobKey]) -> Iterator[QueuedJob]:
    """The line; of an array each task with a burst, which Slurm has not split off yet, alone."""
    alone = {key for key in job.elements if key in bursts} if job.tasks else set()
    for key in sorted(alone):
        yield replace(job, identity=replace(job.identity, key=key), tasks=())
    rest = tuple(task for task in job.tasks if replace(job.key, array_task=task) not in alone)
    if rest or not job.tasks:
        yield replace(job, tasks=rest)


def _job_row(job: QueuedJob, burst: Burst | None) -> dict[str, Any]:
    most = f"%{job.throttle}" if job.throttle else ""
    tasks = f"_[{ranges(job.tasks)}{most}]" if job.tasks else ""
    return {
        "job": f"{job.key}{tasks}",
        "partition": job.partition,
        "name": job.identity.name,
        "user": job.identity.user,
        "state": job.state.value,
        "nodes": burst.record.shape.nodes if burst and burst.record else job.nodes,
        "reason": job.reason,
        "nodelist": job.nodelist,
        "time_s": int(job.elapsed.total_seconds()),
        "where": burst.target if burst else "on-prem",
        "stage": burst.stage.value if burst else "",
    }


def _burst_row(burst: Burst) -> dict[str, Any]:
    return {
        "job": str(burst.job),
        "partition": "",
        "name": burst.identity.name,
        "user": burst.identity.user,
        "state": "UNKNOWN",
        "nodes": burst.record.shape.nodes if burst.record else 0,
        "reason": "not in the queue",
        "nodelist": "",
        "time_s": 0,
        "where": burst.target,
        "stage": burst.stage.value,
    }


def _burst_detail(burst: Burst, own: int | None) -> dict[str, Any]:
    o = burst.outcome
    return {
        "id": burst.id,
        "job": str(burst.job),
        "name": burst.identity.name,
        "user": burst.identity.user,
        "submitted_at": iso(burst.identity.submitted_at),
        "target": burst.target,
        "application": burst.application,
        "stage": burst.stage.value,
        "since": iso(burst.stage_since),
        "cause": burst.cause,
        "checkpoint": burst.checkpoint or None,
        "stopping": burst.stopping,
        "checkpointed": checkpointed(burst, own),
        "quarantined_at": burst.quarantined_at.value if burst.quarantined_at else None,
        "remote_id": burst.remote_id,
        "cores": burst.cores,
        "gpus": burst.gpus,
        "reserved": str(burst.reserved),
        "cost": str(burst.cost) if burst.cost is not None else None,
        "core_hours": burst.core_hours,
        "remains": burst.remains
        and {
            "files": burst.remains.files,
            "bytes": burst.remains.size,
            "until": iso(burst.remains.until),
            "unlanded": burst.remains.unlanded,
        },
        "fetched": [
            {"at": iso(f.at), "files": f.files, "bytes": f.size, "cost": str(f.cost)}
            for f in burst.fetches
        ],
        "outcome": None
        if o is None
        else {
            "reason": o.reason,
            "exit_code": o.exit_code,
            "signal": o.signal,
            "elapsed_s": o.elapsed.total_seconds(),
            "detail": o.detail,
        },
    }
