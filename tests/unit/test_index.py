"""The index of files that were read: what has not changed is not read again, and nothing else."""

from __future__ import annotations

import os
import random
from pathlib import Path

import blake3
import pytest

from burstd.agent import index as module
from burstd.agent.facts import Stamp
from burstd.agent.index import Index, Known
from burstd.agent.reading import Changed, batches


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A small one, an empty one, one of many chunks."""
    found = [tmp_path / name for name in ("small", "empty", "large")]
    for path, size in zip(found, (1000, 0, 12_000_000), strict=True):
        path.write_bytes(random.Random(size).randbytes(size))
    return found


def contents(files: list[Path], index: Index) -> tuple[dict[str, bytes], set[str]]:
    """What is read, and which files were read for it at once."""
    found, read = dict[str, bytes](), set[str]()
    for batch in batches(map(str, files), index):
        for piece in batch.pieces:
            taken = batch.chunks[piece.first : piece.first + piece.count]
            found[piece.path] = (found[piece.path] if piece.offset else b"") + b"".join(
                chunk.read() for chunk in taken
            )
            read |= {piece.path for chunk in taken if chunk.content is not None}
            if piece.entry:
                digest = blake3.blake3(found[piece.path]).hexdigest()
                assert (len(found[piece.path]), digest) == (piece.entry.size, piece.entry.blake3)
    return found, read


def test_what_has_not_changed_is_not_read_and_is_the_same(index: Index, files: list[Path]) -> None:
    first, read = contents(files, index)
    assert {str(files[0]), str(files[2])} == read
    assert (first, set()) == contents(files, index)
    assert {str(path): path.read_bytes() for path in files} == first


@pytest.mark.parametrize("how", ["longer", "same size and time", "another file"])
def test_what_has_changed_is_read(index: Index, files: list[Path], how: str) -> None:
    contents(files, index)
    path, fact = files[0], files[0].stat()
    if how == "longer":
        path.write_bytes(b"x" * 1001)
    elif how == "same size and time":
        path.write_bytes(b"x" * 1000)
        os.utime(path, ns=(fact.st_atime_ns, fact.st_mtime_ns))
    else:
        (path.parent / "new").write_bytes(b"x" * 1000)
        (path.parent / "new").rename(path)
    found, read = contents(files, index)
    assert {str(path)} == read
    assert path.read_bytes() == found[str(path)]


def test_one_that_was_written_a_moment_ago_may_be_written_again_in_the_same_moment(
    tmp_path: Path, files: list[Path]
) -> None:
    index = Index(tmp_path / "index")
    contents(files, index)
    assert {} == index.known(list(map(str, files)))
    index.close()


def test_one_that_only_looks_unchanged_is_noticed_when_it_is_needed(
    index: Index, files: list[Path]
) -> None:
    contents(files, index)
    path = str(files[0])
    other = blake3.blake3(b"other").digest()
    lie = Known(path, Stamp.of(files[0].stat()), other, b"\xe8\3\0\0", other)
    index.keep([lie], 2**62)
    with pytest.raises(Changed, match="other bytes"):
        contents(files, index)
    index.forget(path)
    assert files[0].read_bytes() == contents(files, index)[0][path]


def test_the_chunks_of_a_large_file_are_looked_up_when_they_are_needed(
    index: Index, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burstd.agent.notes.UNKEPT", 1000)
    small, large = files[0], files[2]
    contents(files, index)
    known = index.known([str(small), str(large)])
    assert [False, True] == [known[str(path)].left_out for path in (small, large)]
    ((sizes, names),) = index.pieces(known[str(large)])
    assert large.stat().st_size == sum(memoryview(sizes).cast("I"))
    assert len(names) == 8 * len(sizes)
    assert large.read_bytes() == contents([large], index)[0][str(large)]
    index.forget(str(large))  # somebody else has found it changed
    assert [] == list(index.pieces(known[str(large)]))


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The large one has a dozen."""
    monkeypatch.setattr(module, "_MANY", 500)
    monkeypatch.setattr("burstd.far.chunks.WINDOW", 2**20)


def parts(index: Index) -> int:
    """All that are there, of whichever file."""
    return int(index._rows("SELECT count(*) FROM parts", ())[0][0])


@pytest.mark.usefixtures("in_parts")
def test_the_chunks_of_a_file_that_has_very_many_lie_in_parts(
    index: Index, files: list[Path]
) -> None:
    large = files[2]
    first, _ = contents(files, index)
    assert (first, set()) == contents(files, index)
    assert 10 < (old := parts(index)) < 20
    known = index.known([str(large)])[str(large)]
    assert old == len(list(index.pieces(known)))
    assert known.left_out

    large.write_bytes(large.read_bytes() + b"more")
    assert {str(large)} == contents(files, index)[1]
    assert parts(index) < 20  # those of before are gone
    assert large.read_bytes() == contents([large], index)[0][str(large)]
    index.forget(str(large))
    assert 0 == parts(index)


@pytest.mark.usefixtures("in_parts")
def test_parts_that_another_agent_takes_away_are_missed(
    index: Index, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    contents(files, index)
    monkeypatch.setattr("burstd.agent.reading.BATCH_CHUNKS", 50)
    reading = batches(map(str, [files[2]]), index)
    next(reading)
    index.forget(str(files[2]))
    with pytest.raises(Changed):
        list(reading)


@pytest.mark.usefixtures("in_parts")
def test_parts_without_room_are_not_kept(
    index: Index, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "keep_part", lambda _row: False)
    found, _ = contents(files, index)
    assert files[2].read_bytes() == found[str(files[2])]
    assert {str(files[0]), str(files[1])} == set(index.known(list(map(str, files))))


@pytest.mark.usefixtures("in_parts")
def test_parts_of_a_file_that_was_not_read_to_its_end_are_forgotten(
    tmp_path: Path, index: Index, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = batches(map(str, [files[2]]), index)
    next(reading), next(reading)
    del reading
    assert parts(index) > 0
    contents([files[2]], index)
    today = module._today()
    monkeypatch.setattr(module, "_today", lambda: today + 2)
    before = parts(index)
    Index(tmp_path / "index").close()
    assert 0 < parts(index) < before
    assert set() == contents([files[2]], index)[1]


@pytest.mark.parametrize("wrong", ["link", "file", "garbage"])
def test_whatever_is_wrong_with_it_files_are_read(
    tmp_path: Path, files: list[Path], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED", -60)
    place, elsewhere = tmp_path / "index", tmp_path / "elsewhere"
    if wrong == "link":
        elsewhere.mkdir()
        place.symlink_to(elsewhere)
    elif wrong == "file":
        place.write_text("not a directory")
    else:
        place.mkdir()
        (place / f"files-{module.VERSION}.sqlite").write_bytes(b"no database" * 1000)
    index = Index(place)
    for _ in range(2):
        found, _ = contents(files, index)
        assert {str(path): path.read_bytes() for path in files} == found
    assert (wrong == "garbage") == bool(index.known([str(files[0])]))
    assert not elsewhere.exists() or not list(elsewhere.iterdir())
    index.close()


def test_several_agents_use_one(tmp_path: Path, index: Index, files: list[Path]) -> None:
    other = Index(tmp_path / "index")
    contents(files, other)
    assert set() == contents(files, index)[1]
    other.close()


def test_what_nobody_asks_for_any_more_is_forgotten(
    tmp_path: Path, index: Index, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    contents(files, index)
    today = module._today()
    monkeypatch.setattr(module, "_today", lambda: today + module.KEPT)
    index.known([str(files[0])])
    monkeypatch.setattr(module, "_today", lambda: today + module.KEPT + 1)
    Index(tmp_path / "index").close()
    assert {str(files[0])} == set(index.known(list(map(str, files))))


def test_what_an_earlier_version_has_left_is_removed(tmp_path: Path) -> None:
    place = tmp_path / "index"
    place.mkdir()
    old = [f"files-{module.VERSION - 1}.sqlite{ending}" for ending in ("", "-wal", "-shm")]
    for name in (*old, "another"):
        (place / name).touch()
    for _ in range(2):
        Index(place).close()
        assert {"another", f"files-{module.VERSION}.sqlite"} == {p.name for p in place.iterdir()}
