"""All scenes of the campaign."""

from __future__ import annotations

from tests.fault import deaths, kills
from tests.fault.scene import Scene


def every(kills_a_run: int) -> list[Scene]:
    """In the order in which they are played."""
    return [*kills.scenes(kills_a_run), *deaths.scenes()]
