"""A stand-in on a machine that knows nothing of the earlier one goes on in the same output file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from burstd.agent.earlier import BLOCK, begin
from burstd.agent.follow import Follower
from burstd.agent.memory import Memory
from burstd.ports.errors import Unreachable
from tests.unit.test_follow import Far, stdout_to

LINES = b"".join(b"step %d\n" % number for number in range(9))
REQUEUED = b"slurmstepd: error: *** JOB 7 ON px CANCELLED AT 2026-11-30 DUE TO JOB REQUEUE ***\n"


class Book:
    """What burstd keeps of what a burst's agents have told."""

    def __init__(self) -> None:
        self.told: list[Mapping[str, Any]] = []

    def life(self, far: Far, home: Path) -> None:
        """A stand-in with a memory of its own looks at what grows, and its machine goes away."""
        home.mkdir()
        memory, told = Memory(home), self.told[0] if self.told else None
        Follower(
            far, memory.positions, {}, {}, (), memory.before_writing,
            begin=lambda now: begin(memory, told, self.told.append, now, far.read),
        ).once()  # fmt: skip


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(content)


@pytest.mark.parametrize(
    "between",
    [b"", REQUEUED, b"burstd: the line is cut; waiting\n" + REQUEUED],
    ids=["reboot", "requeue", "words"],
)
@pytest.mark.parametrize("before", [b"", LINES[:30]], ids=["new", "older"])
@pytest.mark.parametrize("first", [7, 14, 17])
def test_no_byte_is_twice_there_and_none_is_lost(
    tmp_path: Path, between: bytes, before: bytes, first: int
) -> None:
    """However far the first one came, also within a line, and whatever an older run has left."""
    path, far, book = tmp_path / "out", Far({"stdout": LINES[:first]}), Book()
    path.write_bytes(before)
    expected = before + LINES[:first]
    with stdout_to(path):
        book.life(far, tmp_path / "1")
        for number, more in enumerate((first + 21, first + 21, len(LINES)), 2):
            append(path, between)
            far.files["stdout"] = LINES[:more]
            book.life(far, tmp_path / str(number))
            expected += between + LINES[first:more]
            first = more
    assert expected == path.read_bytes()


def test_what_a_crash_has_taken_of_the_file_comes_again(tmp_path: Path) -> None:
    path, far, book = tmp_path / "out", Far({"stdout": LINES}), Book()
    with stdout_to(path):
        book.life(far, tmp_path / "1")
        os.truncate(path, 20)
        append(path, REQUEUED)
        book.life(far, tmp_path / "2")
    assert LINES[:20] + REQUEUED + LINES[20:] == path.read_bytes()


def test_a_file_that_slurm_has_begun_anew_has_all_of_it(tmp_path: Path) -> None:
    path, far, book = tmp_path / "out", Far({"stdout": LINES}), Book()
    path.write_bytes(b"burstd: waiting\n")
    with stdout_to(path):
        book.life(far, tmp_path / "1")
        os.truncate(path, 0)
        book.life(far, tmp_path / "2")
    assert LINES == path.read_bytes()


def test_another_file_of_the_name_has_all_of_it(tmp_path: Path) -> None:
    path, far, book = tmp_path / "out", Far({"stdout": LINES}), Book()
    with stdout_to(path):
        book.life(far, tmp_path / "1")
    path.rename(tmp_path / "kept")
    path.write_bytes(LINES)
    with stdout_to(path):
        book.life(far, tmp_path / "2")
    assert LINES + LINES == path.read_bytes()


def test_a_long_output_is_looked_through_to_its_end(tmp_path: Path) -> None:
    path, far, book = tmp_path / "out", Far({"stdout": os.urandom(2 * BLOCK + 5)}), Book()
    with stdout_to(path):
        book.life(far, tmp_path / "1")
        append(path, b"\n" + REQUEUED)
        far.files["stdout"] += b"\nmore"
        append(path, REQUEUED)
        book.life(far, tmp_path / "2")
    assert far.files["stdout"][:-4] + 2 * REQUEUED + b"more" == path.read_bytes()


def test_words_of_a_prolog_are_not_taken_for_the_jobs(tmp_path: Path) -> None:
    path, far, book = tmp_path / "out", Far({"stdout": LINES[:14]}), Book()
    with stdout_to(path):
        book.life(far, tmp_path / "1")
        append(path, REQUEUED + b"step into the prolog\n")
        far.files["stdout"] = LINES
        book.life(far, tmp_path / "2")
    assert LINES[:14] + REQUEUED + b"step into the prolog\n" + LINES[14:] == path.read_bytes()


def test_output_of_others_ends_the_search(tmp_path: Path) -> None:
    """The tasks of an array in one file: rather a line twice than one that is lost."""
    path, far, book = tmp_path / "out", Far({"stdout": LINES[:14]}), Book()
    with stdout_to(path):
        book.life(far, tmp_path / "1")
        append(path, b"a word of another\n")
        append(path, LINES[14:21])
        far.files["stdout"] = LINES[:21]
        book.life(far, tmp_path / "2")
    assert LINES[:14] + b"a word of another\n" + 2 * LINES[14:21] == path.read_bytes()


def cut(*_: Any) -> bytes:
    raise Unreachable("cut")


@pytest.mark.parametrize("read", [lambda *_: b"", cut], ids=["unpaid", "cut"])
def test_as_long_as_nobody_knows_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[..., bytes]
) -> None:
    """The line is cut while both are compared, or what is paid for has come."""
    path, far, book = tmp_path / "out", Far({"stdout": LINES}), Book()
    with stdout_to(path):
        book.life(far, tmp_path / "1")
        with monkeypatch.context() as patch:
            patch.setattr(far, "read", read)
            with suppress(Unreachable):
                book.life(far, tmp_path / "2")
        assert LINES == path.read_bytes()
        book.life(far, tmp_path / "3")
    assert LINES == path.read_bytes()
