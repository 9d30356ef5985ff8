"""What a job has left behind, on file systems that several nodes share."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from burstd.far import tree as walked
from burstd.far.outputs import Baseline, collect
from tests.unit.staged import MTIME, of


def _quiet() -> None:
    pass


@pytest.fixture
def remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with an input that another node has written to, and a result that it has written more
    of; this node remembers what they were like before."""
    (tmp_path / "w").mkdir()
    for name in ("mesh", "log"):
        (tmp_path / "w" / name).write_bytes(b"old")
        os.utime(tmp_path / "w" / name, ns=(MTIME, MTIME))
    seen = {b"mesh": (tmp_path / "w/mesh").stat(), b"log": (tmp_path / "w/log").stat()}
    for name in ("mesh", "log"):
        (tmp_path / "w" / name).write_bytes(b"new one")
    stat = os.stat

    def memory(name: bytes, **where: int) -> os.stat_result:
        return seen[name] if name in seen else stat(name, **where)  # type: ignore[arg-type]

    monkeypatch.setattr(walked, "os", Remembering(memory))
    return tmp_path


class Remembering:
    """The system, but for what it says of names."""

    def __init__(self, stat: object) -> None:
        self.stat = stat

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


def test_what_another_node_has_written_is_found(remembered: Path) -> None:
    tree = os.open(remembered, os.O_RDONLY)
    baseline = Baseline(2 * MTIME, frozenset({"/w"}), {})
    for young, found in ((True, ["/w/log", "/w/mesh"]), (False, ["/w/log"])):
        harvest = collect(
            tree, replace(baseline, young=young), [of("/w/mesh", b"old")], ["/w"], _quiet
        )
        assert found == [output.path for output in harvest.outputs]
        assert {7} == {output.size for output in harvest.outputs}
    os.close(tree)
