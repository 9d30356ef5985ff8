"""A life of the agent ends anywhere; the next one writes each byte of the output once."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from burstd.agent.follow import Follower
from burstd.agent.memory import Memory, recall
from burstd.domain.data import Mark
from tests.unit.test_follow import Far


class Killed(BaseException):
    """SIGKILL."""


@dataclass
class SmallBlocks(Far):
    """Gives four bytes at a time: many writes."""

    def read(self, what: str, offset: int, length: int) -> bytes:
        return super().read(what, offset, min(4, length))


@contextmanager
def output(directory: Path) -> Iterator[Path]:
    """A job's output file as slurmd opens it: one descriptor for all lives."""
    path = directory / "slurm-1.out"
    kept = os.dup(1)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    try:
        yield path
    finally:
        os.dup2(kept, 1)
        os.close(descriptor)
        os.close(kept)


def life(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """One more life: what it remembers, resumed."""
    monkeypatch.setenv("BURST_AGENT_DIR", str(directory))
    memory = recall()
    memory.resume({"stdout": 1, "stderr": 2})
    return memory


@pytest.mark.parametrize("when", ["before the write", "after the write"])
@pytest.mark.parametrize("nth", range(1, 7))
def test_a_life_killed_at_any_write_is_followed_by_one_that_goes_on_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int, when: str
) -> None:
    far = SmallBlocks({"stdout": b"one\ntwo and\nthree\nfour\n"})
    calls = itertools.count(1)

    def dying(stream: str, descriptor: int) -> None:
        call = next(calls)
        if when == "after the write" and call == nth + 1:
            raise Killed
        memory.before_writing(stream, descriptor)
        if when == "before the write" and call == nth:
            raise Killed

    with output(tmp_path) as path:
        memory = life(tmp_path, monkeypatch)
        with suppress(Killed):
            Follower(far, memory.positions, {}, {}, (), dying).once()
        memory = life(tmp_path, monkeypatch)
        Follower(far, memory.positions, {}, {}, (), memory.before_writing).once()

    assert far.files["stdout"] == path.read_bytes()


def test_a_life_that_ended_as_it_should_is_followed_by_one_that_goes_on_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = SmallBlocks({"stdout": b""})
    with output(tmp_path) as path:
        for part in (b"one\n", b"two and\n", b"", b"three\n"):
            far.files["stdout"] += part
            memory = life(tmp_path, monkeypatch)
            Follower(far, memory.positions, {}, {}, (), memory.before_writing, memory.save).once()
            memory.settle()

    assert b"one\ntwo and\nthree\n" == path.read_bytes()


def test_words_of_burstds_own_do_not_count_as_the_payloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Far({"stdout": b"one\n"})
    with output(tmp_path) as path:
        memory = life(tmp_path, monkeypatch)
        memory.before_writing("", 1)
        os.write(1, b"burstd: waiting\n")
        memory = life(tmp_path, monkeypatch)
        Follower(far, memory.positions, {}, {}, (), memory.before_writing).once()

    assert b"burstd: waiting\none\n" == path.read_bytes()


@contextmanager
def both(directory: Path) -> Iterator[Path]:
    """Standard output and error in one file, by two descriptors that know nothing of each other."""
    path = directory / "slurm-1.out"
    kept = os.dup(1), os.dup(2)
    try:
        for number in (1, 2):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(descriptor, number)
            os.close(descriptor)
        yield path
    finally:
        for number, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)


@pytest.mark.parametrize("killed", [False, True])
def test_what_others_append_to_the_output_does_not_count_as_the_payloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    far = Far({"stdout": b"one\n"})
    with both(tmp_path) as path:
        memory = life(tmp_path, monkeypatch)
        os.write(2, b"burstd: waiting for a long time\n")
        Follower(far, memory.positions, {}, {}, (), memory.before_writing).once()
        if not killed:
            memory.settle()
        os.write(2, b"the next task of the array\n")
        far.files["stdout"] += b"two\n"
        memory = life(tmp_path, monkeypatch)
        Follower(far, memory.positions, {}, {}, (), memory.before_writing).once()

    assert path.read_bytes() == (
        b"burstd: waiting for a long time\none\nthe next task of the array\ntwo\n"
    )


def test_a_memory_is_found_again_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURST_AGENT_DIR", str(tmp_path))
    memory = recall()
    memory.positions["stderr"] = 7
    memory.copies["/home/alice/run.sta"] = Mark(1, 2, 3)
    memory.said.append("the link is down")
    memory.trouble_since = 12.5
    memory.before_writing("stderr", 2)

    assert (memory.positions, memory.copies, memory.said, memory.trouble_since) == (
        recall().positions, recall().copies, recall().said, recall().trouble_since,
    )  # fmt: skip
    assert tuple(recall().writing or ()) == memory.writing


def test_a_life_that_ended_behind_its_memory_has_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between its last two steps: burstd tells the next life once more how to end."""
    monkeypatch.setenv("BURST_AGENT_DIR", str(tmp_path / "gone"))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    memory = recall()
    assert memory.directory.is_dir()
    assert memory.directory.name.startswith("burst-agent-7-")
    memory.forget()
    assert [] == list(tmp_path.iterdir())


def test_a_memory_of_another_version_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURST_AGENT_DIR", str(tmp_path))
    Memory(tmp_path, positions={"stdout": 7}).save()
    state = json.loads((tmp_path / "state.json").read_text())
    del state["strangers"]
    (tmp_path / "state.json").write_text(json.dumps({**state, "of a later one": 1}))
    assert ({"stdout": 7}, {}) == (recall().positions, recall().strangers)


def test_live_copies_are_remembered_as_soon_as_they_are_written(tmp_path: Path) -> None:
    root = tmp_path / "job"
    root.mkdir()
    seen: list[set[str]] = []
    memory = Memory(tmp_path)
    far = Far({f"{root}/a.sta": b"x", f"{root}/b.sta": b"y"})
    written = lambda: seen.append(set(memory.copies))  # noqa: E731
    Follower(far, {}, {}, memory.copies, (root,), written=written).once()

    assert [{f"{root}/a.sta"}, {f"{root}/a.sta", f"{root}/b.sta"}] == seen
