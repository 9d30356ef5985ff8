"""A file with several names has them at home, too; nothing else gets one more."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burstd.agent.arrivals import in_order
from burstd.agent.landing import Landing
from burstd.domain.data import OutputFile
from tests.unit.test_landing import entry


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The job's directory."""
    (tmp_path / "job").mkdir()
    return tmp_path / "job"


@pytest.fixture
def landing(home: Path) -> Landing:
    def fetch(_entry: OutputFile, descriptor: int, _similar: int | None) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"result", 0)

    return Landing("b1", (home,), {}, fetch)


def nothing(entry: OutputFile, _descriptor: int, _similar: int | None) -> None:
    raise AssertionError(f"{entry.path} need not come")


def names_of(home: Path) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.is_symlink():
            found.setdefault(path.stat().st_ino, []).append(str(path.relative_to(home)))
    return found


def test_a_file_with_several_names_has_them_here_too(landing: Landing, home: Path) -> None:
    first = entry(home / "a/first")
    landing.land(first)
    for _ in range(2):
        landing.land(replace(entry(home / "b/second"), target=first.path))
    assert [["a/first", "b/second"]] == list(names_of(home).values())
    again = Landing("b1", (home,), {}, nothing)  # behind an interruption
    again.land(first)
    again.land(replace(entry(home / "c"), target=first.path))
    assert [["a/first", "b/second", "c"]] == list(names_of(home).values())
    assert b"result" == (home / "c").read_bytes()


def test_one_that_the_user_has_changed_keeps_its_name_and_the_link_lies_beside(
    landing: Landing, home: Path
) -> None:
    (home / "second").write_bytes(b"mine")
    first = entry(home / "first")
    landing.land(first)
    landing.land(replace(entry(home / "second"), target=first.path))
    assert b"mine" == (home / "second").read_bytes()
    assert sorted([["first", "second.burst-b1"], ["second"]]) == sorted(names_of(home).values())


@pytest.mark.parametrize("there", ["mine", "none", "link", "outside"])
def test_nothing_but_a_landed_result_gets_another_name(
    landing: Landing, home: Path, there: str, tmp_path: Path
) -> None:
    """A name that a far end gives to a user's own file would let it be changed through both."""
    target = home / "first" if there != "outside" else tmp_path / "first"
    if there == "link":
        (home / "real").write_bytes(b"result")
        target.symlink_to("real")
    elif there != "none":
        target.write_bytes(b"result")
    landing.land(replace(entry(home / "second"), target=str(target)))
    assert b"result" == (home / "second").read_bytes()
    assert 1 == (home / "second").stat().st_nlink
    assert not list(home.glob(".burst*"))


def test_one_whose_first_name_is_the_users_comes_as_a_file(landing: Landing, home: Path) -> None:
    (home / "first").write_bytes(b"mine")
    landing.land(entry(home / "first"))  # lies beside it
    landing.land(replace(entry(home / "second"), target=str(home / "first")))
    assert (b"mine", b"result") == ((home / "first").read_bytes(), (home / "second").read_bytes())
    assert 1 == (home / "second").stat().st_nlink


def test_one_that_the_user_has_written_to_since_gets_no_other_name(
    landing: Landing, home: Path
) -> None:
    first = entry(home / "first")
    landing.land(first)
    (home / "first").write_bytes(b"edited")
    landing.land(replace(entry(home / "second"), target=first.path))
    assert (b"edited", b"result") == (
        (home / "first").read_bytes(), (home / "second").read_bytes(),
    )  # fmt: skip


def test_where_no_links_can_be_made_it_comes_as_a_file(
    landing: Landing, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = entry(home / "first")
    landing.land(first)
    link = os.link

    def refused(source: str, name: str, **words: Any) -> None:
        if source == "first":
            raise PermissionError(errno.EPERM, "no hard links here")
        link(source, name, **words)

    monkeypatch.setattr("burstd.agent.landing.os.link", refused)
    landing.land(replace(entry(home / "second"), target=first.path))
    assert 2 == len(names_of(home))
    assert b"result" == (home / "second").read_bytes()


def test_the_file_comes_before_its_other_names_and_those_before_directories() -> None:
    one = entry("/w/z")
    names = [OutputFile("/w", "dir"), replace(entry("/w/a"), target="/w/z"), one]
    assert ["/w/z", "/w/a", "/w"] == [found.path for found in in_order(names)]
    assert [0, 6] == [names[1].travels, one.travels]
