"""What remains at a target behind its job's end: listed, paid for, and fetched by its user, whose
``burst pull`` speaks for the agent that is gone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from burstd.api.answers import iso, own_burst
from burstd.api.bodies import Ascii, long_body, refusal
from burstd.api.desk import Desk
from burstd.core.decide import purse_of
from burstd.core.lifecycle import advance
from burstd.core.money import egress
from burstd.domain import events as ev
from burstd.domain.burst import Burst, Fetch, Stage
from burstd.domain.data import OutputFile, from_rows, row_of
from burstd.ports.store import StaleBurst

LONGEST_WISH = 64 * 2**20  #: bytes
#: While somebody brings some of it, the rest remains at least so long; but not longer than twice
#: the time that its target keeps such.
GRACE = timedelta(days=1)
MOST_FETCHES = 1000  #: of one burst; each is a line in its row
#: Seconds that who pays waits for a decision that is being made; it looks into the purse, too.
PATIENCE = 30.0


def wished(raw: bytes) -> list[str]:
    """Paths of files that shall be paid for. By the standard library, as ``reports.Told`` is read.
    Raises ``ValueError``."""
    try:
        said = json.loads(raw)
    except RecursionError as error:
        raise ValueError("the wish is nested too deeply") from error
    paths = said.get("paths") if isinstance(said, dict) else None
    if not isinstance(paths, list) or not paths or not all(isinstance(p, str) for p in paths):
        raise ValueError('expected {"paths": [...]}')
    return paths


def may_fetch(desk: Desk, burst: Burst) -> bool:
    """Something of it can be fetched now."""
    return burst.offers(desk.world.clock.now()) and burst.target in desk.world.sites


def may_read(burst: Burst) -> bool:
    """Something was paid for; or what there is must be listed first, which costs nothing."""
    return bool(burst.fetches) or is_unlanded(burst)


def is_unlanded(burst: Burst) -> bool:
    """All of its results remain, whatever its profile calls on demand."""
    return burst.remains is not None and burst.remains.unlanded


def will_remain(burst: Burst) -> bool:
    """Its agent is done, and its end is not written down yet."""
    return burst.stage in {Stage.STAGING_OUT, Stage.STAGED_OUT, Stage.SETTLING}


def listing(desk: Desk, burst: Burst) -> list[OutputFile]:
    """What remains, or is about to; nothing once its time is over."""
    if not (may_fetch(desk, burst) or will_remain(burst)):
        return []
    # What an agent that ended too early has called on demand is but a part.
    kind = "listing" if is_unlanded(burst) else "remains"
    reports = desk.world.store.reports(burst.id, kind)
    return from_rows(reports[kind].body.get("files")) if kind in reports else []


def shown(desk: Desk, burst: Burst, globs: Sequence[str] = ()) -> dict[str, Any] | None:
    """The same for people, without ``globs`` all; ``None``: nothing remains. ``until`` is ``None``
    where its end is not written down yet: it can't be fetched before. ``listed`` is false where its
    user must have a look first (``burst pull`` does): nobody has said yet which files these are."""
    files = listing(desk, burst)
    listed = not is_unlanded(burst) or "listing" in desk.world.store.said(burst.id)
    if not files and (listed or not may_fetch(desk, burst)):
        return None
    if globs:
        files = list(matching(files, directory_of(desk, burst), globs))
    return {
        "burst": burst.id,
        "target": burst.target,
        "until": iso(burst.remains.until if burst.remains else None),
        "unlanded": is_unlanded(burst),
        "listed": listed,
        "files": [{"path": file.path, "bytes": file.size} for file in files],
        "cost": str(egress(sum(file.size for file in files), _price(desk, burst))),
        "currency": desk.world.policy.currency,
    }


def matching(
    files: Iterable[OutputFile], directory: str, globs: Sequence[str]
) -> Iterable[OutputFile]:
    """Those that a glob names, or a directory of theirs; ``globs``: from ``directory`` on."""
    wanted = [glob.removeprefix(f"{directory}/").split("/") for glob in globs]
    for file in files:
        parts = file.path.removeprefix(f"{directory}/").split("/")
        if any(_match(parts, glob) for glob in wanted):
            yield file


def _match(parts: Sequence[str], glob: Sequence[str]) -> bool:
    above = parts[: len(glob)]
    return len(above) == len(glob) and all(map(fnmatchcase, above, glob))


def staged_in(desk: Desk, burst: Burst) -> dict[str, Any]:
    """What its agent said when the inputs were there; it may have lacked anything."""
    reports = desk.world.store.reports(burst.id, "staged_in")
    return dict(reports["staged_in"].body) if "staged_in" in reports else {}


def roots_of(desk: Desk, burst: Burst) -> list[str]:
    """Directories that results may lie in; the job's first."""
    said = staged_in(desk, burst).get("roots")
    return [str(root) for root in said] if isinstance(said, list) else []


def directory_of(desk: Desk, burst: Burst) -> str:
    """The job's."""
    return next(iter(roots_of(desk, burst)), "")


def _price(desk: Desk, burst: Burst) -> Any:
    return desk.world.sites[burst.target].target.observe().egress


def pay(desk: Desk, burst: Burst, paths: Sequence[str], by: str) -> Fetch | str:
    """Take from the purse what these files cost on their way, before the first byte; or say why
    not: none of them is there, or a budget has no room for it. Raises ``StaleBurst``."""
    world, wanted = desk.world, frozenset(paths)
    files = [file for file in listing(desk, burst) if file.path in wanted]
    if not files:
        return f"none of these files remains at {burst.target}"
    if len(burst.fetches) >= MOST_FETCHES:
        return f"they were fetched too often: {MOST_FETCHES} times"
    size = sum(file.size for file in files)
    now, cost = world.clock.now(), egress(size, _price(desk, burst))
    lacks = purse_of(world.policy, world.store.ledger(), now).lacks(
        burst.account, burst.identity.user, cost
    )
    if lacks is not None:
        what = f"{size / 1e9:.3f} GB cost {cost} {world.policy.currency} on their way"
        return f"{what}, {lacks['budget']} ({lacks['of']}) has {lacks['left']} left"
    fetch = Fetch(now, by, len(files), size, cost)
    event = ev.Fetched(fetch, _until(desk, burst))
    world.store.append(burst, event, advance(burst, event))
    detail = {"by": by, "files": fetch.files, "bytes": size, "cost": str(cost)}
    world.store.tell("fetch", burst.id, detail)
    return fetch


def _until(desk: Desk, burst: Burst) -> datetime:
    """How long the rest remains if some of it is fetched now."""
    now = desk.world.clock.now()
    if burst.remains is None:
        return now
    until, last = burst.remains.until, burst.stage_since or now
    last += 2 * desk.world.sites[burst.target].keeps
    return max(until, min(now + GRACE, last))


class RemainsRoutes:
    """The handlers, bound to one desk. For a burst's user alone: files become that user's."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        return [
            Route("/v1/standins/{burst}/remains", self.remains),
            Route("/v1/standins/{burst}/fetches", self.fetches, methods=["POST"]),
            Route("/v1/standins/{burst}/fetching", self.fetching, methods=["POST"]),
        ]

    async def remains(self, request: Request) -> Response:
        """All that who fetches must know."""
        burst = await self._own(request)
        if isinstance(burst, Response):
            return burst
        return Ascii(await run_in_threadpool(self._words, burst))

    def _words(self, burst: Burst) -> dict[str, Any]:
        staged = staged_in(self._desk, burst)
        app = self._desk.world.applications.get(burst.application)
        return {
            "burst": burst.id,
            "key": burst.work_key,
            "target": burst.target,
            "unlanded": is_unlanded(burst),
            "links": self._desk.world.policy.links,
            "roots": roots_of(self._desk, burst),
            "files": list(map(row_of, listing(self._desk, burst))),
            "marks": staged.get("marks") or {},
            "secret": staged.get("secret") or "",
            "scratch": list(app.scratch) if app else [],
        }

    async def fetches(self, request: Request) -> Response:
        """These are about to be fetched."""
        burst = await self._own(request)
        if isinstance(burst, Response):
            return burst
        async with long_body(request, LONGEST_WISH, self._desk.turns) as raw:
            paths = await run_in_threadpool(wished, raw)
        return await run_in_threadpool(self._pay, burst, paths)

    def _pay(self, burst: Burst, paths: Sequence[str]) -> Response:
        if not self._desk.world.paying.acquire(timeout=PATIENCE):
            return refusal(503, "burstd is deciding: try again")
        try:
            fetch = pay(self._desk, burst, paths, burst.identity.user)
        except StaleBurst:
            return refusal(503, "another one fetches: try again")
        finally:
            self._desk.world.paying.release()
        if isinstance(fetch, str):
            return refusal(409, fetch)
        return JSONResponse({"files": fetch.files, "bytes": fetch.size, "cost": str(fetch.cost)})

    async def fetching(self, request: Request) -> Response:
        """Said every half minute while files move: the way stays open."""
        burst = await self._own(request)
        if isinstance(burst, Response):
            return burst
        place = f"target {burst.target}"
        answer = await self._desk.clerks.answer(place, lambda: self._keep_open(burst))
        return answer if answer.status_code != HTTPStatus.OK else Response(status_code=204)

    def _keep_open(self, burst: Burst) -> dict[str, Any]:
        self._desk.world.visited[burst.target] = self._desk.world.clock.now()
        link = self._desk.world.sites[burst.target].link
        if link is not None:
            link.ensure_up()
        return {}

    async def _own(self, request: Request) -> Burst | Response:
        burst = await own_burst(self._desk, request)
        if isinstance(burst, Response):
            return burst
        if not may_fetch(self._desk, burst):
            return refusal(409, f"nothing of job {burst.job} remains at {burst.target}")
        return burst
