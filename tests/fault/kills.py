"""burstd killed at every point of the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from burstd.testing.points import LABELS, Point
from lab.oracle import Finding
from tests.fault.errands import ALL
from tests.fault.rig import Rig, whole_life
from tests.fault.scene import Scene

WORKLOAD = "serial, array, 2 nodes, fails, cancelled, 200 files, afterok, returned, wish"


def chains(kills: int) -> Iterator[tuple[Point, ...]]:
    """All points, `kills` of them to a run, far apart in a life and in its order."""
    points = [Point.parse(label) for label in LABELS]
    runs = -(-len(points) // kills)
    for first in range(runs):
        yield tuple(points[first::runs])


def scenes(kills: int) -> list[Scene]:
    """One scene per chain."""
    return [scene(chain) for chain in chains(kills)]


def scene(points: Sequence[Point]) -> Scene:
    """All kinds of jobs at once, and burstd dies at these points."""

    def play(run: Rig) -> list[Finding]:
        return killed(run, points)

    return Scene(f"kill/{'+'.join(map(str, points))}", WORKLOAD, play)


def killed(run: Rig, points: Sequence[Point]) -> list[Finding]:
    """Everything at once, burstd dying at the points. One not met is a finding too."""
    if any(point.effect == "far.image" for point in points):
        run.without_image()
    found = whole_life(run, ALL, points)
    if run.unreached:
        found.append(Finding("points met", tuple(map(str, run.unreached))))
    return found
