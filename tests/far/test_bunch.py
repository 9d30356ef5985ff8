"""Small files that are made many in one call come out as if they were made one by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from burstd.agent.packed import runs
from burstd.far.chunks import blake3
from burstd.far.client import Client
from burstd.far.errors import FarError
from burstd.far.growing import HOLE
from burstd.far.order import InputFile
from burstd.far.parts import Part
from tests.far.kit import MTIME, FarEnd, entry

TOP = "/home/alice/study"


def put(
    client: Client, files: Mapping[str, bytes], change: Callable[[InputFile], InputFile]
) -> None:
    """All in one pack and one list of parts."""
    contents = list(files.values())
    client.hello()
    client.want([(blake3(content), len(content)) for content in contents]).result()
    client.chunks([(0, len(contents))], b"".join(contents), None)
    parts = [
        Part(path, 0, [(number, 1)], change(entry(path, content)))
        for number, (path, content) in enumerate(files.items())
    ]
    client.build(parts).result()


def same(file: InputFile) -> InputFile:
    return file


def study(count: int) -> dict[str, bytes]:
    """In two directories, taking turns now and then."""
    return {f"{TOP}/{n // 7 % 2}/f{n}": b"%d" % n * (n + 1) for n in range(count)}


def test_each_has_its_bytes_mode_and_time(far: FarEnd) -> None:
    files = study(1300)
    files[f"{TOP}/0/" + "n" * 255] = b"long"
    files[f"{TOP}/0/na\udcefve\n"] = b"odd"
    with far.serving() as (client, _):
        put(client, files, same)
    for path, content in files.items():
        there = far.file(path)
        assert content == there.read_bytes()
        assert (0o640, MTIME) == (there.stat().st_mode & 0o7777, there.stat().st_mtime_ns)


@pytest.mark.parametrize("mtime", [-1, -(10**9), 0, 10**9 - 1, -1_500_000_001])
def test_old_times_and_modes_that_no_file_shall_have(far: FarEnd, mtime: int) -> None:
    with far.serving() as (client, _):
        put(client, study(3), lambda file: replace(file, mtime_ns=mtime, mode=0o6755))
    for path in study(3):
        seen = far.file(path).stat()
        assert (mtime, 0o755) == (seen.st_mtime_ns, seen.st_mode & 0o7777)


@pytest.fixture
def built(far: FarEnd) -> dict[str, bytes]:
    files = study(40)
    with far.serving() as (client, _):
        put(client, files, same)
    return files


def test_what_is_there_stays_and_what_is_not_right_is_replaced(
    far: FarEnd, built: dict[str, bytes], tmp_path: Path
) -> None:
    wrong, short, link, gone, *right = map(far.file, built)
    wrong.write_bytes(b"x" * wrong.stat().st_size)
    os.utime(wrong, ns=(MTIME, MTIME))
    short.write_bytes(b"")
    (tmp_path / "elsewhere").write_text("not ours")
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere")
    gone.unlink()
    inodes = [path.stat().st_ino for path in right]
    with far.serving() as (client, _):
        put(client, built, same)
    assert list(built.values()) == [far.file(path).read_bytes() for path in built]
    assert inodes == [path.stat().st_ino for path in right]
    assert not link.is_symlink()
    assert "not ours" == (tmp_path / "elsewhere").read_text()


@pytest.mark.parametrize(
    "row",
    [
        Part(f"{TOP}/../x", 0, [(2, 1)], entry(f"{TOP}/../x", b"222")),
        Part(f"{TOP}/x", 0, [(99, 1)], entry(f"{TOP}/x", b"222")),
        Part(f"{TOP}/x", 0, [(2, 1)], entry(f"{TOP}/x", b"22")),
        Part(f"{TOP}/x", 5, [(2, 1)], entry(f"{TOP}/x", b"222")),
        *(
            Part(f"{TOP}/0/{name}", 0, [(2, 1)], entry(f"{TOP}/0/{name}", b"222"))
            for name in ("", ".", "..", "a\0b", "\ud800", "n" * 256)
        ),
        Part("x", 0, [(2, 1)], entry("x", b"222")),
    ],
)
def test_one_that_must_be_refused_keeps_those_before_it(far: FarEnd, row: Part) -> None:
    files = study(6)
    contents = list(files.values())
    parts = [
        Part(path, 0, [(number, 1)], entry(path, content))
        for number, (path, content) in enumerate(files.items())
    ]
    with far.serving() as (client, _):
        client.hello()
        client.want([(blake3(content), len(content)) for content in contents]).result()
        client.chunks([(0, len(contents))], b"".join(contents), None).result()
        with pytest.raises(FarError) as caught:
            client.build([*parts[:4], row, *parts[4:]]).result()
    assert "refused" == caught.value.code
    there = [far.file(path).exists() for path in files]
    assert [True] * 4 + [False] * 2 == there


def test_a_disk_that_is_full_meanwhile_is_told_and_those_before_are_whole(
    small_site: FarEnd,
) -> None:
    """8 MiB, of which their pack has taken five."""
    files = {f"{TOP}/f{n}": os.urandom(60_000) for n in range(85)}
    with small_site.serving() as (client, _), pytest.raises(FarError) as caught:
        put(client, files, same)
    assert "full" == caught.value.code
    there = [path for path in map(small_site.file, files) if path.exists()]
    assert 20 < len(there) < len(files)
    assert {60_000} == {path.stat().st_size for path in there[:-1]}


def test_files_of_several_chunks_of_this_conversation_and_of_earlier_ones(far: FarEnd) -> None:
    early, late, zeros = (os.urandom(70_000) for _ in range(3)), os.urandom(9), bytes(HOLE)
    contents = [*early, zeros]
    with far.serving() as (client, _):
        client.hello()
        client.want([(blake3(content), len(content)) for content in contents]).result()
        client.chunks([(0, 4)], b"".join(contents), None).result()
    contents.insert(0, late)
    made = {"a": [1, 2, 3], "b": [0, 1], "c": [3, 0, 0, 2, 4], "d": [4, 4], "e": [4, 0], "f": [2]}
    whole = {name: b"".join(contents[n] for n in numbers) for name, numbers in made.items()}
    with far.serving() as (client, _):
        client.hello()
        client.want([(blake3(content), len(content)) for content in contents]).result()
        client.chunks([(0, 1)], late, None).result()
        parts = [
            Part(f"{TOP}/{name}", 0, runs(numbers), entry(f"{TOP}/{name}", whole[name]))
            for name, numbers in made.items()
        ]
        client.build(parts).result()
    for name, content in whole.items():
        there = far.file(f"{TOP}/{name}")
        assert content == there.read_bytes()
        assert (0o640, MTIME) == (there.stat().st_mode & 0o7777, there.stat().st_mtime_ns)
    assert 0 == far.file(f"{TOP}/d").stat().st_blocks


def test_of_a_store_that_has_rotted_those_before_are_made_and_the_others_are_not(
    far: FarEnd,
) -> None:
    contents = [os.urandom(70_000) for _ in range(4)]
    wanted = [(blake3(content), len(content)) for content in contents]
    with far.serving() as (client, _):
        client.hello()
        client.want(wanted).result()
        client.chunks([(0, 4)], b"".join(contents), None).result()
    (pack,) = far.root.glob("stores/*/*.pack")
    pack.write_bytes(pack.read_bytes().replace(contents[2], bytes(70_000)))
    files = {f"{TOP}/f{n}": contents[n - 1] + contents[n] for n in (1, 2, 3)}
    with far.serving() as (client, _):
        client.hello()
        client.want(wanted).result()
        parts = [
            Part(path, 0, [(n, 2)], entry(path, content))
            for n, (path, content) in enumerate(files.items())
        ]
        with pytest.raises(FarError) as caught:
            client.build(parts).result()
    assert "mismatch" == caught.value.code
    first, *others = files
    assert files[first] == far.file(first).read_bytes()
    assert not any(far.file(path).exists() and far.file(path).stat().st_size for path in others[1:])


def test_beside_a_file_at_the_top_a_path_is_an_absolute_one_still(far: FarEnd) -> None:
    with far.serving() as (client, _):
        client.hello()
        client.want([(blake3(b"1"), 1)]).result()
        client.chunks([(0, 1)], b"1", None).result()
        client.build([Part("/a", 0, [(0, 1)], entry("/a", b"1"))]).result()
        with pytest.raises(FarError) as caught:
            client.build([Part("x", 0, [(0, 1)], entry("x", b"1"))]).result()
        assert "refused" == caught.value.code
        with pytest.raises(FarError) as caught:
            parts = [Part(path, 0, [(0, 1)], entry(path, b"1")) for path in ("/b", "x")]
            client.build(parts).result()
    assert "refused" == caught.value.code
    assert far.file("/b").exists() and not far.file("/x").exists()
