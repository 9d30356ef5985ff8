"""A scene of the campaign: a workload and a fault, and how to play it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.oracle import Finding
from tests.fault.rig import Rig


@dataclass(frozen=True)
class Scene:
    """``play`` gets a cleared lab and returns what the oracle found."""

    name: str  #: group/fault
    workload: str
    play: Callable[[Rig], list[Finding]]
