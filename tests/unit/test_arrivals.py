"""Several results land at once; what goes wrong with one is known once none is under way."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import blake3
import pytest

from burstd.agent.arrivals import ASIDE, LANES, Arrivals, in_order
from burstd.agent.landing import Landing
from burstd.domain.data import OutputFile

MTIME = 10**18


def listed(home: Path, count: int) -> list[OutputFile]:
    digest = blake3.blake3(b"result").hexdigest()
    files = [OutputFile(f"{home}/d{n % 9}/f{n}", "file", 6, digest, MTIME) for n in range(count)]
    return in_order([OutputFile(f"{home}/d1", "dir", mode=0o500), *files])


def test_many_land_at_once_and_directories_last(tmp_path: Path) -> None:
    meeting = threading.Barrier(LANES, timeout=20)  # passed only by so many that are there at once
    count = 10 * LANES

    def fetch(_entry: OutputFile, into: int, _similar: int | None) -> None:
        meeting.wait()
        os.pwrite(into, b"result", 0)

    arrivals = Arrivals(Landing("b1", (tmp_path,), {}, fetch), {})
    arrivals.land(listed(tmp_path, count))
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert count == len(found)
    assert {b"result"} == {path.read_bytes() for path in found}
    assert (0o500, []) == ((tmp_path / "d1").stat().st_mode & 0o777, arrivals.landing.notes)


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
