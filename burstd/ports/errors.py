"""The only errors that cross a port. Adapters translate everything else at their edge.

PortError
  Transient(retry_after)   wait and call again       -> Deferred(due_at)
    Unreachable            network, tunnel, service did not answer
    Throttled              asked to slow down
    NoRoom                 a disk or a quota is full: parks until there is room
  Permanent                never as it stands        -> Refused: home, or quarantine
    Rejected               the far side will not take this work
    AccessDenied           our credentials
    Mismatch               a digest or a contract is violated
"""

from __future__ import annotations

from datetime import timedelta


class PortError(Exception):
    """Base of the errors an adapter may raise."""


class Transient(PortError):
    """Try the same call again; nothing about the burst is wrong."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(Transient):
    """The far side did not answer: network, tunnel or service."""


class Throttled(Transient):
    """The far side asked us to slow down."""


class NoRoom(Transient):
    """A disk or quota is full."""


class Permanent(PortError):
    """This call will never succeed as it stands."""


class Rejected(Permanent):
    """The far side will not take this work."""


class AccessDenied(Permanent):
    """Our credentials do not allow this."""


class Mismatch(Permanent):
    """A digest differs, or the far side broke its contract."""
