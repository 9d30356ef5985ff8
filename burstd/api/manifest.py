"""``burst files``: what of a job has left the site."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from burstd.api.answers import iso
from burstd.api.desk import Desk
from burstd.domain.burst import Burst
from burstd.ports.store import Report


def manifest(desk: Desk, burst: Burst) -> dict[str, Any]:
    """Path, bytes, BLAKE3, time of the last change (ns since 1970) and mode of each input, and of
    the batch script its bytes and BLAKE3; as its agent reported them once all were there. ``begun``
    are others that it had begun to send, with their bytes: of those a part may have left."""
    reports = desk.world.store.reports(burst.id, "staged_in", "refused", "leaving")
    told = reports.get("staged_in")
    said = told.body.get("files") if told else None
    # It is the word of a user's agent.
    files = [f for f in said if _is_file(f)] if isinstance(said, list) else []
    leaving = reports.get("leaving")
    begun = _begun(leaving.body.get("files"), {f["path"] for f in files}) if leaving else []
    return {
        "job": str(burst.job),
        "burst": burst.id,
        "user": burst.identity.user,
        "target": burst.target,
        "left_at": iso(told.at) if told else None,
        "refused": _cause(reports.get("refused")),
        "script": told.body.get("script") if told else None,
        "files": files,
        "bytes": sum(file["size"] for file in files),
        "begun_at": iso(leaving.at) if leaving and begun else None,
        "begun": begun,
    }


def _is_file(said: object) -> bool:
    kinds = {"path": str, "size": int, "blake3": str}
    return isinstance(said, dict) and all(isinstance(said.get(n), k) for n, k in kinds.items())


def _begun(said: object, whole: Container[str]) -> list[dict[str, Any]]:
    files = said if isinstance(said, dict) else {}
    return [
        {"path": path, "size": size}
        for path, size in files.items()
        if path not in whole and isinstance(size, int)
    ]


def _cause(refused: Report | None) -> str | None:
    return str(refused.body.get("cause", "")) if refused else None
