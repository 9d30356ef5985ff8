"""Each byte that comes home is counted, and none is read that is not paid for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from burstd.agent.follow import Follower
from burstd.agent.memory import Memory, recall
from burstd.agent.meter import Metered
from burstd.domain.data import OutputFile
from burstd.ports.depot import Growing
from tests.unit.test_follow import Far


class Results(Far):
    def fetch(self, entry: OutputFile, write: object) -> None:
        for at in range(0, entry.size, 4):
            write(self.files[entry.path][at : at + 4])  # type: ignore[operator]


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


def test_what_is_to_come_is_what_is_not_here(tmp_path: Path) -> None:
    live, other = str(tmp_path / "live"), str(tmp_path / "other")
    far = Far({live: b"x" * 100, other: b"z" * 7})
    depot = Metered(far, Memory(tmp_path), None)
    followed(depot, tmp_path).once()
    entries = [
        OutputFile(live, "file", 100, hashlib.sha256(b"x" * 100).hexdigest(), 0, 0o644),
        OutputFile(other, "file", 7, hashlib.sha256(b"z" * 7).hexdigest(), 0, 0o644),
        OutputFile(str(tmp_path / "new"), "file", 30, "", 0, 0o644),
    ]
    depot.memory.positions["stdout"] = 3

    assert 107 == depot.memory.pulled
    assert 30 + 2 + 4 == depot.to_come(Growing(5, 4, {}), entries)
    for written_over in (100, 101):
        entries[0] = OutputFile(live, "file", written_over, "other", 0, 0o644)
        assert written_over + 30 + 2 + 4 == depot.to_come(Growing(5, 4, {}), entries)


def test_a_fetch_that_is_cut_has_cost_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURST_AGENT_DIR", str(tmp_path))
    depot = Metered(Results({"/a": b"x" * 12}), Memory(tmp_path), 1)  # asked for before: no limit

    def cut(block: bytes) -> None:
        if depot.memory.pulled > 4:
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        depot.fetch(OutputFile("/a", "file", 12, "", 0, 0o644), cut)
    assert 8 == recall().pulled
