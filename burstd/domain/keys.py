"""Keys of what lies in a bucket for a while. Who has destroyed a key has destroyed all copies of
what was sealed with it, wherever they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Per(Enum):
    """Whose files are sealed with one key."""

    BURST = "burst"
    USER = "user"
    ACCOUNT = "account"


@dataclass(frozen=True)
class WrappedKey:
    """A key as the ledger has it. ``place``: 32 random hex digits that all its objects' names begin
    with: they tell nobody whose they are."""

    place: str
    bucket: str
    scope: str  #: ``burst:ID``, ``user:NAME`` or ``account:NAME``
    wrapped: str | None  #: by the site's key; ``None``: destroyed
    made_at: datetime
    destroyed_at: datetime | None = None
    #: When nothing was there any more. An address that was signed before may bring an object back.
    emptied_at: datetime | None = None
    by: str = ""  #: who destroyed it
    why: str = ""

    @property
    def meaning(self) -> str:
        """What it is for: it can be unwrapped as nothing else."""
        return f"burstd key {self.place} {self.bucket} {self.scope}"


@dataclass(frozen=True)
class Signature:
    """By the site; both in hex. Ed25519 (RFC 8032)."""

    public_key: str
    signature: str


def certificate(
    key: WrappedKey, where: str, at: datetime, objects: int, size: int
) -> Mapping[str, object]:
    """What a site can show of data that were removed; it is signed as canonical JSON. ``where``:
    the bucket and its server."""
    return {
        "certificate": "deletion",
        "scope": key.scope,
        "bucket": where,
        "place": key.place,
        "key_made_at": key.made_at.isoformat(),
        "key_destroyed_at": key.destroyed_at.isoformat() if key.destroyed_at else None,
        "removed_at": at.isoformat(),
        "objects": objects,
        "bytes": size,
        "by": key.by,
        "why": key.why,
    }
