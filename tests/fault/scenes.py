"""All scenes of the campaign."""

from __future__ import annotations

from tests.fault import clocks, deaths, disks, kills, operators, users, weather
from tests.fault.scene import Scene


def every(kills_a_run: int) -> list[Scene]:
    """In the order in which they are played."""
    groups = (deaths, weather, users, operators, disks, clocks)
    return [*kills.scenes(kills_a_run), *(s for group in groups for s in group.scenes())]
