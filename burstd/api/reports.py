"""What agents report: heard at the stages at which it is rightly said, and as long as it may be."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from burstd.api.answers import own_burst
from burstd.api.bodies import SHORT, TooLong, long_body, refusal
from burstd.api.desk import Desk
from burstd.api.remains import is_unlanded, may_fetch
from burstd.core.orders import ORDERS, Order
from burstd.domain.burst import Burst, Stage

LARGEST = 64 * 2**20  #: bytes; a manifest of some 300,000 files
#: Bytes of a report of each kind. A job may leave a thousand notes on its results, and its user
#: pull thousands of files; what is only a number or two is ``SHORT``.
MOST: Mapping[str, int] = {
    "leaving": LARGEST,
    "staged_in": LARGEST,
    "refused": 2**20,
    "oversized": SHORT,
    "staged_out": 4 * 2**20,
    "recalled": SHORT,
    "notes": SHORT,
    "pulled": 16 * 2**20,
    "over": SHORT,
    "remains": LARGEST,
    "listing": LARGEST,
    "came": SHORT,
    "moving": SHORT,
}
#: Reports that nothing waits for; the first may come several times a second.
NOTED = frozenset({"came", "leaving", "listing", "moving"})
#: Said again, they ask for a look again: the far end may be behind what the agent has seen, and
#: Slurm kills one that was told to end within half a minute.
PRESSING = frozenset({"recalled", "over"})

_FOLLOWED = frozenset(stage for stage, order in ORDERS.items() if order is Order.FOLLOW)
#: Others are heard as long as their burst is open.
HEARD_AT: Mapping[str, frozenset[Stage]] = {
    "leaving": frozenset({Stage.STAGING_IN}),
    "staged_in": frozenset({Stage.STAGING_IN}),
    "refused": frozenset({Stage.STAGING_IN}),
    "over": _FOLLOWED,
    "oversized": frozenset({Stage.STAGING_OUT}),
    "remains": frozenset({Stage.STAGING_OUT}),
    "staged_out": frozenset({Stage.STAGING_OUT}),
}
_BEFORE_INPUTS = frozenset({Stage.PLANNED, Stage.CLAIMING, Stage.CLAIMED})

_KIND = re.compile(rb'\s*\{\s*"kind"\s*:\s*"(\w+)"')
#: Bytes, at least, for each of these in a long list of files, of which a name is the greater part.
_SPARSE = {b"[": 16, b"{": 16, b'"': 4, b",": 4}


class Told(BaseModel):
    """A report; ``body`` is kept as it is and given back to a restarted agent."""

    model_config = ConfigDict(extra="forbid")
    kind: str = Field(pattern=rf"^({'|'.join(MOST)})$")
    body: dict[str, Any]

    @classmethod
    def read(cls, raw: bytes) -> Told:
        """By the standard library: a file's name may be any bytes, and pydantic's own reader takes
        no lone surrogates. Raises ``ValueError``, and ``TooLong`` by the kind, which comes first in
        a long one."""
        if len(raw) > SHORT:
            kind = _KIND.match(raw)
            if kind is None or len(raw) > MOST.get(kind[1].decode(), SHORT):
                raise TooLong
            sparse(raw)
        try:
            return cls.model_validate(json.loads(raw))
        except RecursionError as error:
            raise ValueError("the report is nested too deeply") from error


def sparse(raw: bytes) -> None:
    """A list of files has few bytes beside names and digests. Of another the values would take
    twenty times its length. Raises ``ValueError``."""
    if any(raw.count(sign) * bytes_each > len(raw) for sign, bytes_each in _SPARSE.items()):
        raise ValueError("that is no list of files")


class ReportRoutes:
    """The handlers, bound to one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        return [
            Route("/v1/standins/{burst}/reports", self.report, methods=["POST"]),
            Route("/v1/standins/{burst}/reports/{kind}", self.reported),
        ]

    async def report(self, request: Request) -> Response:
        """Something the agent did or learned. What comes too late is answered, for it must not stop
        an agent, and not kept."""
        burst = await own_burst(self._desk, request)
        if isinstance(burst, Response):
            return burst
        async with long_body(request, LARGEST, self._desk.turns) as raw:
            return await run_in_threadpool(self._keep, burst, raw)

    def _keep(self, burst: Burst, raw: bytes) -> Response:
        told, store = Told.read(raw), self._desk.world.store
        burst = store.burst(burst.id) or burst  # it may have moved while the words came
        if not self._is_heard(burst, told.kind):
            return JSONResponse({"unheard": f"this burst is {burst.stage.value}"})
        news = store.report(burst.id, told.kind, told.body)
        if told.kind in PRESSING or (news and told.kind not in NOTED):
            self._desk.nudge.set()
        return Response(status_code=204)

    def _is_heard(self, burst: Burst, kind: str) -> bool:
        if kind == "listing":
            return may_fetch(self._desk, burst) and is_unlanded(burst)
        if burst.stage in HEARD_AT.get(kind, frozenset()):
            return True
        if kind in {"leaving", "staged_in"}:
            # Its job was asked back while they were sent: what has left is on record all the same.
            late = not burst.stage.at_rest or burst.stage is Stage.QUARANTINED
            late &= burst.stage not in _BEFORE_INPUTS
            return late and not {kind, "staged_in"} & self._desk.world.store.said(burst.id)
        return kind not in HEARD_AT and not burst.stage.at_rest

    async def reported(self, request: Request) -> Response:
        """What this burst's agent said before it was restarted."""
        burst = await own_burst(self._desk, request)
        if isinstance(burst, Response):
            return burst
        kind = request.path_params["kind"]
        text = await run_in_threadpool(self._desk.world.store.report_text, burst.id, kind)
        if text is None:
            return refusal(404, f"no report {kind}")
        return Response(text, media_type="application/json")
