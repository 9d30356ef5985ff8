"""A pack on its way, and what others make of it; no pack of others' keeps anybody from his work."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from burstd.far import packs, paths, store
from burstd.far.errors import MISMATCH, FarError
from burstd.far.packs import Writer
from burstd.far.store import Store
from tests.unit.staged import Talk, begun, digest
from tests.unit.stored import taken

Begin = Callable[..., Talk]
X, Y = b"x" * 5000, b"y" * 70_000


@pytest.fixture(name="begin")
def _begin(tmp_path: Path) -> Iterator[Begin]:
    yield from begun(tmp_path)


def place(root: Path) -> Path:
    return root / "stores" / str(os.geteuid())


def left(root: Path, key: str = "b-dead") -> Store:
    """That of a conversation that ends here as if it were killed."""
    found = Store.at(str(root), key)
    found.add([(digest(X), X)])
    assert found._writer is not None
    os.close(found._writer._fd)
    return found


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_one_that_is_just_begun_is_not_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = packs._lock

    def late(fd: int) -> bool:
        monkeypatch.undo()
        Store.at(str(tmp_path), "b-2").close()
        return lock(fd)

    monkeypatch.setattr(packs, "_lock", late)
    mine = Store.at(str(tmp_path), "b-1")
    mine.add([(digest(X), X)])
    Store.at(str(tmp_path), "b-3").close()
    mine.settle()
    assert X == taken(mine, digest(X))
    mine.close()


def test_one_that_can_not_be_begun_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Store.at(str(tmp_path), "b-1")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    monkeypatch.setattr(os, "write", no_room)
    with pytest.raises(OSError, match="No space"):
        mine.add([(digest(X), X)])
    monkeypatch.undo()
    assert [] == list(place(tmp_path).iterdir())
    assert before == len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    mine.close()


def test_two_may_mend_the_same_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path).mkdir(parents=True)
    (place(tmp_path) / "b-dead.0.pack").write_bytes(packs.MAGIC)
    mend = packs._mend

    def late(*given: object) -> None:
        monkeypatch.undo()
        Store.at(str(tmp_path), "b-2").close()
        (place(tmp_path) / "b-dead.0.pack").unlink(missing_ok=True)
        mend(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(packs, "_mend", late)
    Store.at(str(tmp_path), "b-1").close()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_one_that_can_not_be_read_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    left(tmp_path)

    def unreadable(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(paths, "open_regular", unreadable)
    mine = Store.at(str(tmp_path), "b-1")
    assert not mine.has(digest(X))
    mine.refresh(mend=True)
    monkeypatch.undo()
    mine.refresh(mend=True)
    assert X == taken(mine, digest(X))
    mine.close()


@pytest.mark.parametrize("what", ["fsync", "rename", "ftruncate"])
def test_on_a_full_disk_one_that_was_cut_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    left(tmp_path)
    monkeypatch.setattr(os, what, no_room)
    mine = Store.at(str(tmp_path), "b-1")
    assert X == taken(mine, digest(X))
    assert [".pack"] == [path.suffix for path in place(tmp_path).iterdir()]
    monkeypatch.undo()
    mine.close()


def test_a_full_store_is_swept_though_nothing_can_be_finished(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = begin("b-old")
    old.put("/w/f", X)
    old.end()
    for path in place(old.root).glob("b-old.*"):
        os.utime(path, (0, 0))
    talk = begin()
    talk.put("/w/f", Y)
    monkeypatch.setattr(Writer, "finish", no_room)
    with pytest.raises(OSError, match="No space"):
        talk.staging.close(200 * 2**30, 30)
    assert not list(place(talk.root).glob("b-old.*"))


def test_of_one_that_is_swept_meanwhile_all_is_sent_again(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, talk = begin("b-0"), begin()
    one.put("/w/f", X)
    one.end()
    assert [] == talk.want([X])
    for path in place(talk.root).glob("b-0.*"):
        path.unlink()
    monkeypatch.setattr(store, "_TOUCHED", 0)  # an hour has passed
    with pytest.raises(FarError) as refused:
        talk.build("/w/f", 0, [X])
    assert MISMATCH == refused.value.code
    talk.put("/w/f", X)


def test_one_of_the_table_that_came_back_is_found(tmp_path: Path) -> None:
    for number in range(20):
        one = Store.at(str(tmp_path), f"b-{number}")
        one.add([(digest(b"%d" % number), b"%d" % number)])
        one.close()
    assert (place(tmp_path) / "all.table").exists()
    (pack,), (index,) = (list(place(tmp_path).glob(f"b-3.*.{kind}")) for kind in ("pack", "idx"))
    pack.rename(pack.with_suffix(".aside"))
    index.rename(index.with_suffix(".aside2"))
    mine = Store.at(str(tmp_path), "b-x")
    assert not mine.has(digest(b"3"))
    pack.with_suffix(".aside").rename(pack)
    index.with_suffix(".aside2").rename(index)
    mine.refresh()
    assert mine.has(digest(b"3"))
    mine.close()
