"""What people ask of a burst that is under way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class RequestKind(Enum):
    """What shall become of it."""

    RETURN = "return"  #: give the job back, as long as its twin was not permitted to start
    APPROVE = "approve"  #: it may go (policy.mode approve)
    CANCEL = "cancel"  #: end the job, wherever it runs
    CHECKPOINT = "checkpoint"  #: let it save its state and stop there; it goes on at home


ALL = frozenset(RequestKind)
#: Of ``burst``'s, where they are not named as the kind is.
_COMMANDS = {RequestKind.CHECKPOINT: "return --checkpoint"}


@dataclass(frozen=True)
class Request:
    """One of them, and who asked. ``why`` may be empty."""

    kind: RequestKind
    by: str
    why: str = ""

    def __str__(self) -> str:
        command = _COMMANDS.get(self.kind, self.kind.value)
        words = f"{self.by} asked for it: burst {command}"
        return f"{words} ({self.why})" if self.why else words
