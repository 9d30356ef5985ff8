"""Scratch stays where it was made; whatever was there before comes home."""

from __future__ import annotations

import pytest

from burstd.agent.tiers import coming
from burstd.domain.data import OutputFile

HOME = "/home/alice/study"


def listed(*names: str) -> list[OutputFile]:
    return [OutputFile(f"{HOME}/{name}", "file", 1_000_000) for name in names]


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("*.tmp", {"a.tmp", "sub/b.tmp"}),
        ("scr/*", {"scr/x", "scr/deep/y"}),
        ("sub/*.tmp", {"sub/b.tmp"}),
        ("a.tmp", {"a.tmp"}),
        ("tmp", set()),
        ("/a.tmp", set()),
    ],
)
def test_what_matches_is_left(glob: str, left: set[str]) -> None:
    names = ("a.tmp", "sub/b.tmp", "scr/x", "scr/deep/y", "out.frd", "known.tmp")
    found, line = coming(listed(*names), HOME, [glob], {f"{HOME}/known.tmp"})
    assert {f"{HOME}/{name}" for name in names if name not in left} == {e.path for e in found}
    told = f"{len(left)} scratch files, {len(left)}.0 MB, were not brought back" if left else ""
    assert told == line


def test_without_scratch_all_comes() -> None:
    assert (listed("a", "b"), "") == coming(listed("a", "b"), HOME, [], {})


def test_there_is_an_end_to_the_results_of_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("burstd.agent.tiers.MOST_RESULTS", 2)
    found, line = coming(listed("a", "b", "c.tmp", "d"), HOME, ["*.tmp"], {})
    assert (listed("a", "b"), "of 3 results 2 were brought back: no job has more") == (found, line)
