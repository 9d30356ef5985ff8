"""The seam for the encrypted way to a target."""

from __future__ import annotations

from typing import Protocol

from burstd.domain.links import LinkView


class Link(Protocol):
    """Both verbs are idempotent; each may raise ``Unreachable``."""

    def view(self) -> LinkView:
        """What is there now."""

    def ensure_up(self) -> None:
        """Return once the far end has answered over the link, with fresh session keys."""

    def ensure_down(self) -> None:
        """Withdraw the session's keys at the far end, then remove the link here."""
