"""Files as chunks: whole, in order, and what the file was at one moment."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import blake3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.agent import reading
from burstd.agent.facts import Stamp
from burstd.agent.index import Index
from burstd.agent.inputs import NotStageable
from burstd.agent.reading import batches
from burstd.domain.data import InputFile
from burstd.far import chunks
from burstd.far.windows import windows

NOWHERE = Path("/dev/null/none")  #: an index that knows nothing


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def read(
    *paths: Path, index: Index | None = None
) -> tuple[dict[str, bytes], list[InputFile], list[bytes]]:
    """Contents put together again, entries, names of chunks."""
    contents, entries, names = dict[str, bytes](), [], []
    for batch in batches(map(str, paths), index or Index(NOWHERE)):
        for piece in batch.pieces:
            found = batch.chunks[piece.first : piece.first + piece.count]
            if piece.offset == 0:
                contents[piece.path] = b""
            assert len(contents[piece.path]) == piece.offset
            contents[piece.path] += b"".join(chunk.read() for chunk in found)
            entries += [piece.entry] if piece.entry else []
        names += [chunk.name for chunk in batch.chunks]
        assert all(blake3.blake3(c.read()).digest() == c.name for c in batch.chunks)
    return contents, entries, names


@given(st.lists(st.integers(0, 200_000), max_size=4), st.integers(0, 20_000_000), st.integers())
@settings(max_examples=15, deadline=None)
def test_all_bytes_are_there_and_named(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], large: int, seed: int
) -> None:
    top = tmp_path_factory.mktemp("read")
    files = {top / f"f{n}": noise(size, seed + n) for n, size in enumerate([*sizes, large])}
    for path, content in files.items():
        path.write_bytes(content)
    contents, entries, _ = read(*files)

    assert {str(path): content for path, content in files.items()} == contents
    assert [
        (str(path), len(content), blake3.blake3(content).hexdigest())
        for path, content in files.items()
    ] == [(entry.path, entry.size, entry.blake3) for entry in entries]


@pytest.mark.parametrize("size", [65537, 4 * 2**20, 4 * 2**20 + 1, 9_000_000])
def test_a_file_is_cut_as_if_it_were_read_at_once(tmp_path: Path, size: int) -> None:
    content = noise(size)
    (tmp_path / "f").write_bytes(content)
    names = chunks.each(chunks.names(content, chunks.cut(content)))
    assert names == read(tmp_path / "f")[2]


def test_mode_and_time_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.inc"
    path.write_text("abc")
    path.chmod(0o4750)
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    (entry,) = read(path)[1]
    assert (0o750, 1_700_000_000_123_456_789) == (entry.mode, entry.mtime_ns)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No small files in a bunch: those that change are left to this way."""
    monkeypatch.setattr(reading, "read_small", lambda paths: iter([None] * len(paths)))


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize(("size", "looks"), [(100, 2), (9_000_000, 1)])
def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, looks: int
) -> None:
    path, changes = tmp_path / "f", iter([b"x", b"yy"])
    path.write_bytes(noise(size))
    real = Stamp.of
    seen = []

    def stamp(fact: os.stat_result) -> Stamp:
        seen.append(fact)
        first = len(seen) % looks == 1 % looks
        if first and (more := next(changes, None)):  # between reading and looking again
            with path.open("ab") as file:
                file.write(more)
            return Stamp(0, 0, 0, 0)
        return real(fact)

    monkeypatch.setattr(reading, "Stamp", SimpleNamespace(of=stamp))
    contents, entries, _ = read(path)
    assert noise(size) + b"xyy" == contents[str(path)]
    assert [size + 3] == [entry.size for entry in entries]


@pytest.mark.parametrize("replaced", [True, False])
def test_what_is_remembered_of_an_open_file_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, replaced: bool
) -> None:
    """Over NFS another node's writes show once a file is opened, and may not before (nfs(5))."""
    path, first, seen = tmp_path / "f", noise(3_000_000), dict[int, os.stat_result]()
    path.write_bytes(first)
    then, real = first[:1_000_000] + b"x" * 2_000_000, windows

    def opened(*words: Any) -> int:
        seen.clear()
        return os.open(*words)

    def remembered(fd: int) -> os.stat_result:
        return seen.setdefault(fd, os.fstat(fd))

    def read_on(*words: Any, **more: Any) -> Iterator[Any]:
        for window in real(*words, **more):
            yield window
            if path.read_bytes() == first:
                with (tmp_path / "new" if replaced else path).open("wb") as file:
                    file.write(then)
                if replaced:
                    (tmp_path / "new").replace(path)

    known = {**vars(os), "open": opened, "fstat": remembered}
    monkeypatch.setattr(reading, "os", SimpleNamespace(**known))
    monkeypatch.setattr(reading, "windows", read_on)
    contents, (entry,), _ = read(path)
    assert then == contents[str(path)]
    assert blake3.blake3(then).hexdigest() == entry.blake3


@pytest.mark.usefixtures("one_by_one")
def test_one_that_never_holds_still_can_t_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_text("x")
    moments = iter(range(100))
    monkeypatch.setattr(reading, "Stamp", SimpleNamespace(of=lambda _: next(moments)))
    with pytest.raises(NotStageable, match="changes while it is read"):
        read(tmp_path / "f")
