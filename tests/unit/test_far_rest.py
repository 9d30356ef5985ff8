"""Files that wait for what other conversations bring: none is forgotten, none waits for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from burstd.far import claims
from burstd.far.errors import FULL, FarError
from burstd.far.growing import Growing
from tests.unit.staged import Talk, begun, of, order

Begin = Callable[..., Talk]
X, E, F = b"x" * 5000, b"e" * 5000, b"f" * 5000


@pytest.fixture(name="begin")
def _begin(tmp_path: Path) -> Iterator[Begin]:
    yield from begun(tmp_path)


@pytest.fixture(autouse=True)
def _looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has ended is found out each time."""
    monkeypatch.setattr(claims, "LOOKED", 0.0)


def test_what_was_asked_for_once_more_counts_for_all_files(begin: Begin) -> None:
    other, talk = begin("b-0"), begin()
    assert ([0], []) == (other.want([X]), talk.want([X]))
    assert 1 == talk.build("/w/f1", 0, [X])
    other.end()  # its job was cancelled: it brings nothing
    assert [1] == talk.want([X])  # an agent forgets the names of many
    talk.send(1, X)
    assert 0 == talk.build("/w/f2", 1, [X])
    assert (0, []) == talk.staging.rest(5.0)
    talk.staging.settle(order(of("/w/f1", X), of("/w/f2", X)))


def test_of_two_who_end_one_after_the_other_nothing_is_waited_for(begin: Begin) -> None:
    one, other, talk = begin("b-0"), begin("b-2"), begin()
    assert ([0], [0], []) == (one.want([X]), other.want([E]), talk.want([X, E]))
    assert (1, 1) == (talk.build("/w/f1", 0, [X, E]), talk.build("/w/f3", 1, [E]))
    one.end()
    assert (1, ["/w/f1"]) == talk.staging.rest(5.0)
    other.end()
    assert [2, 3] == talk.want([X, E])
    talk.send(2, X)
    talk.send(3, E)
    assert 0 == talk.build("/w/f1", 2, [X, E])
    assert (0, []) == talk.staging.rest(5.0)
    talk.staging.settle(order(of("/w/f1", X + E), of("/w/f3", E)))


def test_what_nobody_brings_any_more_is_said_whoever_was_to(begin: Begin) -> None:
    other, talk = begin("b-0"), begin()
    assert ([0], []) == (other.want([X]), talk.want([X]))
    assert 1 == talk.build("/w/f1", 0, [X])
    other.end()
    assert [1] == talk.want([X])  # and is not sent
    assert (0, ["/w/f1"]) == talk.staging.rest(5.0)


def test_of_ready_files_one_that_fails_makes_no_other_be_forgotten(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, talk = begin("b-0"), begin()
    assert ([0, 1, 2], []) == (other.want([X, E, F]), talk.want([X, E, F]))
    for number, piece in enumerate((X, E, F)):
        assert 1 == talk.build(f"/w/f{number}", number, [piece])
        other.send(number, piece)
    other.end()
    flush = Growing.flush

    def full(_growing: Growing) -> None:
        monkeypatch.setattr(Growing, "flush", flush)
        raise FarError(FULL, "No space left on device")

    monkeypatch.setattr(Growing, "flush", full)
    with pytest.raises(FarError, match="full"):
        talk.staging.rest(5.0)
    given = [of(f"/w/f{number}", piece) for number, piece in enumerate((X, E, F))]
    with pytest.raises(FarError, match="3 files wait"):
        talk.staging.settle(order(*given))
    assert (0, []) == talk.staging.rest(5.0)
    talk.staging.settle(order(*given))


def test_a_part_behind_none_that_waits_is_refused(begin: Begin) -> None:
    other, talk = begin("b-0"), begin()
    assert ([0], []) == (other.want([X]), talk.want([X]))
    with pytest.raises(FarError, match="refused: a part out of its turn"):
        talk.staging.build(json.dumps([["/w/f", 5000, [[0, 1]]]]).encode())
