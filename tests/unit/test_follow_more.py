"""Live files that their job does not append to, as a solver's state of the moment, or that have no
place here."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from burstd.agent.follow import BLOCK
from burstd.agent.inputs import marks
from burstd.agent.walk import Look
from tests.unit.test_follow import Far, follower


@pytest.mark.parametrize("head", [b"", b"#" * 3 * BLOCK], ids=["short", "long"])
@pytest.mark.parametrize("then", [b"step 10 of 20\n", b"step 11 of 20\nand more\n"])
def test_one_that_is_written_over_and_longer_is_no_mix(
    tmp_path: Path, head: bytes, then: bytes
) -> None:
    """A solver's state of the moment, between two looks."""
    far, path = Far(), str(tmp_path / "state")
    one = follower(far)
    for text in (b"step 9 of 20\n", then, then + b"end\n"):
        far.files[path] = head + text
        one.once()
        assert far.files[path] == Path(path).read_bytes()


def test_one_that_is_written_over_and_as_long_as_before_is_seen_by_its_time(tmp_path: Path) -> None:
    far, path = Far(), str(tmp_path / "state")
    one = follower(far)
    for number, text in enumerate((b"step 10\n", b"step 11\n")):
        far.files[path], far.changed[path] = text, 10**18 + number
        one.once()
        assert (text, 10**18 + number) == (Path(path).read_bytes(), Path(path).stat().st_mtime_ns)
    asked = far.asked
    one.once()
    assert asked == far.asked


def test_a_name_that_the_file_system_refuses_keeps_no_other_file_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far, opened = Far(), os.open

    def refusing(name: Any, *how: Any, **where: Any) -> int:
        if name == "a:b":
            raise OSError(errno.EINVAL if how[0] & os.O_CREAT else errno.ENOENT, "no such name")
        return opened(name, *how, **where)

    monkeypatch.setattr(os, "open", refusing)
    far.files = {f"{tmp_path}/a:b": b"1\n", f"{tmp_path}/c": b"2\n"}
    follower(far).once()
    assert b"2\n" == (tmp_path / "c").read_bytes()


@pytest.mark.parametrize("then", [b"new\n", b"of an older run\nand of this\n"])
def test_a_file_with_another_name_is_not_written_through(tmp_path: Path, then: bytes) -> None:
    """Run directories are copied with `cp -al`, backups made so: the other name may lie anywhere.
    The landing gives the result a file of its own."""
    far, job = Far(), tmp_path / "job"
    job.mkdir()
    (tmp_path / "backup.sta").write_bytes(b"of an older run\n")
    (job / "a.sta").hardlink_to(tmp_path / "backup.sta")
    far.files[f"{job}/a.sta"] = then
    for known in (marks(Look(), [job]), {}):
        one = follower(far, known)
        one.once()
        one.once()
        assert b"of an older run\n" == (tmp_path / "backup.sta").read_bytes()
        assert {} == one.copies
