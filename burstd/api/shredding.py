"""``burst shred``: what lies in buckets can't be read any more by anybody, and the site says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from burstd.api.answers import burst_named, handler, none, operators_only, too_late, why_of
from burstd.api.desk import Desk
from burstd.api.peers import Peer
from burstd.domain.keys import WrappedKey
from burstd.ports.errors import PortError
from burstd.shell.keyring import end, users_of


class ShredRoutes:
    """The handlers, bound to one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        return [
            Route("/v1/keys", handler(self._desk, self.keys)),
            Route("/v1/keys/shred", handler(self._desk, self.shared), methods=["POST"]),
            Route("/v1/jobs/{job}/shred", handler(self._desk, self.of_job), methods=["POST"]),
        ]

    def keys(self, _request: Request, peer: Peer) -> Any:
        """Whose files lie in which bucket. For operators."""
        if not peer.operator:
            return operators_only()
        known = self._desk.world.store.seal_keys()
        return {"keys": [_line(key) for key in known if key.emptied_at is None]}

    def shared(self, request: Request, peer: Peer) -> Any:
        """All that was sealed with a user's or an account's key. For operators."""
        if not peer.operator:
            return operators_only()
        query = request.query_params
        scopes = {f"{kind}:{query[kind]}" for kind in ("user", "account") if query.get(kind)}
        if not scopes:
            raise ValueError("whose? a user's or an account's")
        return self._shred(scopes, peer, why_of(request))

    def of_job(self, request: Request, peer: Peer) -> Any:
        """All that was sealed with the key of a job's burst. For operators."""
        if not peer.operator:
            return operators_only()
        burst = burst_named(self._desk, request.path_params["job"])
        if burst is None:
            return none(request)
        return self._shred({f"burst:{burst.id}"}, peer, why_of(request))

    def _shred(self, scopes: set[str], peer: Peer, why: str) -> Any:
        world = self._desk.world
        if world.store.ledger().suspect:  # a younger one has other bursts, and the key again
            return too_late("the ledger was restored (SAFE mode): burst accept ends it")
        known = [key for key in world.store.seal_keys() if key.scope in scopes]
        keys = [key for key in known if key.emptied_at is None]
        if open_ones := users_of((key.scope for key in keys), world.store.open_bursts()):
            names = ", ".join(str(burst.job) for burst in open_ones[:5])
            return too_late(
                f"{len(open_ones)} open bursts may need it (jobs {names}): burst cancel or burst "
                "return them first"
            )
        made, left = list[Mapping[str, object]](), list[dict[str, Any]]()
        for key in keys:
            if key.bucket not in world.passages:
                world.store.destroy_key(key.place, peer.user, why)
                left.append({**_line(key), "cause": f"no [buckets.{key.bucket}] is configured"})
                continue
            try:
                made.append(end(key, peer.user, why, world.passages[key.bucket], world))
            except PortError as error:
                left.append({**_line(key), "cause": str(error)})
        before = [dict(r.detail) for scope in scopes for r in world.store.shreds(scope)]
        given = {str(one["place"]): one for one in (*before, *made)}
        return {"certificates": list(given.values()), "left": left}


def _line(key: WrappedKey) -> dict[str, Any]:
    destroyed = key.destroyed_at.isoformat(timespec="seconds") if key.destroyed_at else None
    return {
        "scope": key.scope,
        "bucket": key.bucket,
        "place": key.place,
        "made_at": key.made_at.isoformat(timespec="seconds"),
        "destroyed_at": destroyed,
    }
