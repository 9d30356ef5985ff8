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
    burst, hung, said = mine.scene.burst().id, threading.Event(), list[int]()

    def ticket(*_: object) -> None:
        hung.wait(20)
        raise Unreachable("no route")

    monkeypatch.setattr(mine.scene.target, "ticket", ticket)

    def ask() -> None:
        route = f"/v1/standins/{burst}/ticket"
        said.append(mine.raw("POST", route, b'{"public_key": "ssh-ed25519 AAAA"}')[0])

    many = CLERKS + WAITING + 10
    threads = [threading.Thread(target=ask) for _ in range(many)]
    for thread in threads:
        thread.start()
    while len(said) < 10:  # those for whom there is no room hear it at once
        time.sleep(0.01)
    began = time.monotonic()
    assert 200 == mine.raw("GET", "/v1/status")[0]
    assert 5 > time.monotonic() - began
    hung.set()
    for thread in threads:
        thread.join()
    assert [503] * many == said
