"""The way down from a directory: no link is followed, whether the kernel can be told so or not."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from burstd.agent.ways import Refused, descend
from burstd.far import paths


@pytest.fixture(params=["openat2", "step by step"])
def root(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``a/b/file``, ``link`` to ``a``, ``a/out`` to a directory beside it all."""
    if request.param != "openat2":
        monkeypatch.setattr(paths, "_OPENAT2", 9999)  # ENOSYS
    top = tmp_path / "root"
    (top / "a" / "b").mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    (top / "a" / "b" / "file").write_text("x")
    (top / "link").symlink_to("a")
    (top / "a" / "out").symlink_to(tmp_path / "beside")
    return top


@pytest.fixture
def fd(root: Path) -> Iterator[int]:
    opened = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)


def names(opened: int) -> list[str]:
    try:
        return sorted(os.listdir(opened))
    finally:
        os.close(opened)


def test_a_plain_way_leads_there(fd: int) -> None:
    assert ["file"] == names(paths.open_directory(fd, [b"a", b"b"]))
    assert ["a", "link"] == names(paths.open_directory(fd, []))
    assert [] == names(paths.open_directory(fd, [b"a", b"new", b"newer"], create=True))


@pytest.mark.parametrize("way", [[b"link"], [b"link", b"b"], [b"a", b"out"], [b"a", b"out", b"x"]])
@pytest.mark.parametrize("create", [False, True])
def test_a_link_is_never_followed(fd: int, root: Path, way: list[bytes], create: bool) -> None:
    with pytest.raises(OSError) as caught:
        paths.open_directory(fd, way, create=create)
    assert caught.value.errno in {errno.ELOOP, errno.ENOTDIR}
    assert [] == list((root.parent / "beside").iterdir())


def test_what_is_missing_and_what_is_no_directory_is_said(fd: int) -> None:
    with pytest.raises(FileNotFoundError):
        paths.open_directory(fd, [b"a", b"none"])
    with pytest.raises(NotADirectoryError):
        paths.open_directory(fd, [b"a", b"b", b"file"])


def test_a_way_longer_than_one_call_takes_leads_there(fd: int) -> None:
    way = [b"d" * 250] * 20
    os.close(paths.open_directory(fd, way, create=True))
    assert [] == names(paths.open_directory(fd, way))


def test_the_landing_goes_the_same_way(root: Path) -> None:
    synced = {root / "a", root / "a" / "b"}
    assert ["file"] == names(descend(root, ("a", "b"), synced=synced))
    assert ["file"] == names(descend(root, ("a", "b"), make=False))
    with pytest.raises(Refused, match="link is a link or a file on-prem"):
        descend(root, ("link", "b"), make=False)
    with pytest.raises(FileNotFoundError):
        descend(root, ("a", "none"), make=False)
    assert [] == names(descend(root, ("a", "none", "deep"), synced=set()))


def test_the_kernel_does_not_leave_the_root(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    opened = os.open(tmp_path / "a", os.O_RDONLY | os.O_DIRECTORY)
    try:
        if paths.open_beneath(opened, []) is None:
            pytest.skip("no openat2(2) here")
        with pytest.raises(OSError) as caught:
            paths.open_beneath(opened, [b"..", b"a"])
        assert errno.EXDEV == caught.value.errno
    finally:
        os.close(opened)
