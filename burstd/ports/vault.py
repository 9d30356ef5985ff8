"""The seam for the site's own key: it wraps the keys of bursts and signs what the site vouches for,
and no other machine ever has it."""

from __future__ import annotations

from typing import Protocol

from burstd.domain.keys import Signature


class Vault(Protocol):
    """Every method raises ``AccessDenied`` where the site's key can't be used."""

    def wrap(self, key: bytes, meaning: str) -> str:
        """A key as text that is worth nothing without the site's."""

    def unwrap(self, wrapped: str, meaning: str) -> bytes:
        """The key again. Raises ``Mismatch`` for another site's, or one that means something
        else."""

    def sign(self, content: bytes) -> Signature:
        """The site's word that these bytes are right."""
