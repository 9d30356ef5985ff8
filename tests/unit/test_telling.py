"""How far files have come is said now and then, while they do."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest

from burstd.agent import telling
from burstd.agent.telling import Telling
from burstd.ports.depot import Going


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "FIRST", 0.01)
    monkeypatch.setattr(telling, "MOST", 0.02)


def test_it_is_said_when_it_has_moved_and_only_then() -> None:
    said, heard = list[Mapping[str, object]](), threading.Event()

    def tell(body: Mapping[str, object]) -> None:
        said.append(body)
        heard.set()

    def hear() -> Mapping[str, object]:
        assert heard.wait(10)
        heard.clear()
        return said[-1]

    into, out = Going(), Going()
    with Telling({"in": into, "out": out}, tell):
        assert not heard.wait(0.2)  # nothing travels yet
        into.begin(100)
        assert {"way": "in", "bytes": 0, "of": 100, "waiting": 0} == hear()
        assert not heard.wait(0.2)
        into.add(60)
        assert {"way": "in", "bytes": 60, "of": 100, "waiting": 0} == hear()
        into.add(waiting=3)
        assert 3 == hear()["waiting"]
        out.begin(7)
        assert {"way": "out", "bytes": 0, "of": 7, "waiting": 0} == hear()
        assert 4 == len(said)
    into.add(1)
    assert not heard.wait(0.2)


class Slow(int):
    """A number in whose sums others may come between."""

    def __add__(self, other: int) -> Slow:
        time.sleep(0)
        return Slow(int(self) + other)


def test_several_threads_add_to_it() -> None:
    going = Going()
    going.begin(4000)
    going.done = Slow(0)

    def add() -> None:
        for _ in range(1000):
            going.add(1, waiting=1)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (4000, 4000) == (going.done, going.waiting)
