"""What is fetched behind a job's end is there, and stays there for a bounded time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from burstd.cli import client
from burstd.shell.clearing import clear
from tests.flow.scene import Scene
from tests.flow.test_remains import AGE, home, scene, settled

__all__ = ["home", "scene"]  # the same site, whose target keeps what remains


def wish(scene: Scene, *paths: str) -> dict[str, Any]:
    return client.ask(f"/v1/standins/{scene.burst().id}/fetches", "POST", {"paths": [*paths]})


def test_who_fetches_nothing_changes_nothing(scene: Scene, home: Path) -> None:
    burst = settled(scene, home)
    scene.clock.forward(days=6.5)
    with pytest.raises(client.Answerless, match="none of these"):
        wish(scene, f"{home}/no such", "/etc/passwd")
    assert burst == scene.burst()


def test_what_is_fetched_bit_by_bit_remains_twice_its_time_and_no_longer(
    scene: Scene, home: Path
) -> None:
    burst = settled(scene, home)
    for _ in range(30):
        scene.clock.forward(hours=12)
        if scene.burst().offers(scene.clock.now()):
            wish(scene, f"{home}/a.big")
    clear(scene.world)
    assert [burst.work_key] == scene.target.cleaned
    assert burst.stage_since is not None
    assert timedelta(days=13) < scene.burst().fetches[-1].at - burst.stage_since < 2 * AGE


def test_nobody_books_fetches_without_end(
    scene: Scene, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burstd.api.remains.MOST_FETCHES", 3)
    settled(scene, home)
    for _ in range(3):
        wish(scene, f"{home}/a.big")
    with pytest.raises(client.Answerless, match="often"):
        wish(scene, f"{home}/a.big")
    assert 3 == len(scene.burst().fetches)
