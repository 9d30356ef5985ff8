"""The audit log's nouns: one record per decision, effect and operator's action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

#: Who acts when nobody asked.
DAEMON = "burstd"


@dataclass(frozen=True)
class AuditRecord:
    """One link of the chain. ``seq`` is dense and begins at 1; ``prev`` is the digest before."""

    seq: int
    at: datetime
    actor: str  #: ``burstd`` or a user's name
    action: str  #: ``burst.<event>``, ``effect.<port call>``, ``decision``, ``operator.<command>``
    subject: str  #: a burst's id, a job, or empty
    detail: Mapping[str, object] = field(default_factory=dict)
    prev: str = ""
    digest: str = ""  #: SHA-256 in hex over all the other fields


@dataclass(frozen=True)
class AuditHead:
    """Where a chain ends: what must be kept elsewhere to notice a cut-off end."""

    seq: int
    digest: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> AuditHead:
        """Read ``SEQ:DIGEST``. Raises ``ValueError``."""
        seq, _, digest = text.partition(":")
        if len(digest) != len(NOTHING.digest):
            raise ValueError(f"{text!r} is not SEQ:DIGEST")
        return cls(int(seq), digest)


#: The head of an empty log.
NOTHING = AuditHead(0, "0" * 64)
