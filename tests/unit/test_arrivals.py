"""Several results land at once; what goes wrong with one is known once none is under way."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import blake3
import pytest

from burstd.agent.arrivals import ASIDE, LANES, SMALL, TRIED, Arrivals, in_order
from burstd.agent.landing import Landing
from burstd.domain.data import OutputFile
from burstd.ports.errors import Rejected

MTIME = 10**18


def listed(home: Path, count: int) -> list[OutputFile]:
    digest = blake3.blake3(b"result").hexdigest()
    files = [OutputFile(f"{home}/d{n % 9}/f{n}", "file", 6, digest, MTIME) for n in range(count)]
    return in_order([OutputFile(f"{home}/d1", "dir", mode=0o500), *files])


def test_many_land_at_once_and_directories_last(tmp_path: Path) -> None:
    meeting = threading.Barrier(LANES, timeout=20)  # passed only by so many that are there at once
    count, begun = TRIED + 10 * LANES, itertools.count()

    def fetch(_entry: OutputFile, into: int, _similar: int | None) -> None:
        if next(begun) >= TRIED:
            meeting.wait()
        os.pwrite(into, b"result", 0)

    waits = itertools.count(0, TRIED).__next__  # each of the first has waited once
    arrivals = Arrivals(Landing("b1", (tmp_path,), {}, fetch), {}, waits)
    arrivals.land(listed(tmp_path, count))
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert count == len(found)
    assert {b"result"} == {path.read_bytes() for path in found}
    assert (0o500, []) == ((tmp_path / "d1").stat().st_mode & 0o777, arrivals.landing.notes)


def landed_by(home: Path, count: int, waits: Callable[[], int], size: int = 6) -> list[int]:
    """Which thread has fetched each, in their order."""
    threads: list[int] = []

    def fetch(_entry: OutputFile, into: int, _similar: int | None) -> None:
        threads.append(threading.get_ident())
        os.pwrite(into, b"result", 0)
        os.ftruncate(into, size)

    digest = blake3.blake3(b"result".ljust(size, b"\0")).hexdigest()
    files = [replace(f, blake3=digest, size=size) for f in listed(home, count) if f.kind == "file"]
    Arrivals(Landing("b1", (home,), {}, fetch), {}, waits).land(files)
    return threads


def test_where_nothing_is_waited_for_they_land_one_after_the_other(tmp_path: Path) -> None:
    assert {threading.get_ident()} == set(landed_by(tmp_path, 5 * TRIED, lambda: 0))


def test_it_is_tried_again_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("burstd.agent.arrivals.FIRST", 20)
    waits = iter([0, TRIED, 0, TRIED - 1, 0, 0])  # as they begin and end
    found = landed_by(tmp_path, TRIED + 20 + 2 * TRIED, lambda: next(waits))
    mine = [thread == threading.get_ident() for thread in found]
    assert [True] * TRIED + [False] * 20 + [True] * 2 * TRIED == mine


def test_large_ones_are_not_waited_for_one_by_one(tmp_path: Path) -> None:
    assert threading.get_ident() not in landed_by(tmp_path, 3, lambda: 0, size=SMALL + 1)


def test_what_goes_wrong_is_raised_once_none_is_under_way(tmp_path: Path) -> None:
    under_way = set[str]()

    def fetch(entry: OutputFile, into: int, _similar: int | None) -> None:
        under_way.add(entry.path)
        try:
            if entry.path.endswith("f3"):
                raise OSError(28, "No space left on device")
            threading.Event().wait(0.01)
            os.pwrite(into, b"result", 0)
        finally:
            under_way.discard(entry.path)

    with pytest.raises(OSError, match="No space"):
        Arrivals(Landing("b1", (tmp_path,), {}, fetch), {}).land(listed(tmp_path, 100))
    assert set() == under_way
    assert [] == [path for path in tmp_path.rglob(".burst-*")]


def test_damage_is_counted_and_put_aside_in_the_end(tmp_path: Path) -> None:
    def fetch(entry: OutputFile, into: int, _similar: int | None) -> None:
        os.pwrite(into, b"RESULT" if entry.path.endswith(("f1", "f7")) else b"result", 0)

    damaged: dict[str, int] = {}
    for round_ in range(1, ASIDE + 1):
        arrivals = Arrivals(Landing("b1", (tmp_path,), {}, fetch), damaged)
        arrivals.land(listed(tmp_path, 9))
        assert {round_} == set(damaged.values())
        assert (2 if round_ < ASIDE else 0) == len(arrivals.again)
    assert {"f1.burst-b1.damaged", "f7.burst-b1.damaged"} == {
        path.name for path in tmp_path.rglob("*.damaged")
    }
    assert 2 == len(arrivals.landing.notes)


def test_what_the_target_cannot_read_is_told_with_its_number(tmp_path: Path) -> None:
    def fetch(_entry: OutputFile, into: int, _similar: int | None) -> None:
        os.pwrite(into, b"result", 0)

    lost = [OutputFile(f"{tmp_path}/{n}", "unreadable", target="Input/output error") for n in "ba"]
    with pytest.raises(Rejected) as kept:
        Arrivals(Landing("b1", (tmp_path,), {}, fetch), {}).land(
            in_order([*listed(tmp_path, 9), *lost])
        )
    wrong = "does not come: the target cannot read it: Input/output error"
    assert f"{tmp_path}/a {wrong}; so it is with 1 more" == str(kept.value)
    assert 9 == len([path for path in tmp_path.rglob("*") if path.is_file()])
