"""``burst decisions``: what was decided, as lines of JSON, as they are read from the disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from burstd.api.answers import iso
from burstd.api.desk import Desk, job_key
from burstd.api.peers import Peer
from burstd.core.chronicle import counted
from burstd.domain.decision import Outline
from burstd.domain.jobs import JobKey
from burstd.domain.plan import Decline, Placement, Plan
from burstd.ports.decisions import Decisions, Kept
from burstd.ports.errors import PortError

DAY = timedelta(days=1)
EVER = datetime.min.replace(tzinfo=UTC)

#: ``None``: nothing to tell yet; the asking side hears that somebody is still there.
Lines = Iterator[dict[str, Any] | None]


def decisions(desk: Desk, query: Mapping[str, str], peer: Peer) -> Response:
    """One line for each decision of [``since``, ``until``), with its verdicts if those are asked
    for; or for each change of the verdict on ``job``. A user's are of own jobs only.

    Beside those: ``{"lost": [...]}``, what could not be read, and ``{"error": ...}`` at the end.
    """
    now = desk.world.clock.now()
    key = job_key(desk, query["job"]) if query.get("job") else None
    try:
        since = _moment(query.get("since", "")) or (now - DAY if key is None else EVER)
        until = _moment(query.get("until", "")) or now + DAY
    except (OverflowError, ValueError) as error:
        said = f"not a time like 2026-11-01 or 2026-11-01T14:30: {error}"
        return JSONResponse({"error": said}, status_code=400)
    lost: list[str] = []
    store, lines = desk.world.decisions, _nothing()
    if store is not None and key is not None:
        lines = _story(store.kept(since, until, lost.append), key, peer)
    elif store is not None and (query.get("verdicts") or not peer.operator):
        verdicts = bool(query.get("verdicts"))
        lines = _plans(store.kept(since, until, lost.append), peer, verdicts=verdicts)
    elif store is not None:
        lines = _outlines(store, since, until, lost)
    return StreamingResponse(_text(lines, lost), media_type="application/x-ndjson")


def placements(plan: Plan, peer: Peer) -> list[dict[str, Any]]:
    """Who leaves, of those that this one may see."""
    return [
        {"job": str(p.identity.key), "user": p.identity.user, "target": p.target,
         "application": p.application, "cores": p.cores, "gpus": p.gpus,
         "reserved": str(p.reserved)}
        for p in plan.placements
        if peer.may_see(p.identity.user)
    ]  # fmt: skip


def _text(lines: Lines, lost: list[str]) -> Iterator[str]:
    try:
        for line in lines:
            yield "\n" if line is None else f"{json.dumps(line)}\n"
    except PortError as error:
        yield f"{json.dumps({'error': str(error)})}\n"
    if lost:
        yield f"{json.dumps({'lost': lost})}\n"


def _nothing() -> Lines:
    yield from ()


def _outlines(store: Decisions, since: datetime, until: datetime, lost: list[str]) -> Lines:
    for found in store.outlines(since, until, lost.append):
        yield _outline(found)


def _plans(found: Iterator[Kept], peer: Peer, *, verdicts: bool) -> Lines:
    for kept in found:
        plan = kept.plan()
        own = replace(
            plan,
            placements=tuple(p for p in plan.placements if peer.may_see(p.identity.user)),
            declined=tuple(d for d in plan.declined if peer.may_see(d.identity.user)),
        )
        line = _outline(counted(kept.outline, own))
        if verdicts:
            line |= {"placements": placements(own, peer), "declines": _declines(own)}
        yield line


def _outline(found: Outline) -> dict[str, Any]:
    return {
        "at": found.at.isoformat(),
        "mode": found.mode.value,
        "backlog_core_hours": found.backlog,
        "surging": bool(found.surging),
        "pressures": sorted(found.surging),
        "leave": found.leave,
        "stay": dict(found.stay),
        "reserved": str(found.reserved),
        "currency": found.currency,
    }


def _declines(plan: Plan) -> list[dict[str, Any]]:
    """Who hears the same, together: a long queue has few different verdicts."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for decline in plan.declined:
        user, text = decline.identity.user, decline.text
        group = groups.setdefault((user, text), {"user": user, **_why(decline), "jobs": []})
        group["jobs"] += map(str, decline.elements)
    return list(groups.values())


def _why(decline: Decline) -> dict[str, Any]:
    return {
        "reason": decline.reason.name.lower(),
        "numbers": dict(decline.numbers),
        "text": decline.text,
    }


def _story(found: Iterator[Kept], key: JobKey, peer: Peer) -> Lines:
    said: dict[tuple[object, ...], Placement | Decline] = {}
    for kept in found:
        own = [v for v in kept.verdicts(key.job_id) if _is_on(v, key, peer)]
        now = {_word(verdict): verdict for verdict in own}
        for word in [word for word in now if word not in said]:
            told = _told(now[word], kept.outline.currency)
            yield {"at": iso(kept.outline.at), **told}
        if said and not now:
            text = "nothing is decided on it any more: it is away, it runs, or it is over"
            yield {"at": iso(kept.outline.at), "jobs": [str(key)], "leaves": None, "text": text}
        said = now
        yield None


def _is_on(verdict: Placement | Decline, key: JobKey, peer: Peer) -> bool:
    if not peer.may_see(verdict.identity.user):
        return False
    return key.array_task is None or key in (verdict.identity.key, *_elements(verdict))


def _elements(verdict: Placement | Decline) -> tuple[JobKey, ...]:
    return verdict.elements if isinstance(verdict, Decline) else (verdict.identity.key,)


def _word(verdict: Placement | Decline) -> tuple[object, ...]:
    """What must differ for it to be another verdict: not its numbers."""
    who = verdict.identity.submitted_at, verdict.identity.user
    if isinstance(verdict, Placement):
        return (*who, verdict.target, verdict.identity.key)
    return (*who, verdict.reason)


def _told(verdict: Placement | Decline, currency: str) -> dict[str, Any]:
    told = {
        "jobs": [str(key) for key in _elements(verdict)],
        "user": verdict.identity.user,
        "leaves": isinstance(verdict, Placement),
    }
    if isinstance(verdict, Decline):
        return {**told, **_why(verdict)}
    return {
        **told,
        "target": verdict.target,
        "application": verdict.application,
        "reserved": str(verdict.reserved),
        "currency": currency,
        "text": f"it goes to {verdict.target} for at most {verdict.reserved} {currency}",
    }


def _moment(text: str) -> datetime | None:
    """Without a zone it is UTC's. Raises ``ValueError``, or ``OverflowError`` for one before all
    times."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
