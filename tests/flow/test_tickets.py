"""A target that does not answer keeps its own agents waiting, and nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from burstd.api.clerks import CLERKS, WAITING
from burstd.domain.burst import Stage
from burstd.ports.errors import Unreachable
from burstd.testing.simulators import in_file
from tests.flow.scene import Scene
from tests.flow.test_review_api import ME, Counter, serve


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Counter]:
    yield from serve(tmp_path, ME, Scene(database=in_file(tmp_path / "ledger.db")))


def test_many_that_want_a_ticket_of_a_silent_target_take_nobody_elses_thread(
    mine: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.scene.until(Stage.RUNNING)
    burst, hung = mine.scene.burst().id, threading.Event()

    def ticket(*_: object) -> None:
        hung.wait(20)
        raise Unreachable("no route")

    monkeypatch.setattr(mine.scene.target, "ticket", ticket)

    many, route = CLERKS + WAITING + 10, f"/v1/standins/{burst}/ticket"
    with mine.asked_by(many, "POST", route, b'{"public_key": "ssh-ed25519 AAAA"}') as said:
        while len(said) < 10:  # those for whom there is no room hear it at once
            time.sleep(0.01)
        assert 200 == mine.raw("GET", "/v1/status")[0]
        assert 10 == len(said)
        hung.set()
    assert [503] * many == said
