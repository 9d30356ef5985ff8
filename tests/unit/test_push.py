"""How hard packs are compressed: as the link leaves time for."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import cast

from burstd.agent.index import Index
from burstd.agent.passage import Pack
from burstd.agent.push import HUNGRY, LEVELS, MADE, NOT_AGAIN, SEEN, Made, Push
from burstd.far.client import Client


def pack(*, made: bool) -> Future[Made]:
    future: Future[Made] = Future()
    if made:
        future.set_result(Pack(b"", None))
    return future


def push(*waiting: bool) -> Push:
    found = Push(cast(Client, None), Index(Path("/dev/null/none")))
    found._outbox.extend(([(0, 1)], pack(made=made)) for made in waiting)
    return found


def test_while_packs_wait_for_the_link_they_are_compressed_more() -> None:
    one = push(*[True] * MADE)
    seen = []
    for _ in range(4):
        one._steer(pack(made=True))
        seen.append(LEVELS[one._level])
    assert [3, 6, 6, 6] == seen


def test_while_the_link_waits_for_packs_they_are_compressed_less() -> None:
    one = push(*[False] * MADE)
    one._level = 3
    seen = []
    for _ in range(3):
        one._steer(pack(made=False))
        seen.append(LEVELS[one._level])
    assert [3, 1, 1] == seen


def test_else_they_stay_as_they_are() -> None:
    for one in (push(*[True] * (MADE - 1), False), push(True)):
        one._level = 1
        one._steer(pack(made=True))
        assert 1 == one._level


def test_a_link_that_waits_for_long_gets_them_as_they_are_until_packs_wait_for_it() -> None:
    one = push(*[False] * MADE)
    for _ in range(HUNGRY - 1):
        one._steer(pack(made=False))
    assert 1 == LEVELS[one._level]
    one._steer(pack(made=False))
    assert 0 == LEVELS[one._level]
    one._outbox.clear()
    one._outbox.extend(([(0, 1)], pack(made=True)) for _ in range(MADE))
    one._steer(pack(made=True))
    one._steer(pack(made=False))
    assert 1 == LEVELS[one._level]


def test_one_that_waits_now_and_then_does_not() -> None:
    one = push(True)
    for _ in range(4 * HUNGRY):
        for made in (False, False, True):
            one._steer(pack(made=made))
    assert 1 == LEVELS[one._level]


def test_a_far_end_that_has_no_time_to_wait_gets_them_as_they_are() -> None:
    one = push(*[True] * MADE)
    one._level = 1
    for _ in range(SEEN - 1):
        one._taking.add(100, 20_000)
        one._steer(pack(made=False))
    assert 0 != one._level
    one._taking.add(100, 20_000)
    one._steer(pack(made=True))
    assert 0 == one._level
    for _ in range(3):
        one._taking.add(20_000, 10_000)
        one._steer(pack(made=True))
    assert 1 <= one._level


def test_one_that_waits_for_them_then_is_spared_no_more_for_a_while() -> None:
    one, seen = push(*[False] * MADE), list[int]()
    for idle in (0, 0, 30_000, 0):
        for _ in range(SEEN):
            one._taking.add(idle, 20_000)
            one._steer(pack(made=True))
        seen.append(LEVELS[one._level])
    assert [0, 0, 1, 1] == seen
    for _ in range(NOT_AGAIN):
        one._taking.add(0, 20_000)
        one._steer(pack(made=True))
    assert 0 == LEVELS[one._level]
