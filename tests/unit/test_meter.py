"""Each byte that comes home is counted, and none is read that is not paid for."""

from __future__ import annotations

import os
from pathlib import Path

import blake3
import pytest

from burstd.agent import placing
from burstd.agent.follow import Follower
from burstd.agent.memory import Memory, recall
from burstd.agent.meter import Metered
from burstd.domain.data import Mark, OutputFile
from burstd.ports.depot import Came, Growing
from tests.unit.test_follow import Far


class Results(Far):
    def fetch(self, entry: OutputFile, into: int, came: Came, similar: int | None) -> None:
        for at in range(0, entry.size, 4):
            block = self.files[entry.path][at : at + 4]
            came(len(block))
            os.pwrite(into, block, at)


def followed(depot: Metered, root: Path) -> Follower:
    return Follower(depot, depot.memory.positions, {}, depot.memory.copies, (root,))


def test_a_live_file_that_is_written_anew_is_paid_for_anew(tmp_path: Path) -> None:
    path = str(tmp_path / "state")
    far = Far({path: b"x" * 100})
    depot = Metered(far, Memory(tmp_path), None)
    follower = followed(depot, tmp_path)
    follower.once()
    far.files[path] = b"y" * 60
    follower.once()

    assert 160 == depot.memory.pulled


@pytest.mark.parametrize("most", [0, 1, 99, 100, 101])
def test_nothing_is_read_beyond_what_is_paid_for(tmp_path: Path, most: int) -> None:
    path = str(tmp_path / "state")
    depot = Metered(Far({path: b"x" * 100}), Memory(tmp_path), most)
    for _ in range(3):
        followed(depot, tmp_path).once()

    assert min(most, 100) == (tmp_path / "state").stat().st_size == depot.memory.pulled


@pytest.mark.parametrize(
    ("size", "same", "more"), [(100, True, 0), (100, False, 1), (101, True, 1)]
)
def test_what_lies_here_already_is_not_paid_for_again(
    tmp_path: Path, size: int, same: bool, more: int
) -> None:
    """Unless it was written over: its landing fetches all of it."""
    live, new = str(tmp_path / "live"), str(tmp_path / "new")
    memory = Memory(tmp_path)
    followed(Metered(Far({live: b"x" * 100}), memory, None), tmp_path).once()
    memory.positions["stdout"] = 3
    content = blake3.blake3(b"x" * 100).hexdigest() if same else "other"
    entries = [
        OutputFile(live, "file", size, content, 0, 0o644),
        OutputFile(new, "file", 30, "", 0, 0o644),
    ]
    total = 100 + 30 + (5 - 3) + 4 + more * size

    unpaid = [
        Metered(Far(), memory, most).unpaid(Growing(5, 4, {}), entries)
        for most in (None, total, total - 1)
    ]
    assert [0, 0, total] == unpaid


def test_copies_are_not_read_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = str(tmp_path / "live")
    memory = Memory(tmp_path, pulled=100, copies={live: Mark(100, 0, 0)})
    monkeypatch.setattr(placing, "digest_of", lambda _path: pytest.fail("it is read"))
    entries = [OutputFile(live, "file", 100, "", 0, 0o644)]

    assert 0 == Metered(Far(), memory, 200).unpaid(Growing(), entries)
    assert 100 == Metered(Far(), memory, 99).unpaid(Growing(), entries)


def test_a_fetch_that_is_cut_has_cost_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURST_AGENT_DIR", str(tmp_path))
    depot = Metered(Results({"/a": b"x" * 12}), Memory(tmp_path), 1)  # asked for before: no limit

    into = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="descriptor"):
        depot.fetch(OutputFile("/a", "file", 12, "", 0, 0o644), into)
    os.close(into)
    assert 4 == recall().pulled


def test_burstd_hears_of_it_now_and_then_in_all_lives_of_an_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burstd.agent.meter.TOLD_EVERY", 100)
    monkeypatch.setattr("burstd.agent.follow.TAIL", 0)
    path, told, memory = str(tmp_path / "state"), list[int](), Memory(tmp_path)
    far = Far({path: b""})
    for size in (60, 120, 130, 300):
        far.files[path] = b"x" * size
        followed(Metered(far, memory, None, told.append), tmp_path).once()
    assert [120, 300] == told

    entry = OutputFile("/a", "file", 150, "", 0, 0o644)
    depot = Metered(Results({"/a": b"x" * 150}), memory, None, told.append)
    with (tmp_path / "a").open("wb") as file:
        depot.fetch(entry, file.fileno())
    assert [120, 300, 400] == told
    assert 450 == memory.pulled
