"""Files that are there again at once, on a file system that shares blocks: a real btrfs."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from burstd.agent.clones import cloned
from burstd.agent.index import Index
from burstd.agent.push import Push
from burstd.far import models
from burstd.far.client import Client, missing
from burstd.far.errors import FarError
from burstd.far.models import Models
from burstd.far.store import Store
from tests.far.kit import KEY, USER, FarEnd

MIB = 2**20


@pytest.fixture
def shared(far: FarEnd, tmp_path: Path) -> Iterator[FarEnd]:
    """A far end whose file system can."""
    if os.geteuid() or shutil.which("mkfs.btrfs") is None:
        pytest.skip("it takes root and btrfs-progs")
    disk, user = tmp_path / "disk", pwd.getpwnam(USER)
    with disk.open("wb") as file:
        file.truncate(300 * MIB)
    subprocess.run(["mkfs.btrfs", "-q", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, far.root], check=True)
    os.chown(far.root, user.pw_uid, user.pw_gid)
    try:
        yield far
    finally:
        subprocess.run(["umount", far.root], check=True)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two large ones, one of them with a hole, and a small one."""
    found = []
    for name, content in (
        ("mesh", random.Random(1).randbytes(5 * MIB)),
        ("sparse", random.Random(2).randbytes(MIB) + bytes(3 * MIB)),
        ("deck", b"*HEADING\n"),
    ):
        found.append(tmp_path / "job" / name)
        found[-1].parent.mkdir(exist_ok=True)
        found[-1].write_bytes(content)
    return found


def push(far: FarEnd, index: Index, files: list[Path], key: str = KEY) -> list[str]:
    """As the agent does; names of those that were there at once."""
    with far.serving(key) as (client, _):
        assert client.hello(clones=True).clones
        made, rest = cloned(client, index, list(map(str, files)))
        Push(client, index).send(rest)
    return [Path(entry.path).name for entry in made]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were made just now count as known, too."""
    monkeypatch.setattr("burstd.agent.index.SETTLED", -60)


def blocks(path: Path) -> str:
    """Where they lie on the disk, and whether others have them too."""
    done = subprocess.run(["filefrag", "-v", path], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.usefixtures("known")
def test_one_that_was_a_directory_in_an_earlier_try_is_there_at_once(
    shared: FarEnd, index: Index, files: list[Path]
) -> None:
    mesh = files[0]
    push(shared, index, files)
    mesh.rename(mesh.with_name("kept"))
    mesh.mkdir()
    (mesh / "part").write_bytes(b"1")
    push(shared, index, [mesh / "part"], "b-second")
    (mesh / "part").unlink()
    mesh.rmdir()
    mesh.with_name("kept").rename(mesh)
    push(shared, index, [mesh], "b-third")  # read again: the rename is a change
    assert ["mesh"] == push(shared, index, [mesh], "b-second")
    there = shared.root / "runs/b-second/tree" / str(mesh).lstrip("/")
    assert mesh.read_bytes() == there.read_bytes()


@pytest.mark.usefixtures("known")
def test_a_second_job_has_them_at_once_and_shares_their_blocks(
    shared: FarEnd, index: Index, files: list[Path]
) -> None:
    assert [] == push(shared, index, files)
    first = [shared.file(str(path)).read_bytes() for path in files]
    assert ["mesh", "sparse"] == push(shared, index, files, "b-second")
    for path, content in zip(files, first, strict=True):
        there = shared.root / "runs/b-second/tree" / str(path).lstrip("/")
        assert path.read_bytes() == content == there.read_bytes()
        fact, here = there.stat(), path.stat()
        assert (here.st_mtime_ns, here.st_mode) == (fact.st_mtime_ns, fact.st_mode)
    mesh = shared.root / "runs/b-second/tree" / str(files[0]).lstrip("/")
    assert "shared" in blocks(mesh)


@pytest.mark.usefixtures("known")
def test_a_job_that_writes_into_its_own_changes_no_others(
    shared: FarEnd, index: Index, files: list[Path]
) -> None:
    push(shared, index, files)
    with shared.file(str(files[0])).open("r+b") as file:
        file.write(b"changed")
    assert "mesh" in push(shared, index, files, "b-second")
    there = shared.root / "runs/b-second/tree" / str(files[0]).lstrip("/")
    assert files[0].read_bytes() == there.read_bytes()


@pytest.mark.usefixtures("known")
def test_a_time_that_none_has_is_refused(shared: FarEnd, index: Index, files: list[Path]) -> None:
    push(shared, index, files)
    (store,) = (shared.root / "stores").iterdir()
    model = next(iter((store / "models").iterdir()))
    row = models.row("/a/b", model.name, model.stat().st_size, 2**100, 0o600)
    with shared.serving() as (client, _):
        with pytest.raises(FarError, match="refused"):
            client.clone([row]).result()
        assert client.hello(clones=True).clones


@pytest.mark.usefixtures("known")
def test_a_file_that_changed_is_sent(shared: FarEnd, index: Index, files: list[Path]) -> None:
    push(shared, index, files)
    with files[0].open("r+b") as file:
        file.write(b"changed")
    assert ["sparse"] == push(shared, index, files, "b-second")
    there = shared.root / "runs/b-second/tree" / str(files[0]).lstrip("/")
    assert files[0].read_bytes() == there.read_bytes()


def test_where_it_can_not_they_are_written(far: FarEnd, index: Index, files: list[Path]) -> None:
    with far.serving() as (client, _):
        hello = client.hello(clones=True)
        if hello.clones:
            pytest.skip("it can here")
        row = models.row("/a/b", "ab" * 32, 5, 0, 0o600)
        assert [0] == missing(client.clone([row]).result()[1], 1)
        Push(client, index).send(map(str, files))
    assert files[0].read_bytes() == far.file(str(files[0])).read_bytes()


@pytest.mark.parametrize(
    "rows",
    ["x", [1], [["/a"]], [["/a", "k", "5", 0, 0]], [["../a", "ab" * 32, 5, 0, 0]],
     [["/a/../../b", "ab" * 32, 5, 0, 0]]],
)  # fmt: skip
def test_bad_rows_are_refused(far: FarEnd, rows: object) -> None:
    with far.serving() as (client, _), pytest.raises(FarError):
        client.hello()
        client.clone(cast(list[list[object]], rows)).result()


@pytest.mark.parametrize("key", ["../../../../etc/passwd", "", "A" * 64, "ab" * 32, "/" * 64])
def test_other_names_are_no_models(shared: FarEnd, key: str) -> None:
    with shared.serving() as (client, _):
        assert client.hello(clones=True).clones
        row = models.row("/a/b", key, 5, 0, 0o600)
        try:
            assert [0] == missing(client.clone([row]).result()[1], 1)
        except FarError as error:
            assert "refused" in str(error)
    assert not shared.file("/a/b").exists()


@pytest.mark.usefixtures("known")
def test_models_go_with_age_as_packs_do(shared: FarEnd, index: Index, files: list[Path]) -> None:
    push(shared, index, files)
    (store,) = (shared.root / "stores").iterdir()
    kept = sorted((store / "models").iterdir())
    assert 2 == len(kept)
    os.utime(kept[0], (0, 0))
    fd = os.open(store, os.O_RDONLY)
    one = Store(fd, KEY)
    one.sweep(10**12, 5)
    one.close()
    assert kept[1:] == sorted((store / "models").iterdir())


def test_a_model_of_another_size_is_none(shared: FarEnd, tmp_path: Path) -> None:
    place = shared.root / "s"
    place.mkdir()
    fd = os.open(place, os.O_RDONLY)
    found = Models(fd)
    assert found.usable
    with (place / "f").open("w+b") as file:
        file.write(b"x" * 5000)
        file.flush()
        found.keep(file.fileno(), b"n" * 32)
    key = models.key_of((b"n" * 32,))
    assert None is found.copy(key, 4999, fd, b"g")
    made = found.copy(key, 5000, fd, b"g")
    assert made is not None
    os.close(made)
    assert b"x" * 5000 == (place / "g").read_bytes()
    found.close()
    os.close(fd)


def test_who_is_not_known_is_not_asked_for(index: Index, files: list[Path]) -> None:
    class Silent:
        def clone(self, rows: object) -> None:
            raise AssertionError(rows)

    made, others = cloned(cast(Client, Silent()), index, list(map(str, files)))
    assert ([], {*map(str, files)}) == (made, {*others})
