"""A small cut of the crash campaign; ``make faults`` plays all of it."""

from __future__ import annotations

import pytest

from burstd.testing.points import Point
from tests.fault.campaign import play
from tests.fault.kills import scene
from tests.fault.scene import Scene
from tests.fault.scenes import every
from tests.lab.conftest import Site

pytestmark = pytest.mark.lab

#: The dozen where most could go wrong, in the order of a life, far apart in each run.
DEADLY = (
    ("claim.hold.after", "far.submit.after", "permit.recorded.after", "far.clean.after"),
    ("claiming.recorded.after", "return.move.after", "far.start.before", "staged_out.heard.after"),
    ("claim.release.before", "submitting.recorded.after", "far.start.after", "far.clean.before"),
)  # fmt: skip
OTHERS = (
    "dead/slurmctld-loses-a-submission",
    "dead/netd-running",
    "user/requeue-running",
    "disk/far",
)


def cut() -> list[Scene]:
    """Three lives with four deaths each, and one of each other sort."""
    named = {one.name: one for one in every(4)}
    kills = [scene([Point.parse(label) for label in labels]) for labels in DEADLY]
    return [*kills, *(named[name] for name in OTHERS)]


@pytest.mark.parametrize("scene", cut(), ids=lambda scene: scene.name.replace("/", " "))
def test_the_oracle_finds_nothing(site: Site, scene: Scene) -> None:
    assert "ok" == play(site.lab, scene).verdict
