"""Routes of the agents. A user can speak for the stand-ins of that user's own jobs only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from burstd.api.answers import own_burst
from burstd.api.bodies import read_body, refusal
from burstd.api.desk import Desk, job_key, until
from burstd.api.passages import Wish
from burstd.api.peers import peer_of
from burstd.api.pulls import may_pull, unanswered
from burstd.api.remains import may_fetch, may_read
from burstd.core.data import forbidden, within
from burstd.core.orders import Order, ending, order_for, remark
from burstd.core.shares import weight
from burstd.domain.burst import Burst, Stage
from burstd.shell.standing import own_code

LONGEST_WAIT = 120.0  #: seconds of one long poll
LONGEST_WORDS = 2**16  #: bytes of a question


class Hello(BaseModel):
    """The first words of an agent, again after each restart."""

    model_config = ConfigDict(extra="forbid")
    job: str = Field(pattern=r"^\d+(_\d+)?$")
    restarts: int = 0


class TicketWish(BaseModel):
    """The public half of the key that the agent made for this burst."""

    model_config = ConfigDict(extra="forbid")
    public_key: str = Field(max_length=2000)


def _order(burst: Burst, desk: Desk, own: int | None) -> Order:
    """Which life the stand-in is in matters only where somebody has stopped the twin."""
    if burst.outcome is None or burst.outcome.reason != "cancelled":
        return order_for(burst, own=own)
    reports = desk.world.store.reports(burst.id, "hello", "recalled")
    lives = {
        kind: int(reports[kind].body.get("restarts", 0))
        for kind in ("hello", "recalled")
        if kind in reports
    }
    return order_for(burst, lives.get("hello", 0), lives.get("recalled"))


def _describe(burst: Burst, desk: Desk) -> dict[str, Any]:
    """What the agent hears; asks the store."""
    world = desk.world
    app = world.applications.get(burst.application)
    own = own_code(burst, world)
    order = _order(burst, desk, own)
    follows = order is Order.FOLLOW
    code, signal = ending(burst.outcome, own)
    limit = burst.record.time_limit if burst.record else None
    return {
        "burst": burst.id,
        "key": burst.work_key,
        "target": burst.target,
        "stage": burst.stage.value,
        "version": burst.version,
        "order": order.value,
        "every": desk.crowd.period(burst.id, world.clock.now()) if follows else None,
        "cause": burst.cause,
        "remark": remark(burst, own),
        "exit_code": code,
        "signal": signal,
        "most_bytes": burst.most_output,
        "costs": burst.most_output is not None,
        "time_limit_s": limit.total_seconds() if limit else 0,
        "resolver": app.resolver if app else "all",
        "live": list(app.live) if app else [],
        "links": world.policy.links,
        "scratch": list(app.scratch) if app else [],
        "on_demand": _on_demand(burst, desk),
        "environment": list(app.environment) if app else [],
        "stays": forbidden(burst, world.policy.data),
        "within": within(burst, world.policy.data),
        "pull": unanswered(world.store, burst.id) if may_pull(burst) else None,
    }


def _on_demand(burst: Burst, desk: Desk) -> dict[str, Any]:
    """Which results stay at the target, and for how long; none of a job that goes on at home."""
    app, site = desk.world.applications.get(burst.application), desk.world.sites.get(burst.target)
    if app is None or site is None or not site.keeps or burst.stopping:
        return {"globs": [], "for": ""}
    return {"globs": list(app.on_demand), "for": _words(site.keeps)}


def _words(age: timedelta) -> str:
    """In the largest unit of which there are two."""
    seconds = age.total_seconds()
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _waiting(cause: str) -> dict[str, Any]:
    return {"burst": None, "version": 0, "order": Order.WAIT.value, "cause": cause}


class AgentRoutes:
    """The handlers, bound to one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        return [
            Route("/v1/standins", self.hello, methods=["POST"]),
            Route("/v1/standins/{burst}", self.order),
            Route("/v1/standins/{burst}/share", self.share),
            Route("/v1/standins/{burst}/addresses", self.addresses, methods=["POST"]),
            Route("/v1/standins/{burst}/ticket", self.ticket, methods=["POST"]),
            Route("/v1/wait/{job}", self.wait),
        ]

    async def hello(self, request: Request) -> Response:
        """Which burst is this stand-in of, and what should it do?"""
        said = Hello.model_validate_json(await read_body(request, LONGEST_WORDS))
        job = job_key(self._desk, said.job)
        burst = await run_in_threadpool(self._desk.burst_of, job)
        peer = await run_in_threadpool(peer_of, request, frozenset())
        is_owner = burst is not None and peer.user == burst.identity.user
        if burst is not None and burst.stage.at_rest and not is_owner:
            burst = None  # an earlier job of that id: none of this user's business
        if burst is None or burst.stage.at_rest:
            mode = self._desk.world.policy.mode.value
            why = "waiting for burstd's decision on this job"
            if burst is not None and burst.stage in {Stage.QUARANTINED, Stage.ABANDONED}:
                why = f"burst {burst.id} waits for an operator: {burst.cause}"
            elif mode == "observe":
                why = "burstd only observes (policy.mode); it will not take this job"
            return JSONResponse(_waiting(why))
        if not is_owner:
            return refusal(403, "this job is not yours")
        if await run_in_threadpool(self._is_news, burst, said):
            self._desk.nudge.set()
        return JSONResponse(await run_in_threadpool(_describe, burst, self._desk))

    async def wait(self, request: Request) -> Response:
        """Long poll: answers when the job's burst has moved past ``version``, or at the time."""
        job = job_key(self._desk, request.path_params["job"])
        version = int(request.query_params.get("version", "0"))
        seconds = min(LONGEST_WAIT, float(request.query_params.get("seconds", "60")))
        with self._desk.bell.listening(job) as rung:  # before the look: no move falls in between
            burst = await run_in_threadpool(self._desk.burst_of, job)
            if burst is None or burst.stage.at_rest or burst.version <= version:
                await until(rung, seconds)
        return Response(status_code=204)

    async def order(self, request: Request) -> Response:
        """What to do now."""
        burst = await own_burst(self._desk, request)
        if isinstance(burst, Response):
            return burst
        return JSONResponse(await run_in_threadpool(_describe, burst, self._desk))

    async def share(self, request: Request) -> Response:
        """How many bytes a second it may move over its line; ``null``: as many as it can."""
        burst = await own_burst(self._desk, request)
        if isinstance(burst, Response):
            return burst
        site = self._desk.world.sites[burst.target]
        if site.rate is None:
            return JSONResponse({"rate": None})
        moved, now = int(request.query_params.get("moved", "0")), self._desk.world.clock.now()
        line = (site.line or burst.target, float(site.rate))
        rate = self._desk.lines.share(*line, burst.id, weight(burst), moved, now)
        return JSONResponse({"rate": rate})

    async def ticket(self, request: Request) -> Response:
        """A short-lived right to the burst's run directory at the target."""
        burst = await self._open(request, or_fetched=True)
        if isinstance(burst, Response):
            return burst
        wish = TicketWish.model_validate_json(await read_body(request, LONGEST_WORDS))
        site, over = self._desk.world.sites[burst.target], burst.stage.at_rest

        def issue() -> dict[str, Any]:
            if site.link is not None:
                site.link.ensure_up()
            ticket = site.target.ticket(burst.work_key, burst.identity.user, wish.public_key)
            return {
                "kind": ticket.kind,
                "expires_at": ticket.expires_at.isoformat(),
                "fields": dict(ticket.fields),
                # What is fetched behind a job's end goes over the line: its key is gone.
                "seal": None if over else self._desk.passages.seal(burst, self._desk.world),
            }

        return await self._desk.clerks.answer(f"target {burst.target}", issue)

    async def addresses(self, request: Request) -> Response:
        """Where objects of the burst lie in the bucket that its files pass through."""
        burst = await self._open(request)
        if isinstance(burst, Response):
            return burst
        wish = Wish.model_validate_json(await read_body(request, LONGEST_WORDS))
        passages, world = self._desk.passages, self._desk.world
        place = f"bucket {world.sites[burst.target].passage}"
        clerks = self._desk.clerks
        return await clerks.answer(place, lambda: passages.addresses(burst, wish, world))

    def _is_news(self, burst: Burst, said: Hello) -> bool:
        """Keep the greeting of an agent's each start; one that asks again says nothing new."""
        store, body = self._desk.world.store, {"restarts": said.restarts}
        known = store.reports(burst.id, "hello").get("hello")
        if known is not None and known.body == body:
            return False
        store.report(burst.id, "hello", body)
        return True

    async def _open(self, request: Request, or_fetched: bool = False) -> Burst | Response:
        """One of theirs that is not at rest, or of which files may be read behind its end."""
        burst = await own_burst(self._desk, request)
        if isinstance(burst, Burst) and burst.stage.at_rest:
            if or_fetched and may_fetch(self._desk, burst) and may_read(burst):
                return burst
            return refusal(409, f"this burst is {burst.stage.value}")
        return burst
