"""Links: the encrypted ways to a target."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

LinkName = NewType("LinkName", str)
#: Whoever's clock is wrong by an hour, or is set right by one, must not refuse a fresh certificate.
SKEW = timedelta(minutes=65)


@dataclass(frozen=True)
class LinkView:
    """One look at a link. ``up`` means: configured and answered since it was brought up."""

    name: LinkName
    up: bool
    session: bool = False  #: fresh keys are in use, not the enrolment pair
    last_handshake: datetime | None = None
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True)
class SessionOffer:
    """Fresh keys of one session: what the far gate must know before we may switch to them."""

    public_key: str
    preshared_key: str
    address: str  #: the inner address that these keys may use
