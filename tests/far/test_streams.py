"""Inputs over several lines at once: the built program, a conversation for each."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from burstd.agent import streams
from burstd.agent.index import Index
from burstd.agent.pace import Pace
from burstd.agent.passage import Passage
from burstd.agent.ssh_depot import SshDepot, SshLine
from burstd.agent.streams import Streams, dealt, wanted
from burstd.far.client import Client
from burstd.far.errors import FarError, FarLost
from burstd.ports.errors import Unreachable
from tests.far.kit import KEY, FarEnd

MIB = 2**20


class Line:
    """A conversation with a program of its own."""

    passage: Passage | None = None

    def __init__(self, far: FarEnd) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            far.argv("serve"), stdin=pipe, stdout=pipe, env=far.environment()
        )
        self._pipes = cast(BinaryIO, self.process.stdin), cast(BinaryIO, self.process.stdout)
        self.client = Client(*self._pipes)
        self.client.greet()

    def close(self) -> None:
        for pipe in self._pipes:
            try:
                pipe.close()
            except OSError:
                continue
        self.process.wait(60)

    def end(self) -> None:
        self.process.kill()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Thirty, of any size; some share what is in them."""
    monkeypatch.setattr(Index, "own", lambda: Index(tmp_path / "index"))
    dice, found = random.Random(8), []
    shared = dice.randbytes(2 * MIB)
    for n in range(30):
        path = tmp_path / f"job/f{n:02}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(dice.randbytes(dice.choice((0, 100, MIB))) + shared * (n % 3))
        found.append(path)
    return found


@pytest.mark.parametrize("count", [1, 3, 4])
def test_all_is_there_whatever_line_it_took(far: FarEnd, files: list[Path], count: int) -> None:
    first, opened = Line(far), list[Line]()

    def another() -> Line:
        opened.append(Line(far))
        return opened[-1]

    found = Streams(first, another).push(dealt(list(map(str, files)), count))
    assert list(map(str, files)) == [file.path for file in found]
    assert count - 1 == len(opened)
    assert {0} == {line.process.returncode for line in opened} or count == 1
    for path in files:
        assert path.read_bytes() == far.file(str(path)).read_bytes()
    first.close()


def test_where_one_line_fails_all_end(far: FarEnd, files: list[Path]) -> None:
    first, opened = Line(far), list[Line]()

    def another() -> Line:
        opened.append(Line(far))
        opened[-1].end()
        return opened[-1]

    with pytest.raises((FarLost, BrokenPipeError, FarError)):
        Streams(first, another).push(dealt(list(map(str, files)), 3))
    assert all(line.process.returncode is not None for line in opened)
    first.close()
    assert first.process.returncode


def test_a_line_that_cannot_be_opened_leaves_no_other_open(far: FarEnd, files: list[Path]) -> None:
    first, opened = Line(far), list[Line]()

    def another() -> Line:
        if opened:
            raise OSError("no more processes")
        opened.append(Line(far))
        return opened[-1]

    with pytest.raises(OSError, match="no more processes"):
        Streams(first, another).push(dealt(list(map(str, files)), 3))
    assert all(line.process.returncode is not None for line in opened)
    first.close()


def spoken(far: FarEnd) -> SshDepot:
    """The agent's depot, with a far program here that takes two seconds' silence for a cut."""
    pipe = subprocess.PIPE
    argv = [*far.argv("serve"), "--silence", "2"]
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, env=far.environment())

    def none() -> SshLine:
        raise AssertionError

    return SshDepot(SshLine(process, Pace(lambda _moved: None)), KEY, none)


@pytest.mark.parametrize("every", [0.4, 30.0])
def test_a_depot_that_has_nothing_to_say_says_so(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch, every: float
) -> None:
    monkeypatch.setattr("burstd.agent.ssh_depot.WORD_EVERY", every)
    depot = spoken(far)
    depot.growing()
    time.sleep(3.5)
    if every > 1:
        with pytest.raises(Unreachable):
            depot.growing()
    else:
        depot.growing()
    depot.close()


def test_files_are_dealt_by_their_size_and_in_their_order(files: list[Path]) -> None:
    for count in (1, 2, 4, 40):
        piles = dealt(list(map(str, files)), count)
        assert sorted(map(str, files)) == sorted(path for pile in piles for path in pile)
        assert all(pile == sorted(pile) and pile for pile in piles)
        loads = [sum(Path(path).stat().st_size for path in pile) for pile in piles]
        assert count > 4 or max(loads) - min(loads) <= 5 * MIB


@pytest.mark.parametrize(
    ("round_trip", "size", "lines"),
    [
        (0.001, 10**12, 1), (0.1, 10**6, 1), (0.1, streams.WORTH, 4), (0.02, 10**12, 4),
        (0.015, 10**12, 3), (1.0, 10**12, 4),
    ],
)  # fmt: skip
def test_long_ways_and_many_bytes_are_worth_several(
    round_trip: float, size: int, lines: int
) -> None:
    assert lines == wanted(round_trip, size)
