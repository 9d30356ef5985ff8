"""The far end's store: what was added is found by whoever comes next, whatever happened between."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import blake3
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from burstd.far import chunks
from burstd.far import store as module
from burstd.far.errors import FarError
from burstd.far.packs import indexed
from burstd.far.store import Store
from tests.unit.stored import taken


def chunk(number: int, size: int = 3000) -> tuple[bytes, bytes]:
    content = random.Random(number).randbytes(size)
    return blake3.blake3(content).digest(), content


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Each call is one more conversation."""
    opened = []

    def one(key: str = "b1") -> Store:
        opened.append(Store.at(str(tmp_path), key))
        return opened[-1]

    yield one
    for store in opened:
        store.close()


def packs(tmp_path: Path, suffix: str = "pack") -> list[Path]:
    return sorted(tmp_path.glob(f"stores/*/*.{suffix}"))


def test_what_was_added_is_read_by_this_conversation_and_by_the_next(
    begin: Callable[..., Store], tmp_path: Path
) -> None:
    found = [chunk(number, size) for number, size in enumerate((0, 1, 16384, chunks.MOST))]
    store = begin()
    store.add(found[:2])
    store.add(found)
    assert [content for _, content in found] == [taken(store, name) for name, _ in found]
    store.settle()

    later = begin("b2")
    assert all(later.has(name) for name, _ in found)
    assert [content for _, content in found] == [taken(later, name) for name, _ in found]
    later.add(found)
    later.settle()
    assert 1 == len(packs(tmp_path)) == len(packs(tmp_path, "idx"))
    assert 0o700 == (tmp_path / "stores" / str(os.geteuid())).stat().st_mode & 0o777


@pytest.mark.parametrize("last", [chunk(2), (blake3.blake3(bytes(9000)).digest(), bytes(9000))])
def test_chunks_get_into_a_file_and_zeros_make_holes(
    begin: Callable[..., Store], tmp_path: Path, last: tuple[bytes, bytes]
) -> None:
    zeros = blake3.blake3(bytes(8192)).digest(), bytes(8192)
    store, found = begin(), [chunk(0, 10_000), zeros, chunk(1), last]
    store.add(found)
    with (tmp_path / "file").open("wb") as file:
        file.write(b"before")
        file.flush()
        passed = store.copy([(name, len(content)) for name, content in found], file.fileno(), 8192)
        assert passed == (last != chunk(2))
        if passed:
            assert file.seek(0, os.SEEK_END) == 6 + 10_000 + 8192 + 3000
            file.truncate(file.tell() + 9000)
    assert b"before" + b"".join(content for _, content in found) == (tmp_path / "file").read_bytes()
    assert not store.copy([], -1, 0)


def test_one_that_is_finished_in_the_moment_in_which_another_looks_is_seen_later(
    begin: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, found = begin("b1"), chunk(0)
    writer.add([found])

    def just_then(*asked: Any) -> list[tuple[bytes, int, int]]:
        seen = list(indexed(*asked))
        writer.settle()
        return seen

    monkeypatch.setattr(module, "indexed", just_then)
    reader = begin("b2")
    assert not reader.has(found[0])
    reader.refresh()
    assert reader.has(found[0])


def test_where_a_chunk_is_kept(begin: Callable[..., Store], tmp_path: Path) -> None:
    store, found = begin(), [chunk(0), chunk(1)]
    store.add(found)
    (pack,) = packs(tmp_path)
    for name, content in found:
        place = store.kept(name, 3000)
        assert place is not None
        _, fd, offset, size = place
        assert content == os.pread(fd, size, offset)
        assert Path(f"/proc/self/fd/{fd}").samefile(pack)
    assert store.kept(found[0][0], 2999) is None
    assert store.kept(chunk(2)[0], 3000) is None


def test_what_does_not_get_into_a_file_is_told(begin: Callable[..., Store], tmp_path: Path) -> None:
    store, found = begin(), [chunk(0), chunk(1), chunk(2)]
    store.add(found)
    with Path("/dev/full").open("wb") as full, pytest.raises(OSError, match="No space left"):
        store.copy([(name, 3000) for name, _ in found], full.fileno(), 8192)
    with (tmp_path / "file").open("wb") as file:
        with pytest.raises(FarError, match=r"refused: .* 3000 bytes was announced with 2999"):
            store.copy([(found[0][0], 3000), (found[1][0], 2999)], file.fileno(), 8192)
        assert not file.tell()
        (pack,) = packs(tmp_path)
        content = pack.read_bytes()
        pack.write_bytes(content.replace(found[1][1], bytes(3000)))
        with pytest.raises(FarError, match=r"mismatch: .* damaged or gone: " + found[1][0].hex()):
            store.copy([(name, 3000) for name, _ in found], file.fileno(), 8192)
    assert not any(store.has(name) for name, _ in found)
    assert [] == packs(tmp_path)


def test_what_somebody_else_writes_is_not_seen_and_left_alone(begin: Callable[..., Store]) -> None:
    store, other = begin("b1"), chunk(1)
    store.add([other])
    stranger = begin("b2")
    assert not stranger.has(other[0])
    with pytest.raises(FarError, match="mismatch: no chunk"):
        taken(stranger, other[0])
    store.add([chunk(2)])
    assert chunk(2)[1] == taken(store, chunk(2)[0])


def test_an_earlier_conversation_of_the_same_burst_may_still_hang(
    begin: Callable[..., Store], tmp_path: Path
) -> None:
    """A network that was cut tells nobody: it holds its pack, and what it has is known all the
    same, and it may go on."""
    hanging, found = begin(), [chunk(1), chunk(2)]
    hanging.add(found[:1])
    store = begin()
    assert found[0][1] == taken(store, found[0][0])
    hanging.add(found[1:])
    hanging.settle()
    assert found[1][1] == taken(begin("b3"), found[1][0])


@given(st.integers(0, 20_000), st.booleans())
@settings(max_examples=60, deadline=None)
@example(7, False)  # all of the magic but its version
@example(7, True)
def test_a_cut_at_any_byte_loses_only_the_record_that_it_cuts(
    tmp_path_factory: pytest.TempPathFactory, at: int, damaged: bool
) -> None:
    root = tmp_path_factory.mktemp("store")
    found = [chunk(number) for number in range(5)]
    store = Store.at(str(root), "b1")
    store.add(found)
    store.close()
    (pack,) = packs(root)
    pack.with_suffix(".idx").unlink()  # it died before it was settled
    whole = pack.read_bytes()
    at = min(at, len(whole) - 1)
    pack.write_bytes(whole[:at] + (bytes([whole[at] ^ 1]) + whole[at + 1 :] if damaged else b""))

    kept = max(0, (at - 8) // (36 + 3000))
    for _ in range(2):  # mended by the first
        later = Store.at(str(root), "b2")
        assert [n < kept for n in range(5)] == [later.has(name) for name, _ in found]
        assert [c for _, c in found[:kept]] == [taken(later, name) for name, _ in found[:kept]]
        later.close()
    another = damaged and at == 7  # one of another version is left alone
    assert (kept > 0 or another) == bool(packs(root))


def test_a_damaged_index_is_no_index(begin: Callable[..., Store], tmp_path: Path) -> None:
    found = [chunk(number) for number in range(3)]
    store = begin()
    store.add(found)
    store.settle()
    (index,) = packs(tmp_path, "idx")
    content = bytearray(index.read_bytes())
    content[40] ^= 1
    index.write_bytes(content)
    assert all(begin("b2").has(name) for name, _ in found)


def test_a_chunk_that_rotted_is_not_given_out_and_its_pack_is_not_used_again(
    begin: Callable[..., Store], tmp_path: Path
) -> None:
    found = [chunk(1), chunk(2)]
    store = begin()
    store.add(found)
    store.settle()
    (pack,) = packs(tmp_path)
    content = bytearray(pack.read_bytes())
    content[60] ^= 1
    pack.write_bytes(content)

    later = begin("b2")
    with pytest.raises(FarError, match="mismatch: a chunk of the store is damaged"):
        taken(later, found[0][0])
    assert [False, False] == [later.has(name) for name, _ in found]
    later.add(found)
    assert found[0][1] == taken(later, found[0][0])
    assert found[1][1] == taken(begin("b2"), found[1][0])


def test_without_room_what_was_there_stays(
    begin: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, first, second = begin(), chunk(1), chunk(2)
    store.add([first])
    real = os.pwritev

    def full(fd: int, pieces: list[bytes], offset: int) -> int:
        real(fd, pieces[:1], offset)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(OSError, match="No space"):
        store.add([second])
    monkeypatch.undo()
    assert (first[1], False) == (taken(store, first[0]), store.has(second[0]))
    store.add([second])
    store.settle()
    assert second[1] == taken(begin("b2"), second[0])


def filled(begin: Callable[..., Store], tmp_path: Path) -> list[tuple[bytes, bytes]]:
    """Four packs of about 3,000 bytes, last used 4, 3, 2 and 1 days ago."""
    found = [chunk(number) for number in range(4)]
    for number, one in enumerate(found):
        before = set(packs(tmp_path))
        store = begin(f"b{number}")
        store.add([one])
        store.settle()
        (pack,) = set(packs(tmp_path)) - before
        last = pack.stat().st_mtime - (4 - number) * 86400
        os.utime(pack.with_suffix(".idx"), (last, last))
    return found


@pytest.mark.parametrize(
    ("limit", "days", "kept"),
    [(10**6, 30, 4), (10**6, 2, 1), (7000, 30, 2), (0, 30, 0), (10**6, 0, 0)],
)
def test_what_was_not_used_for_longest_goes_first(
    begin: Callable[..., Store], tmp_path: Path, limit: int, days: int, kept: int
) -> None:
    found = filled(begin, tmp_path)
    left = begin("b9").sweep(limit, days)
    later = begin("b8")
    assert [n >= 4 - kept for n in range(4)] == [later.has(name) for name, _ in found]
    assert kept == len(packs(tmp_path)) == len(packs(tmp_path, "idx"))
    assert sum(pack.stat().st_size for pack in packs(tmp_path)) == left


@pytest.mark.parametrize("finished", [True, False], ids=["killed", "writing"])
def test_an_index_without_its_pack_goes(
    begin: Callable[..., Store], tmp_path: Path, *, finished: bool
) -> None:
    """Somebody was killed who swept it, or the pack was swept while it was written."""
    store = begin("b1")
    store.add([chunk(1)])
    if finished:
        store.settle()
    packs(tmp_path)[0].unlink()
    store.settle()
    (left,) = packs(tmp_path, "idx")
    begin("b2").sweep(0, 1)
    assert left.exists()  # it may be in use
    os.utime(left, (0, 0))
    begin("b2").sweep(0, 1)
    assert not left.exists()


def test_what_is_in_use_stays_and_what_is_swept_meanwhile_is_asked_for_again(
    begin: Callable[..., Store], tmp_path: Path
) -> None:
    found = filled(begin, tmp_path)
    user, slow = begin("b5"), begin("b6")
    assert user.has(found[0][0])
    writer = begin("b7")
    writer.add([chunk(9)])
    begin("b9").sweep(0, 0)
    assert found[0][1] == taken(user, found[0][0])
    with pytest.raises(FarError, match="mismatch"):
        taken(slow, found[1][0])
    assert not slow.has(found[1][0])
    writer.settle()
    assert begin("b3").has(chunk(9)[0])
