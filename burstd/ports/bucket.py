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
    """The part of a bucket below the configured prefix. Safe for threads.

    Names are relative to it: lower-case letters, digits, ``-``, and single ``/`` between them.
    ``below``: a directory with a ``/`` at its end; or one name, which means that object alone, not
    all whose names begin so; or empty, for everything.

    Every method may raise ``AccessDenied``; ``Rejected``, for a name that is none, before anything
    is sent; and all but the two that only sign, ``Unreachable`` and ``Throttled``.
    """

    def put_address(self, name: str, seconds: int) -> str:
        """A URL that takes PUTs of that object for so long, a week at most, and no longer than the
        credentials that sign it hold. Sends nothing. The last PUT that ends has the say."""

    def get_address(self, name: str, seconds: int) -> str:
        """A URL that gives that object by GET, for so long as a put_address holds. Sends
        nothing: the object need not be there."""

    def listed(self, below: str) -> Iterator[Stored]:
        """The objects there, in the order of their names. Errors come while it is read."""

    def remove(self, below: str) -> Swept:
        """Whatever is there is gone for ever: every version, every marker and every upload that
        has not ended; proven by lists that are empty afterwards. Again: nothing happens. An address
        for PUT that holds still can bring an object back.

        Raises ``Mismatch`` where something is left that can't be removed (retention), after
        everything else is gone.
        """
