"""What targets keep for later bursts goes with age, whether a burst comes or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from burstd.domain.policy import Mode
from burstd.shell.clearing import Tidier
from burstd.testing.simulators import in_file
from tests.flow.scene import POLICY, Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(database=in_file(tmp_path / "ledger.db"))


def tidied(scene: Scene) -> int:
    return scene.target.calls.count("tidy")


def test_once_a_day_a_target_is_tidied_also_where_its_link_is_down(scene: Scene) -> None:
    tidier, asked = Tidier(), []
    for _ in range(4):
        for hours in (8, 8, 8):
            tidier.tidy(scene.world)
            asked.append(tidied(scene))
            scene.clock.forward(hours=hours)
    assert [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3] == asked


def test_one_that_is_away_is_asked_the_next_day(scene: Scene) -> None:
    tidier = Tidier()
    tidier.tidy(scene.world)
    scene.target.away = True
    for _ in range(2):
        scene.clock.forward(days=1)
        before = len(scene.target.calls)
        tidier.tidy(scene.world)
        asked = len(scene.target.calls)
        tidier.tidy(scene.world)
        assert before < asked == len(scene.target.calls)
    scene.target.away = False
    scene.clock.forward(days=1)
    tidier.tidy(scene.world)
    assert 1 == tidied(scene)


def test_who_only_observes_touches_nothing(tmp_path: Path) -> None:
    database = in_file(tmp_path / "ledger.db")
    scene, tidier = Scene(database=database, policy=replace(POLICY, mode=Mode.OBSERVE)), Tidier()
    for _ in range(2):
        tidier.tidy(scene.world)
        scene.clock.forward(days=1)
    assert 0 == tidied(scene)
