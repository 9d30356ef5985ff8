"""Live files that their job does not append to: a solver's state of the moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from burstd.agent.follow import BLOCK
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
