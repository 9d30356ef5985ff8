"""What a conversation builds: of that nothing is believed that may not have got to the disk."""

from __future__ import annotations

import ctypes
import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from burstd.far import growing, standing
from burstd.far.errors import FarError
from tests.unit.staged import Talk, begun, order

Begin = Callable[..., Talk]


@pytest.fixture(name="begin")
def _begin(tmp_path: Path) -> Iterator[Begin]:
    yield from begun(tmp_path)


class Failing:
    """A C library whose syncfs(2) tells, once, that something did not get to the disk."""

    def __init__(self, *_: object, **__: object) -> None:
        self.said = 0

    def syncfs(self, _fd: int) -> int:
        self.said += 1
        ctypes.set_errno(errno.EIO)
        return -1 if self.said == 1 else 0


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on."""

    def begin() -> None:
        library = Failing()
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library)

    return begin


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was built is believed in however young it is."""
    monkeypatch.setattr(standing, "SETTLED_NS", -(10**9))


@pytest.mark.parametrize("ordered", [True, False])
def test_what_may_not_be_on_the_disk_is_written_again(
    begin: Begin, failing: Callable[[], None], ordered: bool
) -> None:
    earlier = begin()
    earlier.put("/w/mesh", b"m" * 900)
    earlier.end()
    assert list(Path(earlier.run.path).glob("built.*"))

    talk = begin()
    inputs = [talk.put("/w/mesh", b"m" * 900), talk.put("/w/deck", b"d" * 900)]
    failing()
    if ordered:
        with pytest.raises(FarError, match="broken: the run directory could not be synced"):
            talk.staging.settle(order(*inputs))
    talk.end()
    assert not list(Path(talk.run.path).glob("built.*"))
    assert not list(Path(talk.run.path).glob(".new.*"))

    again = begin()
    rows = [[one.path, one.size, one.blake3, one.mtime_ns, one.mode] for one in inputs]
    assert b"\x03" == again.staging.standing(json.dumps(rows).encode())
    assert not again.file("/w/deck").exists()
    for one, content in zip(inputs, (b"m" * 900, b"d" * 900), strict=True):
        again.put(one.path, content)
    again.staging.settle(order(*inputs))
    assert b"d" * 900 == again.file("/w/deck").read_bytes()


class Forgetful:
    """A disk that has not taken a file, which is right only as long as it is in memory. That was
    said once already, to somebody else's sync(1)."""

    def __init__(self, lost: Path) -> None:
        self.synced = False
        self.file = lost.open("r+b")  # as long as it is open no other one has its inode
        self.inode = os.fstat(self.file.fileno()).st_ino

    def syncfs(self, _fd: int) -> int:
        self.synced = True
        return 0

    def posix_fadvise(self, fd: int, _offset: int, _length: int, advice: int) -> None:
        # What is dirty stays: it is on its way to the disk.
        if advice == os.POSIX_FADV_DONTNEED and self.synced and os.fstat(fd).st_ino == self.inode:
            self.evict()

    def evict(self) -> None:
        fact = os.fstat(self.file.fileno())
        self.file.write(bytes(fact.st_size))
        self.file.flush()
        os.utime(self.file.fileno(), ns=(fact.st_atime_ns, fact.st_mtime_ns))
        self.file.seek(0)


def test_what_a_conversation_that_was_killed_has_left_is_read_from_the_disk(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = begin()
    killed.put("/w/deck", b"d" * 900)
    disk = Forgetful(killed.file("/w/deck"))
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: disk)
    monkeypatch.setattr(os, "posix_fadvise", disk.posix_fadvise)
    later = begin()
    inputs = [later.put("/w/deck", b"d" * 900)]
    later.staging.settle(order(*inputs))
    disk.evict()
    assert b"d" * 900 == later.file("/w/deck").read_bytes()
    disk.file.close()


def test_a_tree_that_others_have_since_is_theirs(begin: Begin, failing: Callable[[], None]) -> None:
    hung = begin()
    hung.put("/w/deck", b"old")
    later = begin()
    later.put("/w/deck", b"new")
    failing()
    hung.end()
    assert b"new" == later.file("/w/deck").read_bytes()
    later.run.mark_start(1)
    later.end()
    assert b"new" == later.file("/w/deck").read_bytes()


def test_what_is_built_behind_an_order_is_synced_once_more(
    begin: Begin, failing: Callable[[], None]
) -> None:
    talk = begin()
    talk.staging.settle(order(talk.put("/w/deck", b"one")))
    talk.put("/w/deck", b"two")
    failing()
    talk.end()
    assert not list(Path(talk.run.path).glob("built.*"))


def test_a_file_that_can_not_be_closed_is_closed_once(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NFS tells of a full quota."""
    close, told = os.close, list[int]()

    def full(fd: int) -> None:
        close(fd)
        told.append(fd)
        if len(told) == 1:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        monkeypatch.undo()

    talk, pieces = begin(), [bytes([n]) * 60_000 for n in range(30)]
    for number in talk.want(pieces):
        talk.send(number, pieces[number])
    monkeypatch.setattr(growing, "os", Closing(full))
    with pytest.raises(FarError, match="full: Disk quota"):
        talk.build("/w/f", 0, pieces)
    talk.build("/w/g", 0, pieces)
    assert ["/w/g"] == list(talk.staging._built._marks)
    talk.staging.close(200 * 2**30, 30)


class Closing:
    """The system, but for closing."""

    def __init__(self, close: Callable[[int], None]) -> None:
        self.close = close

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)
