"""``burst pull``: asking a burst's agent for files of a job that still runs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from burstd.api import remains
from burstd.api.desk import Desk
from burstd.core.orders import ORDERS, Order
from burstd.domain.burst import Burst, BurstId
from burstd.ports.store import BurstStore

#: Kinds of reports: what was asked for last, and what came of it.
ASKED, ANSWERED = "pull", "pulled"
MOST_GLOBS, LONGEST_GLOB = 32, 4096


def may_pull(burst: Burst) -> bool:
    """Whether its agent can look at its files now."""
    return ORDERS[burst.stage] is Order.FOLLOW


def ask(desk: Desk, burst: Burst, globs: Sequence[str], by: str) -> dict[str, Any]:
    """What is asked for now; it takes the place of what was asked before. Raises what ``checked``
    raises."""
    said = {"id": secrets.token_hex(8), "globs": list(checked(globs)), "by": by}
    desk.world.store.report(burst.id, ASKED, said)
    desk.world.store.tell("pull", burst.id, {"by": by, "globs": list(globs)})
    return said


def checked(globs: Sequence[str]) -> Sequence[str]:
    """Raises ``ValueError`` for what is no glob below the job's directory."""
    if not 0 < len(globs) <= MOST_GLOBS:
        raise ValueError(f"one glob at least, {MOST_GLOBS} at most")
    for glob in globs:
        if len(glob) > LONGEST_GLOB or {"..", ".", ""} & {*glob.removeprefix("/").split("/")}:
            raise ValueError(f"no glob below the job's directory: {glob[:80]!r}")
    return globs


def unanswered(store: BurstStore, burst: BurstId) -> Mapping[str, Any] | None:
    """What its agent is to bring now."""
    if ASKED not in store.said(burst):
        return None
    reports = store.reports(burst, ASKED, ANSWERED)
    asked, answer = reports[ASKED].body, reports.get(ANSWERED)
    return None if answer and answer.body.get("id") == asked["id"] else asked


def answered(desk: Desk, burst: Burst) -> dict[str, Any]:
    """The last question, and what came of it; ``done`` is false while nobody knows."""
    reports = desk.world.store.reports(burst.id, ASKED, ANSWERED)
    if ASKED not in reports:
        found: dict[str, Any] = {"job": str(burst.job), "globs": [], "done": True}
        return {**found, "files": [], "notes": [], "remains": remains.shown(desk, burst)}
    asked, answer = reports[ASKED].body, reports.get(ANSWERED)
    said = answer.body if answer and answer.body.get("id") == asked["id"] else {}
    return {
        "job": str(burst.job),
        "globs": asked["globs"],
        "done": bool(said) or not may_pull(burst),
        "files": _files(said.get("files")),
        "notes": [str(note) for note in _list(said.get("notes"))],
        "remains": remains.shown(desk, burst),
    }


def _list(said: object) -> list[Any]:
    return said if isinstance(said, list) else []  # it is the word of a user's agent


def _files(said: object) -> list[dict[str, Any]]:
    return [
        {"path": str(f.get("path")), "bytes": f["bytes"], "whole": f.get("whole") is True}
        for f in _list(said)
        if isinstance(f, dict) and isinstance(f.get("bytes"), int)
    ]
