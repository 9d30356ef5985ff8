"""What a rule says of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """One line of an explanation. ``place``: file and line of ``setting``; empty: its default."""

    rule: str
    holds: bool
    text: str
    numbers: Mapping[str, str] = field(default_factory=dict)
    setting: str = ""
    place: str = ""
    cure: str = ""
