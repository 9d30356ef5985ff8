"""``burst pull`` at the agent: files as they are now, of one moment where that can be had."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import blake3
import pytest

from burstd.agent.demand import TRIES, Demand
from burstd.agent.landing import Damaged, Landing
from burstd.agent.memory import Memory, recall
from burstd.agent.meter import Metered
from burstd.domain.data import Mark, OutputFile
from burstd.ports.depot import Came, Seen
from burstd.ports.errors import Mismatch, Rejected

Tree = dict[str, bytes]


@dataclass
class Running:
    """As much of a depot as is asked for. ``writes``: what the job does while a file is read."""

    tree: Tree
    writes: list[Callable[[Tree], object]] = field(default_factory=list)

    def matching(self, patterns: Sequence[str]) -> list[Seen]:
        if any(glob.startswith("/") for glob in patterns):
            raise Rejected("the far end says refused: not a plain path")
        return [
            Seen(path, len(content), 10**18 + len(content), 0o640, 1)
            for path, content in sorted(self.tree.items())
            if any(fnmatch(Path(path).name, glob) for glob in patterns)
        ]

    def fetch(self, entry: OutputFile, into: int, came: Came, similar: int | None) -> None:
        content = self.tree.get(entry.path)
        if content is None:
            raise Mismatch(f"{entry.path} is gone at the far end")
        if len(content) < entry.size:
            raise Mismatch(f"{entry.path} ends after {len(content)} of {entry.size} bytes")
        content = content[: entry.size]
        os.ftruncate(into, 0)
        os.pwrite(into, content, 0)
        came(len(content))
        if self.writes:
            self.writes.pop(0)(self.tree)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The job's directory; the agent's is beside it."""
    monkeypatch.setenv("BURST_AGENT_DIR", str(tmp_path / "agent"))
    for name in ("agent", "job"):
        (tmp_path / name).mkdir()
    return tmp_path / "job"


def demand(
    far: Running, home: Path, most: int | None = None, known: Mapping[str, Mark] | None = None
) -> Demand:
    one: Any = far
    memory = Memory(home.parent / "agent")
    depot = Metered(one, memory, most)

    def fetch(entry: OutputFile, descriptor: int, similar: int | None) -> None:
        depot.fetch(entry, descriptor, similar=similar)

    landing = Landing("b1", (home,), {**memory.copies}, fetch)
    return Demand(depot, landing, known or {}, memory.copies, memory.save)


def test_what_matches_comes_as_it_is_now(home: Path) -> None:
    far = Running({f"{home}/t1.vtk": b"one", f"{home}/t2.vtk": b"two", f"{home}/x.log": b"log"})
    found = demand(far, home).bring(["*.vtk"])

    assert {"t1.vtk": b"one", "t2.vtk": b"two"} == {p.name: p.read_bytes() for p in home.iterdir()}
    whole = [{"path": f"{home}/t{n}.vtk", "bytes": 3, "whole": True} for n in (1, 2)]
    assert {"files": whole, "notes": []} == found
    seen = (home / "t1.vtk").stat()
    assert Mark(3, seen.st_mtime_ns, seen.st_ino) == recall().copies[f"{home}/t1.vtk"]
    assert (10**18 + 3, 0o640) == (seen.st_mtime_ns, seen.st_mode & 0o7777)


def test_a_file_that_is_written_to_meanwhile_is_read_again(home: Path) -> None:
    path = f"{home}/field.bin"
    far = Running({path: b"old"}, [lambda tree: tree.update({path: b"newer"})])
    found = demand(far, home).bring(["field.bin"])

    assert b"newer" == (home / "field.bin").read_bytes()
    assert [{"path": path, "bytes": 5, "whole": True}] == found["files"]


def test_one_that_is_always_written_to_comes_and_is_not_called_whole(home: Path) -> None:
    path = f"{home}/field.bin"

    def grow(tree: Tree) -> None:
        tree[path] += b"more"

    found = demand(Running({path: b""}, [grow] * 9), home).bring(["*"])
    assert [{"path": path, "bytes": 4 * (TRIES - 1), "whole": False}] == found["files"]
    assert b"more" * (TRIES - 1) == (home / "field.bin").read_bytes()


def test_one_that_is_begun_anew_meanwhile_comes_as_it_is_then(home: Path) -> None:
    one, two = f"{home}/one.rst", f"{home}/two.rst"
    far = Running({one: b"x", two: b"long and long"}, [lambda tree: tree.update({two: b"new"})])
    found = demand(far, home).bring(["*.rst"])

    assert {"one.rst": b"x", "two.rst": b"new"} == {p.name: p.read_bytes() for p in home.iterdir()}
    assert [(1, True), (3, True)] == [(file["bytes"], file["whole"]) for file in found["files"]]


def test_one_that_is_removed_meanwhile_keeps_no_other_back(home: Path) -> None:
    one, three, two = (f"{home}/{name}" for name in ("one", "three", "two"))
    far = Running({one: b"a", three: b"c", two: b"b"}, [lambda tree: tree.pop(three)])
    found = demand(far, home).bring(["*"])

    assert [one, two] == [file["path"] for file in found["files"]]
    assert [f"{three} was not brought: its job has removed it"] == found["notes"]


def test_output_goes_on_while_many_come(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live file that has grown by then is ours still."""
    monkeypatch.setattr("burstd.agent.demand.LOOKED_EVERY", 0)
    names = [f"{home}/{name}" for name in ("a.dat", "b.dat", "c.sta")]
    one, looks = demand(Running(dict.fromkeys(names, b"12")), home), list[list[str]]()
    live = home / "c.sta"

    def follow() -> None:
        live.write_bytes(b"1" * (1 + len(looks)))
        one.copies[str(live)] = Mark.of(live.stat())
        looks.append(sorted(path.name for path in home.glob("*.dat")))

    one.follow = follow
    found = one.bring(["*"])
    assert (names, []) == ([file["path"] for file in found["files"]], found["notes"])
    assert [[], ["a.dat"], ["a.dat", "b.dat"]] == looks
    assert b"12" == live.read_bytes()


def test_what_the_job_has_left_as_it_was_sent_is_not_brought(home: Path) -> None:
    """Its own name may be open at home, as another job's output is."""
    names = {name: f"{home}/{name}" for name in ("kept", "changed", "new")}
    far = Running({path: b"abc" for path in names.values()})
    known = {names["kept"]: Mark(3, 10**18 + 3, 1), names["changed"]: Mark(3, 10**18 + 2, 1)}
    for name in ("kept", "changed"):
        (home / name).write_bytes(b"abc")
    kept = (home / "kept").stat()
    found = demand(far, home, known=known).bring(["*"])

    assert kept.st_ino == (home / "kept").stat().st_ino
    assert {names["changed"], names["new"]} == {file["path"] for file in found["files"]}
    assert "1 files that match are as they were sent: they stay as they are" in found["notes"]


def test_each_file_is_asked_for_alone_behind_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all of them once for each; and a name may be what a pattern is made of."""
    far = Running({f"{home}/a[1].vtk": b"one", f"{home}/a1.vtk": b"two"})
    asked, matching = list[list[str]](), far.matching

    def heard(patterns: Sequence[str]) -> list[Seen]:
        asked.append(list(patterns))
        return matching(patterns)

    monkeypatch.setattr(far, "matching", heard)
    found = demand(far, home).bring(["*"])["files"]
    assert [True, True] == [file["whole"] for file in found]
    assert [["*"], ["a1.vtk"], ["a[[]1].vtk"]] == [asked[0], *sorted(asked[1:])]


def test_what_the_far_end_refuses_and_a_full_disk_are_answers_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Running({f"{home}/one": b"x"})
    found = demand(far, home).bring(["/etc/passwd"])
    assert ([], ["nothing was brought: the far end says refused: not a plain path"]) == (
        found["files"], found["notes"],
    )  # fmt: skip

    def full(*_words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(far, "fetch", full)
    found = demand(far, home).bring(["*"])
    assert ([], [f"{home}/one was not brought: No space left on device"]) == (
        found["files"], found["notes"],
    )  # fmt: skip


def test_what_the_user_has_by_that_name_stays_and_the_end_replaces_a_copy(home: Path) -> None:
    (home / "notes.txt").write_bytes(b"the user's own words")
    far = Running({f"{home}/notes.txt": b"far", f"{home}/out.frd": b"half"})
    one = demand(far, home)
    found = one.bring(["*"])

    assert b"the user's own words" == (home / "notes.txt").read_bytes()
    assert [f"{home}/out.frd"] == [file["path"] for file in found["files"]]
    assert "was changed on-prem while the job ran" in found["notes"][0]

    far.tree[f"{home}/out.frd"] = b"half and half"
    digest = blake3.blake3(b"half and half").hexdigest()
    one.landing.land(OutputFile(f"{home}/out.frd", "file", 13, digest, 10**18))
    assert b"half and half" == (home / "out.frd").read_bytes()


def test_nothing_comes_that_is_not_paid_for_or_leads_elsewhere(home: Path) -> None:
    outside = f"{home.parent}/outside"
    far = Running({f"{home}/big": b"x" * 11, f"{home}/small": b"x" * 9, outside: b"x"})
    found = demand(far, home, 10).bring(["*"])

    assert {"small"} == {path.name for path in home.iterdir()}
    assert [f"{home}/small"] == [file["path"] for file in found["files"]]
    assert ["more than is paid for" in found["notes"][0], len(found["notes"])] == [True, 2]
    assert not Path(outside).exists()


def test_a_result_without_a_digest_is_no_result(home: Path) -> None:
    far = Running({f"{home}/out.frd": b"half"})
    with pytest.raises(Damaged, match="no digest"):
        demand(far, home).landing.land(OutputFile(f"{home}/out.frd", "file", 4, "", 0))
