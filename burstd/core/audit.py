"""The audit log's chain: each record holds the digest of the one before it.

Who changes, removes or moves a record must change every later one, and the head that a site keeps
elsewhere (the daemon logs it) no longer fits. A cut-off end is noticed only against such a head.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from burstd.domain.audit import NOTHING, AuditHead, AuditRecord


class BrokenChain(Exception):
    """A record was changed, removed, added or moved; the text says which."""


def chained(head: AuditHead, record: AuditRecord) -> AuditRecord:
    """``record`` as the next one after ``head``."""
    placed = replace(record, seq=head.seq + 1, prev=head.digest, digest="")
    return replace(placed, digest=_digest(placed))


def verify(records: Iterable[AuditRecord], known: AuditHead = NOTHING) -> AuditHead:
    """Follow the chain from its beginning and return its head.

    ``known`` is a head that was seen before: it must lie on the chain. Raises ``BrokenChain``.
    """
    head, met = NOTHING, known == NOTHING
    for record in records:
        if record.seq != head.seq + 1:
            raise BrokenChain(f"record {head.seq + 1} is missing: {record.seq} follows {head.seq}")
        if record.prev != head.digest:
            raise BrokenChain(f"record {record.seq} does not continue record {head.seq}")
        if record.digest != _digest(record):
            raise BrokenChain(f"record {record.seq} was changed")
        head = AuditHead(record.seq, record.digest)
        met = met or head == known
    if not met:
        what = "its end is cut off" if head.seq < known.seq else "it was written anew"
        raise BrokenChain(f"the known head {known.seq} is not on the chain of {head.seq}: {what}")
    return head


def to_json(record: AuditRecord) -> dict[str, Any]:
    """As it is exported: one JSON object."""
    return {**_content(record), "digest": record.digest}


def from_json(found: Mapping[str, Any]) -> AuditRecord:
    """The record of an export. Raises ``BrokenChain`` where it is none."""
    try:
        return AuditRecord(
            seq=int(found["seq"]),
            at=datetime.fromisoformat(found["at"]),
            actor=str(found["actor"]),
            action=str(found["action"]),
            subject=str(found["subject"]),
            detail=dict(found["detail"]),
            prev=str(found["prev"]),
            digest=str(found["digest"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenChain(f"not an audit record: {error!r}") from error


def canonical(value: object) -> str:
    """The one text of a JSON value: sorted keys, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _content(record: AuditRecord) -> dict[str, Any]:
    return {
        "seq": record.seq,
        "at": record.at.isoformat(),
        "actor": record.actor,
        "action": record.action,
        "subject": record.subject,
        "detail": dict(record.detail),
        "prev": record.prev,
    }


def _digest(record: AuditRecord) -> str:
    return hashlib.sha256(canonical(_content(record)).encode()).hexdigest()
