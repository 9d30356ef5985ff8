"""The scene that most stories begin with."""

from __future__ import annotations

import pytest

from tests.flow.scene import Scene


@pytest.fixture
def scene() -> Scene:
    """One job of two core-hours waits in a full queue."""
    scene = Scene()
    scene.slurm.submit(name="beam", minutes=120)
    return scene
