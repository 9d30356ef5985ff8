"""Scratch stays where it was made; whatever was there before comes home."""

from __future__ import annotations

from dataclasses import replace

import pytest

from burstd.agent.tiers import coming, staying
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


def test_one_more_name_of_what_does_not_come_is_the_file_itself() -> None:
    """Else its bytes would come, and nobody had asked whether they are paid for."""
    first, *names = (replace(one, blake3="ab") for one in listed("a.tmp", "b", "c", "d"))
    names = [replace(one, target=first.path) for one in names]
    found, _ = coming([first, *names], HOME, ["*.tmp"], {})
    assert ["", f"{HOME}/b", f"{HOME}/b"] == [one.target for one in found]
    assert 1_000_000 == sum(one.travels for one in found)
    found, _ = coming([first, *names], HOME, [], {})
    assert [first, *names] == found


def test_nor_is_one_that_has_other_bytes_by_the_far_ends_own_word() -> None:
    first, other = (replace(one, blake3=one.path[-1]) for one in listed("a", "b"))
    found, _ = coming([first, replace(other, target=first.path)], HOME, [], {})
    assert [first, other] == found


def test_there_is_an_end_to_the_results_of_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("burstd.agent.tiers.MOST_RESULTS", 2)
    found, line = coming(listed("a", "b", "c.tmp", "d"), HOME, ["*.tmp"], {})
    assert (listed("a", "b"), "of 3 results 2 were brought back: no job has more") == (found, line)


def test_what_is_on_demand_stays_unless_it_was_there_before_or_is_no_file() -> None:
    entries = [
        *(
            replace(one, blake3="ab")
            for one in listed("a.big", "fields/t1", "out.frd", "known.big")
        ),
        OutputFile(f"{HOME}/fields", "dir"),
        OutputFile(f"{HOME}/link.big", "symlink", blake3="ab"),
        *listed("without-digest.big"),
    ]
    found = staying(entries, HOME, ["*.big", "fields/*"], {f"{HOME}/known.big"})
    assert [f"{HOME}/a.big", f"{HOME}/fields/t1"] == [one.path for one in found]


def test_what_one_report_does_not_hold_comes_home(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [replace(one, blake3="ab") for one in listed("a", "b", "c")]
    monkeypatch.setattr("burstd.agent.tiers.MOST_STAYING", 2)
    assert entries[:2] == staying(entries, HOME, ["*"], {})
    monkeypatch.setattr("burstd.agent.tiers.MOST_NAMES", len(entries[0].path))
    assert entries[:1] == staying(entries, HOME, ["*"], {})
