"""Routes that change something: give back, cancel, freeze, and what a human must judge."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from burstd.api import approvals, pulls, remains
from burstd.api.answers import burst_named, handler, iso, none, operators_only, too_late, why_of
from burstd.api.desk import Desk
from burstd.api.peers import Peer
from burstd.core.lifecycle import IllegalTransition
from burstd.domain import events as ev
from burstd.domain.audit import DAEMON
from burstd.domain.burst import ZERO, Burst, Stage
from burstd.domain.events import OperatorEvent
from burstd.domain.policy import Mode
from burstd.domain.requests import Request as Asked
from burstd.domain.requests import RequestKind
from burstd.ports.store import StaleBurst
from burstd.shell.tick import move


class OperatorRoutes:
    """The handlers, bound to one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        posts = {
            "/v1/freeze": self.freeze,
            "/v1/thaw": self.thaw,
            "/v1/accept": self.accept,
            "/v1/return": self.give_all_back,
            "/v1/jobs/{job}/return": self.give_back,
            "/v1/jobs/{job}/cancel": self.cancel,
            "/v1/jobs/{job}/pull": self.pull,
            "/v1/jobs/{job}/approve": self.approve,
            "/v1/approve": self.approve_all,
            "/v1/quarantine/{job}/{verb}": self.judge,
        }
        return [
            Route("/v1/proposals", handler(self._desk, self.proposals)),
            Route("/v1/returns", handler(self._desk, self.returns)),
            Route("/v1/quarantine", handler(self._desk, self.quarantine)),
            *(
                Route(path, handler(self._desk, answer), methods=["POST"])
                for path, answer in posts.items()
            ),
        ]

    def freeze(self, request: Request, peer: Peer) -> Any:
        """Begin no new burst; what is under way goes on. For operators."""
        if not peer.operator:
            return operators_only()
        store = self._desk.world.store
        store.freeze(peer.user, why_of(request))
        return {"frozen": store.ledger().frozen}

    def thaw(self, _request: Request, peer: Peer) -> Any:
        """New bursts may begin again. For operators."""
        if not peer.operator:
            return operators_only()
        self._desk.world.store.thaw(peer.user)
        self._desk.nudge.set()
        return {"frozen": ""}

    def accept(self, _request: Request, peer: Peer) -> Any:
        """The ledger is right as it is, though somebody remembers more. For operators."""
        if not peer.operator:
            return operators_only()
        store = self._desk.world.store
        said = store.ledger().suspect
        store.accept(peer.user)
        self._desk.nudge.set()
        return {"accepted": said}

    def give_back(self, request: Request, peer: Peer) -> Any:
        """Give one job back before its twin starts; with ``checkpoint``, stop it where it runs, to
        go on at home. For its user and for operators."""
        burst = self._theirs(request, peer)
        if burst is None:
            return none(request)
        store, kinds = self._desk.world.store, [RequestKind.RETURN]
        if "checkpoint" in request.query_params:
            kinds.append(RequestKind.CHECKPOINT)
        why = why_of(request)
        if not any(store.request(burst.id, Asked(kind, peer.user, why)) for kind in kinds):
            burst = store.burst(burst.id) or burst
            stops = burst.stopping and RequestKind.CHECKPOINT in kinds
            if burst.stage is not Stage.RETURNED and not stops:
                return too_late(_no_return(burst))
        self._desk.nudge.set()
        return {"burst": burst.id, "job": str(burst.job), "stage": burst.stage.value}

    def give_all_back(self, request: Request, peer: Peer) -> Any:
        """Freeze and close, and give back whatever has not started. For operators."""
        if not peer.operator:
            return operators_only()
        store, why = self._desk.world.store, why_of(request)
        store.freeze(peer.user, why or "return-all", close=True)
        asked = Asked(RequestKind.RETURN, peer.user, why)
        # What was never touched has not come back, and nobody has said that it may not leave.
        words = f"{peer.user} gave all jobs back" + (f": {why}" if why else "")
        planned = Asked(RequestKind.RETURN, DAEMON, words)
        taken: list[Burst] = []
        started: list[Burst] = []
        for burst in store.open_bursts():
            wish = planned if burst.stage is Stage.PLANNED else asked
            (taken if store.request(burst.id, wish) else started).append(burst)
        self._desk.nudge.set()
        return {"returning": [_line(b) for b in taken], "started": [_line(b) for b in started]}

    def returns(self, _request: Request, peer: Peer) -> Any:
        """What is on its way home because somebody asked for it."""
        store = self._desk.world.store
        asked = {
            id
            for id, requests in store.requests().items()
            if any(request.kind is RequestKind.RETURN for request in requests)
        }
        open_bursts = (b for b in store.open_bursts() if b.id in asked or not b.target)
        return {"returning": [_line(b) for b in open_bursts if peer.may_see(b.identity.user)]}

    def cancel(self, request: Request, peer: Peer) -> Any:
        """End a job, wherever it runs. For its user and for operators."""
        burst = self._theirs(request, peer)
        if burst is None:
            return none(request)
        asked = Asked(RequestKind.CANCEL, peer.user, why_of(request))
        if not self._desk.world.store.request(burst.id, asked):
            return too_late(f"burst {burst.id} of job {burst.job} is {burst.stage.value}: scancel")
        self._desk.nudge.set()
        return {"burst": burst.id, "job": str(burst.job), "stage": burst.stage.value}

    def pull(self, request: Request, peer: Peer) -> Any:
        """Files of a job that runs elsewhere shall come now. For its user and for operators."""
        burst = self._theirs(request, peer)
        if burst is None:
            return none(request)
        globs = request.query_params.getlist("glob")
        if (found := remains.shown(self._desk, burst, pulls.checked(globs))) is not None:
            return {"job": str(burst.job), "globs": globs, "done": True, "remains": found}
        if not pulls.may_pull(burst):
            return too_late(
                f"burst {burst.id} of job {burst.job} is {burst.stage.value}: files can be pulled "
                "while a job runs at a target, and those that a profile calls on demand for some "
                "days after"
            )
        pulls.ask(self._desk, burst, globs, peer.user)
        return pulls.answered(self._desk, burst)

    # --- what waits for an operator's yes

    def proposals(self, _request: Request, peer: Peer) -> Any:
        """What would leave, or come home, if an operator said so."""
        found = [b for b in self._proposed() if peer.may_see(b.identity.user)]
        return {
            "currency": self._desk.world.policy.currency,
            "proposals": [{**_line(b), "reserved": str(b.reserved)} for b in found],
            "results": [
                {**_line(burst), **approvals.words(self._desk, wish)}
                for burst in self._desk.world.store.open_bursts()
                if peer.may_see(burst.identity.user)
                and (wish := approvals.oversized(self._desk, burst)) is not None
            ],
        }

    def approve(self, request: Request, peer: Peer) -> Any:
        """One of them may go, or its results may come home. For operators."""
        if not peer.operator:
            return operators_only()
        burst = burst_named(self._desk, request.path_params["job"])
        if burst is None:
            return none(request)
        if burst.stage is Stage.PLANNED:
            return self._approve([burst], peer, why_of(request))
        said = approvals.grant(self._desk, burst, peer.user, why_of(request))
        if isinstance(said, Response):
            return said
        after, words = said
        self._desk.nudge.set()
        return {"approved": [{**_line(after), **words}]}

    def approve_all(self, request: Request, peer: Peer) -> Any:
        """All that wait at this moment. For operators."""
        if not peer.operator:
            return operators_only()
        return self._approve(self._proposed(), peer, why_of(request))

    def _approve(self, bursts: list[Burst], peer: Peer, why: str) -> dict[str, Any]:
        asked = Asked(RequestKind.APPROVE, peer.user, why)
        taken = [b for b in bursts if self._desk.world.store.request(b.id, asked)]
        self._desk.nudge.set()
        return {"approved": [_line(b) for b in taken]}

    def _proposed(self) -> list[Burst]:
        store = self._desk.world.store
        if self._desk.world.policy.mode is not Mode.APPROVE:
            return []
        asked = store.requests()
        return [
            burst
            for burst in store.open_bursts()
            if burst.stage is Stage.PLANNED
            and all(r.kind is not RequestKind.APPROVE for r in asked.get(burst.id, ()))
        ]

    # --- what a human must judge

    def quarantine(self, _request: Request, peer: Peer) -> Any:
        """The bursts that wait for a human."""
        found = self._desk.world.store.quarantined()
        return {"quarantined": [_line(b) for b in found if peer.may_see(b.identity.user)]}

    def judge(self, request: Request, peer: Peer) -> Any:
        """Put a burst into quarantine, let it go on, or let go of it. For operators."""
        if not peer.operator:
            return operators_only()
        burst = burst_named(self._desk, request.path_params["job"])
        if burst is None:
            return none(request)
        event = _judgement(request.path_params["verb"], burst, peer.user, why_of(request))
        try:
            after = move(burst, event, self._desk.world)
        except IllegalTransition:
            return too_late(f"burst {burst.id} of job {burst.job} is {burst.stage.value}")
        except StaleBurst:
            return too_late(f"burst {burst.id} has just moved: look again")
        self._desk.nudge.set()
        return {"burst": _line(after)}

    def _theirs(self, request: Request, peer: Peer) -> Burst | None:
        burst = burst_named(self._desk, request.path_params["job"])
        return burst if burst is not None and peer.may_see(burst.identity.user) else None


def _judgement(verb: str, burst: Burst, by: str, why: str) -> OperatorEvent:
    """Raises ``ValueError`` for another verb."""
    if verb == "add":
        return ev.Quarantined(by, why)
    if verb == "release":
        return ev.Released(by, why)
    if verb == "abandon":
        # Nobody will ever tell what its twin used: the worst case is what it may have cost.
        return ev.Abandoned(by, why, burst.reserved if burst.submit_intended else ZERO)
    raise ValueError(f"{verb[:40]} is nothing that can be done with a burst")


def _no_return(burst: Burst) -> str:
    where = f"burst {burst.id} of job {burst.job} is {burst.stage.value}"
    if burst.stage.at_rest:
        return where
    if burst.may_stop:
        return f"{where} at {burst.target}: burst return --checkpoint stops it there to go on here"
    return f"{where}: it was permitted to start at {burst.target}; burst cancel ends it there"


def _line(burst: Burst) -> dict[str, Any]:
    at = burst.quarantined_at
    return {
        "burst": burst.id,
        "job": str(burst.job),
        "user": burst.identity.user,
        "name": burst.identity.name,
        "target": burst.target,
        "stage": burst.stage.value,
        "since": iso(burst.stage_since),
        "quarantined_at": at.value if at else None,
        "twin": burst.work_key if burst.submit_intended else None,
        "cause": burst.cause,
    }
