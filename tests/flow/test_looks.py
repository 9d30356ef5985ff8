"""Questions of people cost slurmctld one look now and then, and the API one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from burstd.domain.burst import Stage
from burstd.testing.simulators import in_file
from tests.flow.scene import Scene
from tests.flow.test_review_api import ME, Counter, serve


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Counter]:
    yield from serve(tmp_path, ME, Scene(database=in_file(tmp_path / "ledger.db")))


@pytest.mark.parametrize("route", ["/v1/jobs/999/why", "/v1/plan"])
def test_many_who_ask_cost_one_look_and_keep_nobody_from_another_answer(
    mine: Counter, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    mine.scene.turn(2)
    mine.scene.clock.forward(seconds=60)  # the next cycle is late
    hung, looks, real = threading.Event(), list[Sequence[str]](), type(mine.scene.slurm).run

    def run(slurm: Any, argv: Sequence[str]) -> str:
        if argv[0] == "squeue":
            looks.append(argv)
            hung.wait(20)
        return str(real(slurm, argv))

    monkeypatch.setattr(type(mine.scene.slurm), "run", run)
    with mine.asked_by(60, "GET", route) as done:
        while not looks:
            time.sleep(0.01)
        assert 200 == mine.raw("GET", "/v1/quarantine")[0]
        assert [] == done
        hung.set()
    assert (60, 1, 1) == (len(done), len(set(done)), len(looks))


def test_what_is_over_costs_no_look(mine: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    mine.scene.finish()
    mine.scene.slurm.jobs.clear()
    mine.scene.turn()
    monkeypatch.setattr(type(mine.scene.slurm), "run", None)
    assert "settled" in str(mine.api.get("/v1/jobs/1/why")["why"])


def test_a_directory_service_that_hangs_holds_up_only_who_is_looked_for(
    mine: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of its caches are cold: nobody's long poll may wait for that."""
    mine.scene.until(Stage.STAGING_IN)
    hung, asked = threading.Event(), threading.Event()

    def getpwuid(_uid: int) -> Any:
        asked.set()
        hung.wait(20)
        raise KeyError

    monkeypatch.setattr("burstd.api.peers.pwd.getpwuid", getpwuid)
    burst = mine.scene.burst().id
    for method, route, body in (
        ("POST", "/v1/standins", b'{"job": "1"}'),
        ("GET", f"/v1/standins/{burst}", b""),
        ("GET", "/v1/status", b""),
        ("POST", "/v1/estimate", b'{"script": "x", "name": "x", "partition": "cae", "cpus": 1}'),
    ):
        asked.clear()
        hung.clear()
        with mine.asked_by(1, method, route, body) as done:
            assert asked.wait(10)
            assert 204 == mine.raw("GET", "/v1/wait/99?seconds=0")[0]
            assert [] == done
            hung.set()
