"""Small files, read many in one call."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import blake3
import pytest

from burstd.agent import small
from burstd.agent.small import Small, read_small
from burstd.far.chunks import ALONE


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Of sizes around what is small, and an odd name."""
    sizes = [0, 1, 1000, ALONE - 1, ALONE, ALONE + 1, 5, 70_000, 3]
    found = [tmp_path / f"f{number}" for number in range(len(sizes))]
    found[2] = tmp_path / "na\udcefve\n"
    for path, size in zip(found, sizes, strict=True):
        path.write_bytes(os.urandom(size))
    return found


@pytest.mark.parametrize("room", [small.ROOM, ALONE + 1])
def test_they_are_what_they_are_and_larger_ones_are_left_out(
    files: list[Path], room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "ROOM", room)
    found = list(read_small(list(map(str, files))))
    assert [path.stat().st_size > ALONE for path in files] == [one is None for one in found]
    for path, one in zip(files, found, strict=True):
        if one is not None:
            seen, content = path.stat(), path.read_bytes()
            assert content == one.content
            assert blake3.blake3(content).digest() == one.digest
            stamp = (seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)
            assert (stamp, seen.st_mode) == one.fact


def test_what_is_no_file_or_not_there_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    paths = [str(tmp_path / name) for name in ("none", "f", ".", "f")]
    found = list(read_small(paths))
    assert [None, b"x", None, b"x"] == [one and bytes(one.content) for one in found]


def test_many_more_than_one_call_takes(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(3 * small.AT_ONCE + 1)]
    for path in paths:
        path.write_text(path.name)
    found = list(read_small(list(map(str, paths))))
    assert [path.name.encode() for path in paths] == [one and bytes(one.content) for one in found]


def test_one_that_grows_meanwhile_is_whole_as_it_was_or_left_out(tmp_path: Path) -> None:
    path, over, whole = tmp_path / "f", threading.Event(), bytes(n % 251 for n in range(ALONE))
    path.touch()

    def grow() -> None:
        while not over.is_set():
            with path.open("wb") as file:
                for at in range(0, ALONE, 100):
                    os.write(file.fileno(), whole[at : at + 100])

    writer = threading.Thread(target=grow)
    writer.start()
    read, left = list[Small](), 0
    end = time.monotonic() + 20
    try:
        while not (left and len(read) > 200) and time.monotonic() < end:
            for one in read_small([str(path)] * 20):
                if one is None:
                    left += 1
                else:
                    read.append(one)
    finally:
        over.set()
        writer.join()
    assert left
    assert read
    for one in read:
        assert one.fact.stamp.size == len(one.content)
        assert whole[: len(one.content)] == one.content
