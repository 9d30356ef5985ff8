"""The seam for an object store (S3) between the site and a target. The daemon alone holds its
credentials; agents and far ends get presigned addresses of single objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Stored:
    """An object as it is listed."""

    name: str
    size: int  #: bytes
    modified: datetime  #: aware


@dataclass(frozen=True)
class Swept:
    """What a removal took away."""

    objects: int = 0  #: older versions and delete markers counted, uploads that never ended too
    size: int = 0  #: bytes, as far as they were listed


class Bucket(Protocol):
    """The part of a bucket below the configured prefix. Names are relative to it: lower-case
    letters, digits, ``/`` and ``-``.

    Every method but the two that only sign may raise ``Unreachable``, ``Throttled``,
    ``AccessDenied`` or ``Rejected``.
    """

    def put_address(self, name: str, seconds: int) -> str:
        """A URL that takes one PUT of that object for so long. Sends nothing."""

    def get_address(self, name: str, seconds: int) -> str:
        """A URL that gives that object for so long, by GET. Sends nothing."""

    def listed(self, below: str) -> Iterator[Stored]:
        """The objects whose names begin so, in the order of their names."""

    def remove(self, below: str) -> Swept:
        """Whatever has a name that begins so is gone for ever: every version, every marker and
        every upload that has not ended; proven by lists that are empty afterwards. Again: nothing
        happens. Raises ``Mismatch`` where something is left that can't be removed (retention)."""
