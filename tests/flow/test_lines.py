"""A line with a rate: agents ask how much of it is theirs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burstd.cli import client
from burstd.domain.burst import Stage
from burstd.testing.simulators import in_file
from tests.flow.conftest import ME, Serve
from tests.flow.scene import CLOUD, Scene


@pytest.fixture
def scene(tmp_path: Path, serve: Serve) -> Scene:
    """Two jobs of ours: one runs, the other's inputs are on their way."""
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    scene.target.users = {ME: "cae01"}
    scene.slurm.submit(user=ME, name="beam", minutes=120)
    scene.until(Stage.RUNNING)
    scene.slurm.submit(user=ME, name="plate", minutes=120)
    scene.until(Stage.STAGING_IN, "2")
    scene.agents.asleep = True
    serve(scene)
    return scene


def share(scene: Scene, job: str) -> float | None:
    burst = next(b for b in scene.store.open_bursts() if str(b.job) == job)
    rate: float | None = client.ask(f"/v1/standins/{burst.id}/share?moved=0")["rate"]
    return rate


def test_without_a_rate_nobody_is_held_back(scene: Scene) -> None:
    assert None is share(scene, "1") is share(scene, "2")


def test_inputs_get_twice_of_what_live_files_get(scene: Scene) -> None:
    sites: Any = scene.world.sites
    sites[CLOUD] = replace(sites[CLOUD], line="wan", rate=9_000_000)
    assert 9_000_000 == share(scene, "1")
    assert 6_000_000 == share(scene, "2")
    assert 3_000_000 == share(scene, "1")
