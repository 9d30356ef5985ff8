"""What is known of files without reading them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from burstd.agent.facts import Fact, Stamp, opened, sizes, unreadable


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """A file with an old time and an odd name; a link that leads to it; none."""
    odd = tmp_path / os.fsdecode(b"\xe4\n ")
    odd.write_bytes(b"123")
    odd.chmod(0o2640)
    os.utime(odd, ns=(1, -7))
    (tmp_path / "link").symlink_to(odd)
    return [str(odd), str(tmp_path / "link"), str(tmp_path / "none")]


def test_they_are_what_the_system_says(paths: list[str]) -> None:
    seen = Path(paths[0]).stat()
    stamp = Stamp(3, -7, seen.st_ctime_ns, seen.st_ino)
    assert [Fact(stamp, seen.st_mode)] * 2 + [None] == opened(paths)
    assert [3, 3, 0] == sizes(paths)


def test_of_none_nothing_is_known() -> None:
    assert [] == opened([])
    assert [] == sizes([])
    assert unreadable([]) is None


def test_what_is_not_there_is_not_unreadable(paths: list[str]) -> None:
    assert unreadable(paths) is None


def test_an_entry_is_for_the_manifest(paths: list[str]) -> None:
    (fact,) = opened(paths[:1])
    assert fact is not None
    assert ("/a", 3, "ab" * 32, -7, 0o640) == fact.entry("/a", b"\xab" * 32)
