"""Files that are mostly like others: cut and named as if they were not, and not kept in memory."""

from __future__ import annotations

import random
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.agent import index as module
from burstd.agent import trail
from burstd.agent.facts import Stamp
from burstd.agent.index import Index, Known
from burstd.agent.reading import Chunk, batches
from burstd.domain.data import InputFile
from burstd.far import chunks

NOWHERE = Path("/dev/null/none")  #: an index that knows nothing
SIZE = 3_000_000


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def read(index: Index, *paths: Path) -> tuple[list[Chunk], list[InputFile]]:
    """All chunks, and the entries."""
    found, entries = list[Chunk](), list[InputFile]()
    for batch in batches(map(str, paths), index):
        found += batch.chunks
        entries += [piece.entry for piece in batch.pieces if piece.entry is not None]
    return found, entries


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def followed(found: list[Chunk]) -> float:
    """Which part of the bytes was not kept."""
    left = sum(one.size for one in found if one.content is None)
    return left / max(1, sum(one.size for one in found))


def same(index: Index, path: Path) -> float:
    """Reads a file as if there were nothing like it, and with the index; the part not kept."""
    known, entries = read(index, path)
    plain, others = read(Index(NOWHERE), path)
    assert [(one.name, one.size) for one in plain] == [(one.name, one.size) for one in known]
    assert [bytes(one.read()) for one in plain] == [bytes(one.read()) for one in known]
    assert others == entries
    return followed(known)


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "delete", "overwrite", "append", "truncate", "swap", "zeros"]),
        st.floats(0, 1),
        st.integers(0, 300_000),
    ),
    max_size=4,
)


def edited(content: bytes, edits: list[tuple[str, float, int]]) -> bytes:
    for number, (kind, place, size) in enumerate(edits):
        at, new = int(place * len(content)), noise(size, number + 7)
        if kind == "insert":
            content = content[:at] + new + content[at:]
        elif kind == "delete":
            content = content[:at] + content[at + size :]
        elif kind == "overwrite":
            content = content[:at] + new + content[at + size :]
        elif kind == "zeros":
            content = content[:at] + bytes(size) + content[at:]
        elif kind == "append":
            content += new
        elif kind == "truncate":
            content = content[:at]
        else:
            content = content[at:] + content[:at]
    return content


@given(
    st.integers(0, SIZE), EDITS, EDITS, st.sampled_from([500, 2**20]), st.sampled_from([0, 2**18])
)
@settings(max_examples=60, deadline=None)
def test_what_was_read_before_changes_nothing_but_the_time(
    tmp_path_factory: pytest.TempPathFactory,
    size: int,
    first: list[tuple[str, float, int]],
    second: list[tuple[str, float, int]],
    many: int,
    room: int,
) -> None:
    top = tmp_path_factory.mktemp("trail")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SETTLED", -60)
        patch.setattr(module, "_MANY", many)
        if room:
            patch.setattr(chunks, "WINDOW", room)
        index, content = Index(top / "index"), noise(size)
        read(index, put(top / "a" / "mesh.k", edited(content, first)))
        path = put(top / "b" / "mesh.k", edited(content, second))
        same(index, path)
        path.write_bytes(edited(content, [*second, *first]))  # what it was before is known
        same(index, path)
        index.close()


@pytest.mark.parametrize("head", [b"", b"$ variant 7\n" * 9])
@pytest.mark.parametrize("many", [500, 2**20])
def test_a_mesh_under_another_head_is_not_cut_again(
    tmp_path: Path, index: Index, head: bytes, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MANY", many)
    monkeypatch.setattr(chunks, "WINDOW", 2**18)
    content = noise(SIZE)
    read(index, put(tmp_path / "a" / "mesh.k", content))
    found = same(index, put(tmp_path / "b" / "mesh.k", head + content))
    assert found == 1.0 if not head else 0.8 < found < 1


def test_behind_what_differs_it_goes_on(tmp_path: Path, index: Index) -> None:
    content = noise(4 * SIZE)
    path = put(tmp_path / "a" / "model.cas", content)
    read(index, path)
    path.write_bytes(content[:SIZE] + b"changed" + content[SIZE + 7 :])
    assert 0.9 < same(index, path) < 1


@pytest.mark.parametrize("at", [0, SIZE // 2, SIZE - 1])
@pytest.mark.parametrize("twins", [0, 2**30])
def test_one_that_is_nearly_the_same_has_its_own_digest(
    tmp_path: Path, index: Index, at: int, twins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "TWIN", twins)
    content = noise(SIZE)
    read(index, put(tmp_path / "a" / "mesh.k", content))
    other = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    same(index, put(tmp_path / "b" / "mesh.k", other))


def test_the_beginning_of_one_is_another(tmp_path: Path, index: Index) -> None:
    content = noise(SIZE)
    read(index, put(tmp_path / "a" / "mesh.k", content))
    assert 1 == same(index, put(tmp_path / "b" / "mesh.k", content[: chunks.cut(content)[40]]))


def test_of_one_push_the_jobs_are_like_each_other(tmp_path: Path) -> None:
    content, nothing = noise(SIZE), Index(NOWHERE)
    paths = [put(tmp_path / str(n) / "mesh.k", content) for n in range(3)]
    found, entries = read(nothing, *paths)
    assert [str(path) for path in paths] == [entry.path for entry in entries]
    assert [one.name for one in found] == [one.name for one in read(nothing, paths[0])[0]] * 3
    assert followed(found) == pytest.approx(2 / 3)


def test_of_each_batch_it_is_one_piece_however_it_was_read(tmp_path: Path) -> None:
    first = put(tmp_path / "a" / "mesh", noise(SIZE))
    second = put(tmp_path / "b" / "mesh", noise(SIZE)[:700_000] + b"x" + noise(SIZE)[700_000:])
    for batch in batches(map(str, (first, second)), Index(NOWHERE)):
        for path in (first, second):
            some = [piece for piece in batch.pieces if piece.path == str(path)]
            assert len(some) <= 1
        pieces = [(piece.first, piece.first + piece.count) for piece in batch.pieces]
        ends = [0, *(end for _, end in pieces)]
        assert ends == [*(first for first, _ in pieces), len(batch.chunks)]


def test_one_of_another_name_is_not_like_it(tmp_path: Path, index: Index) -> None:
    content = noise(SIZE)
    read(index, put(tmp_path / "a" / "mesh.k", content))
    assert 0 == same(index, put(tmp_path / "b" / "other.k", content))
    assert 1 == same(index, put(tmp_path / "c" / "mesh.k", content))


@pytest.mark.parametrize("kept", [True, False])
def test_of_several_the_one_of_its_size_is_taken(tmp_path: Path, index: Index, kept: bool) -> None:
    sizes = (SIZE // 2, SIZE, 2 * SIZE)
    for size in sizes:
        read(index, put(tmp_path / str(size) / "d3plot", noise(size, size)))
    if kept:
        for size in sizes:
            assert 1 == same(index, put(tmp_path / f"b{size}" / "d3plot", noise(size, size)))
    else:  # nor is it hidden by one of another size that was read a moment ago
        paths = [put(tmp_path / f"b{size}" / "d3plot", noise(size, size)) for size in sizes]
        assert 1 == followed(read(index, *paths)[0])


def test_of_many_the_one_whose_path_ends_alike_is_taken(tmp_path: Path, index: Index) -> None:
    """A decomposed case that was copied: all points are as large, and none like another's."""
    size, parts = 100_000, range(50)
    for part in parts:
        read(index, put(tmp_path / f"a/processor{part}/constant/points", noise(size, part)))
    copy = [put(tmp_path / f"b/processor{n}/constant/points", noise(size, n)) for n in parts]
    assert 1 == followed(read(index, *copy)[0])
    assert 1 == followed(read(index, *(path for path in reversed(copy)))[0])


@pytest.mark.parametrize("lie", ["names", "sizes", "short", "large", "nothing"])
def test_an_index_that_lies_costs_time_only(tmp_path: Path, index: Index, lie: str) -> None:
    content = noise(SIZE)
    path = put(tmp_path / "a" / "mesh.k", content)
    read(index, path)
    sizes, names = next(index.pieces(index.known([str(path)])[str(path)]))
    count = len(sizes) // 4
    if lie == "names":
        names = noise(len(names))
    elif lie == "sizes":
        sizes = array("I", [chunks.LEAST] * count).tobytes()
    elif lie == "short":
        names = names[: len(names) // 2]
    elif lie == "large":
        sizes = array("I", [2**31] * count).tobytes()
    else:
        sizes = names = b""
    index.keep([Known(str(path), Stamp.of(path.stat()), b"x" * 32, sizes, names)], 2**62)
    same(index, put(tmp_path / "b" / "mesh.k", content))


def test_one_that_shrinks_meanwhile_ends(tmp_path: Path, index: Index) -> None:
    content = noise(SIZE)
    path = put(tmp_path / "a" / "mesh.k", content)
    read(index, path)
    known = index.known([str(path)])[str(path)]
    first = chunks.cut(content)[0]
    room = bytearray(content[first : first + trail.ROOM])  # what was there is in it already
    found = trail.Trail(index, known, memoryview(room))
    left = first + trail.ROOM // 2
    path.write_bytes(content[:left])
    digest = chunks.Blake3()
    with path.open("rb") as file:
        came = list(found.follow(file.fileno(), SIZE, 0, digest))
    have = sum(sum(one.sizes) for one in came)
    assert left - chunks.MOST < have <= left
    assert chunks.blake3(content[:have]) == digest.digest()
