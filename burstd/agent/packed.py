"""Packs that are ready to go."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pack:
    """``plain``: its size before it was compressed, if it is."""

    content: bytes
    plain: int | None


@dataclass(frozen=True)
class Left:
    """A pack that lies in the bucket, with the seconds that it took to make and to send it; none of
    either where it lay there already."""

    name: str
    address: str = field(repr=False)
    made: float = 0.0
    sent: float = 0.0
