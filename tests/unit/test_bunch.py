"""Whole files that are made many in one call: what is told of them, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blake3
import pytest

from burstd.far.bunch import MOST_CHUNKS, Bunch, Whole, whole
from burstd.far.chunks import Kept

Found = list[memoryview | Kept]

HOLE, DIGEST = 65536, "ab" * 32
SIZES = [10, 20, 30, 0, *[1] * 400]


def row(runs: object, size: object, **other: object) -> list[object]:
    said = {"path": "/a", "offset": 0, "runs": runs, "size": size, "digest": DIGEST, "time": 5}
    return [*{**said, **other}.values(), 0o6644]


@pytest.mark.parametrize(
    ("runs", "numbers"),
    [
        ([[0, 1]], [0]),
        ([[0, 3]], [0, 1, 2]),
        ([[2, 1], [0, 2]], [2, 0, 1]),
        ([[1, 1], [1, 1]], [1, 1]),
        ([[4, MOST_CHUNKS]], [*range(4, 4 + MOST_CHUNKS)]),
    ],
)
def test_a_whole_file_is_some_chunks(runs: list[list[int]], numbers: list[int]) -> None:
    size = sum(SIZES[number] for number in numbers)
    found = whole(row(runs, size), SIZES, 10**6)
    assert found is not None
    assert ("/a", numbers, size, DIGEST, 5, 0o644) == (found[0], list(found[1]), *found[2:])


@pytest.mark.parametrize(
    "said",
    [
        "", None, [], ["/a", 0, [[0, 1]]],
        row([[0, 1]], 11), row([[0, 1]], 9), row([[0, 1]], "10"), row([[0, 1]], True),
        row([], 0), row([[3, 1]], 0), row([[0, 1], [3, 1]], 10),
        row([[-1, 1]], 1), row([[0, 0]], 10), row([[0, -1]], 10), row([[404, 1]], 1),
        row([[403, 2]], 2), row([[0, 1, 1]], 10), row([[0]], 10), row([0, 1], 10), row({}, 10),
        row([[False, 1]], 10), row([[0, 1.0]], 10), row([["0", 1]], 10), row(None, 10),
        row([[4, MOST_CHUNKS + 1]], MOST_CHUNKS + 1),
        row([[4, MOST_CHUNKS], [4, 1]], MOST_CHUNKS + 1),
        row([[0, 1]], 10, path=b"/a"), row([[0, 1]], 10, path=1), row([[0, 1]], 10, offset=1),
        row([[0, 1]], 10, digest="AB" * 32), row([[0, 1]], 10, digest="ab"),
        row([[0, 1]], 10, time=2**63), row([[0, 1]], 10, time="5"),
        [*row([[0, 1]], 10)[:-1], -1], [*row([[0, 1]], 10)[:-1], "6"],
    ],
)  # fmt: skip
def test_all_else_is_for_others_to_read(said: Any) -> None:
    assert whole(said, SIZES, 10**6) is None


def test_nor_is_a_large_one_for_many_at_once() -> None:
    assert whole(row([[0, 3]], 60), SIZES, 61) is not None
    assert whole(row([[0, 3]], 60), SIZES, 60) is None


@pytest.fixture
def pack(tmp_path: Path) -> Iterator[int]:
    """Noise that others have left."""
    path = tmp_path / "pack"
    path.write_bytes(os.urandom(10**6))
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "place").mkdir()
    fd = os.open(tmp_path / "place", os.O_RDONLY)
    yield fd
    os.close(fd)


def kept(pack: int, offset: int, size: int) -> Kept:
    return blake3.blake3(os.pread(pack, size, offset)).digest(), pack, offset, size


def file(name: str, *found: memoryview | Kept) -> Whole:
    size = sum(len(one) if isinstance(one, memoryview) else one[3] for one in found)
    return Whole(f"/d/{name}", range(len(found)), size, DIGEST, 7, 0o640)


def memory(content: bytes) -> memoryview:
    return memoryview(bytearray(content))


def test_they_are_made_of_what_is_in_memory_and_of_what_is_kept(
    pack: int, place: int, tmp_path: Path
) -> None:
    here = memory(os.urandom(70_000))
    made: dict[str, Found] = {
        "a": [here], "b": [kept(pack, 5, 30_000)], "c": [kept(pack, 9, 1), here, here[:3]],
        "d": [here[:9], *(kept(pack, at, 29_000) for at in range(0, 900_000, 30_000)), here[9:]],
        "e": [here[1:], kept(pack, 0, 131_072), kept(pack, 7, 131_072), kept(pack, 8, 131_072)],
    }  # fmt: skip
    bunch = Bunch()
    for name, found in made.items():
        assert bunch.add(file(name, *found), found)
    facts = bunch.make(place, HOLE)
    assert len(made) == len(facts)
    assert sum(one.size for one in bunch.files) == bunch.size
    for (name, found), fact in zip(made.items(), facts, strict=True):
        content = b"".join(
            one if isinstance(one, memoryview) else os.pread(pack, one[3], one[2]) for one in found
        )
        there = tmp_path / "place" / name
        seen = there.stat()
        assert content == there.read_bytes()
        assert (7, seen.st_ctime_ns, seen.st_ino) == fact
        assert (0o640, 7) == (seen.st_mode & 0o7777, seen.st_mtime_ns)


@pytest.mark.parametrize("where", ["memory", "pack"])
def test_zeros_are_holes_also_at_the_end(where: str, place: int, tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(2 * HOLE))
    with (tmp_path / "zeros").open("rb") as zeros:
        one: memoryview | Kept = memory(bytes(HOLE))
        if where == "pack":
            one = kept(zeros.fileno(), 0, HOLE)
        few = memory(bytes(HOLE - 1))
        made: dict[str, Found] = {
            "all": [one], "behind": [memory(b"x"), one, one], "before": [one, memory(b"x")],
            "few": [few],
        }  # fmt: skip
        bunch = Bunch()
        for name, found in made.items():
            bunch.add(file(name, *found), found)
        assert len(made) == len(bunch.make(place, HOLE))
    x, top = b"x", tmp_path / "place"
    hole = bytes(HOLE)
    expected = {"all": hole, "behind": x + 2 * hole, "before": hole + x, "few": hole[1:]}
    assert expected == {name: (top / name).read_bytes() for name in made}
    blocks = {name: (top / name).stat().st_blocks * 512 for name in made}
    assert blocks["all"] == 0
    assert max(blocks["behind"], blocks["before"]) < HOLE <= blocks["few"]


@pytest.mark.parametrize("what", ["other bytes", "past the end", "gone", "there", "a long name"])
def test_those_before_one_that_can_not_be_made_are_there(
    what: str, pack: int, place: int, tmp_path: Path
) -> None:
    fine = kept(pack, 0, 1000)
    name, fd, offset, size = fine
    bad: Kept = {
        "other bytes": (name, fd, offset + 1, size),
        "past the end": (name, fd, 10**6 - 1, size),
        "gone": (name, -1, offset, size),
    }.get(what, fine)
    if what == "there":
        (tmp_path / "place" / "bad").write_text("of others")
    bunch = Bunch()
    for one, found in (("a", [fine, fine]), ("bad", [fine, bad]), ("c", [fine])):
        longer = 251 * "d" if what == "a long name" and one == "bad" else ""
        added = bunch.add(file(one + longer + longer[:2], *found), found)
        assert added == (not longer)
        if not added:
            break
    assert 1 == len(bunch.make(place, HOLE))
    assert os.pread(pack, 1000, 0) * 2 == (tmp_path / "place" / "a").read_bytes()
    assert not (tmp_path / "place" / "c").exists()
    if what == "there":
        assert "of others" == (tmp_path / "place" / "bad").read_text()
