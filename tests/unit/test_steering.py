"""How hard packs are compressed: as the line, and the two ends of it, leave time for."""

from __future__ import annotations

import pytest

from burstd.agent.steering import HUNGRY, PATIENCE, SEEN, Steering

MOST = 6


def levels(one: Steering, *made: bool, times: int = 1) -> list[int]:
    """Of the next packs, while so many wait, made or not."""
    found = []
    for _ in range(times):
        one.steer(made, MOST, 0)
        found.append(one.level)
    return found


def taken(one: Steering, idle: int, busy: int, times: int, *, coming: int = 0) -> list[int]:
    """The same while the far end tells of packs that it has taken."""
    found = []
    for _ in range(times):
        one.taking.add(idle, busy)
        one.steer([True, False], MOST, coming)
        found.append(one.level)
    return found


def test_while_packs_wait_for_the_line_they_are_compressed_more() -> None:
    assert [3, 6, 6, 6] == levels(Steering(), *[True] * (MOST - 1), times=4)


def test_not_while_they_wait_for_the_far_end() -> None:
    one = Steering()
    assert [3, 6] == levels(one, *[True] * MOST, times=2)
    one.taking.add(100, 20_000)
    assert [3, 1, 1] == levels(one, *[True] * MOST, times=3)
    for _ in range(SEEN):
        one.taking.add(20_000, 20_000)
    assert [3, 6] == levels(one, *[True] * MOST, times=2)


def test_while_the_line_waits_for_packs_they_are_compressed_less() -> None:
    one = Steering()
    levels(one, *[True] * MOST, times=2)
    assert [3, 1, 1] == levels(one, *[False] * MOST, times=3)


def test_else_they_stay_as_they_are() -> None:
    for made in ([True] * (MOST - 1) + [False], [True, True]):
        assert [1, 1] == levels(Steering(), *made, times=2)


def test_a_line_that_waits_for_long_gets_them_as_they_are_until_packs_wait_for_it() -> None:
    one = Steering()
    assert [*[1] * (HUNGRY - 1), 0] == levels(one, *[False] * MOST, times=HUNGRY)
    assert [1] == levels(one, *[True] * MOST)
    assert [1] == levels(one, False)


def test_one_that_waits_now_and_then_does_not() -> None:
    one = Steering()
    for _ in range(4 * HUNGRY):
        assert [1, 1, 1] == [*levels(one, False, times=2), *levels(one, True)]


def test_a_far_end_that_has_no_time_to_wait_gets_them_as_they_are_if_that_is_faster() -> None:
    one = Steering()
    assert [*[1] * (PATIENCE - 1), 0] == taken(one, 100, 20_000, PATIENCE)
    assert [0] * 100 == taken(one, 100, 15_000, 100)


@pytest.mark.parametrize("idle", [0, 30_000])
def test_if_that_is_not_faster_it_is_given_up_and_tried_again_later(idle: int) -> None:
    """Slower because of its disk, or since the line has more to carry now."""
    one = Steering()
    taken(one, 0, 20_000, PATIENCE)
    assert [*[0] * (SEEN - 1), 1] == taken(one, idle, 20_000, SEEN)
    assert [*[1] * (2 * PATIENCE - 1), 0] == taken(one, 0, 20_000, 2 * PATIENCE)
    taken(one, idle, 20_000, SEEN)
    assert [*[1] * (4 * PATIENCE - 1), 0] == taken(one, 0, 20_000, 4 * PATIENCE)


def test_what_gets_slower_later_is_noticed_too() -> None:
    one = Steering()
    taken(one, 0, 20_000, PATIENCE)
    assert 0 == taken(one, 0, 10_000, 100)[-1]
    assert 1 in taken(one, 0, 30_000, SEEN)


def test_packs_that_were_under_way_say_nothing_about_those_behind_them() -> None:
    one = Steering()
    taken(one, 0, 20_000, PATIENCE - 1)
    assert [0] == taken(one, 0, 20_000, 1, coming=5)
    assert [0] * 5 == taken(one, 0, 20_000, 5)
    assert [0] * 100 == taken(one, 0, 10_000, 100)


def test_a_far_end_that_waits_for_the_line_is_not_spared() -> None:
    assert [1] * 100 == taken(Steering(), 5_000, 15_000, 100)


def test_in_a_bucket_the_times_of_a_pack_count() -> None:
    one, found = Steering(), []
    for made, sent in ((0.1, 1.0), (0.1, 1.0), (0.1, 1.0), (0.1, 0.3), (0.1, 0.01), (0.0, 0.0)):
        one.steer_by(made, sent, 6)
        found.append(one.level)
    assert [3, 6, 6, 6, 3, 3] == found
