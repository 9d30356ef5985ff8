"""How people's questions are taken and answered, whatever they ask."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from burstd import __version__
from burstd.api.bodies import Ascii, refusal
from burstd.api.desk import Desk, job_key
from burstd.api.peers import Peer, peer_of
from burstd.domain.burst import Burst, BurstId

META = {"burstd_version": __version__, "schema": 1}
LONGEST_WHY = 200  #: characters

#: A response, or the fields of one.
Answer = Callable[[Request, Peer], Any]


def always(_request: Request) -> bool:
    """Each question costs much."""
    return True


def handler(
    desk: Desk, answer: Answer, costs: Callable[[Request], bool] | None = None
) -> Callable[[Request], Any]:
    """A route's handler: who asks is the kernel's word, and a thread does the work. A question that
    ``costs`` much is answered in its turn."""

    async def handle(request: Request) -> Response:
        peer = await run_in_threadpool(peer_of, request, desk.operators)
        async with AsyncExitStack() as stack:
            if costs is not None and await run_in_threadpool(costs, request):
                await stack.enter_async_context(desk.looks.turns.of(request))
            found = await run_in_threadpool(answer, request, peer)
        if isinstance(found, Response):
            return found
        return Ascii({"meta": META, **found})

    return handle


def burst_named(desk: Desk, text: str) -> Burst | None:
    """The burst of this id, or the latest of this job. Raises ``ValueError``."""
    if (found := desk.world.store.burst(BurstId(text))) is not None:
        return found
    return desk.burst_of(job_key(desk, text))


async def own_burst(desk: Desk, request: Request) -> Burst | Response:
    """The burst that ``burst`` in the path names, for its user alone; or the refusal."""
    id = BurstId(request.path_params["burst"])
    burst = await run_in_threadpool(desk.world.store.burst, id)
    peer = await run_in_threadpool(peer_of, request, desk.operators)
    if burst is None or peer.user != burst.identity.user:
        return refusal(404, "no such burst of yours")
    return burst


def why_of(request: Request) -> str:
    """The reason that was given, as one line."""
    why = request.query_params.get("why", "")[:LONGEST_WHY]
    return "".join(c if c.isprintable() else "?" for c in why)


def operators_only() -> Response:
    """The answer to anybody else."""
    text = "only an operator may do this (api.operators in burstd's configuration)"
    return JSONResponse({"error": text}, status_code=403)


def none(request: Request) -> Response:
    """There is none, or it is somebody else's: no difference to who asks. Or no cycle has ever seen
    it pend: then nothing was decided on it."""
    text = (
        f"burstd knows no job {request.path_params['job']} of yours; one that started here before "
        "a cycle saw it pend was never considered (sacct tells of it)"
    )
    return JSONResponse({"error": text}, status_code=404)


def too_late(why: str) -> Response:
    """It was understood, and can't be done any more."""
    return JSONResponse({"error": why}, status_code=409)


def iso(moment: datetime | None) -> str | None:
    """Seconds are fine enough for people."""
    return moment.isoformat(timespec="seconds") if moment else None
