"""Logs in the Standard Workload Format."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from burstd.rehearsal.compare import compare
from burstd.rehearsal.history import NotLog, PastJob
from burstd.rehearsal.swf import read

LINES = """; MaxProcs: 16
1 100 5 60 4 -1 -1 4 120 -1 1 7 2 3 1 -1 -1 -1
2 50 -1 0 -1 -1 -1 4 120 -1 0 7 2 -1 1 -1 -1 -1
3 60 -1 30 -1 -1 -1 32 120 -1 1 7 2 -1 1 -1 -1 -1
4 70 -1 300 -1 -1 -1 8 -1 -1 1 8 -1 -1 -1 -1 -1 -1
"""


@pytest.mark.parametrize("packed", [False, True])
def test_a_log_is_read_and_says_what_it_left_out(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "log.swf"
    path.write_bytes(gzip.compress(LINES.encode()) if packed else LINES.encode())
    past = read(path)
    assert (16, {"never ran": 1, "wider than the cluster": 1}) == (past.cores, past.left_out)
    assert [
        PastJob(4, 70, 8, 300, 300, "8", "", "", ""),
        PastJob(1, 100, 4, 120, 60, "7", "2", "3", "1"),
    ] == list(past.jobs)
    assert {"never ran": 1} == read(path, cores=32).left_out


@pytest.mark.parametrize(
    ("header", "submitted", "epoch"),
    [
        ("; UnixStartTime: 749458803\n", 100, 749_458_803),
        ("; UnixStartTime: 0\n", 100, None),
        ("; UnixStartTime: 0\n", 1_356_994_800, 0),
        ("", 1_356_994_800, 0),
        ("", 100, None),
    ],
)
def test_a_log_begins_when_it_says_or_its_times_are_since_1970_or_nobody_knows(
    tmp_path: Path, header: str, submitted: int, epoch: int | None
) -> None:
    path = tmp_path / "log.swf"
    row = f"1 {submitted} 5 60 4 -1 -1 4 120 -1 1 7 2 3 1 -1 -1 -1\n"
    path.write_text(f"; MaxProcs: 16\n{header}{row}")
    assert epoch == read(path).epoch


def test_a_size_that_is_written_with_commas_is_not_one_processor(tmp_path: Path) -> None:
    path = tmp_path / "log.swf"
    path.write_text("; MaxProcs: 1,024\n1 0 5 60 4 -1 -1 4 120 -1 1 7 2 3 1 -1 -1 -1\n")
    assert 1024 == read(path).cores


def test_a_user_0_is_not_known_and_a_queue_0_is_one(tmp_path: Path) -> None:
    path = tmp_path / "log.swf"
    path.write_text("; MaxProcs: 4\n1 0 5 60 4 -1 -1 4 120 -1 1 0 0 0 0 -1 -1 -1\n")
    assert (PastJob(1, 0, 4, 120, 60, "", "", "", "0"),) == read(path).jobs


def test_a_job_that_ran_in_parts_is_one_and_numbers_that_come_twice_are_given_anew(
    tmp_path: Path,
) -> None:
    """V2.2: a job that was stopped and went on has a line for the whole, and one for each part
    (status 2, and 3 or 4 at its end), all of the same number."""
    path = tmp_path / "log.swf"
    row = "{} {} -1 {} 4 -1 -1 4 900 -1 {} 7 2 3 1 -1 -1 -1\n"
    whole = row.format(1, 0, 600, 1) + row.format(2, 5, 600, 0)
    parts = row.format(1, 0, 200, 2) + row.format(1, 0, 400, 3) + row.format(2, 5, 600, 4)
    path.write_text("; MaxProcs: 4\n" + whole + parts)
    past = read(path)
    assert ([1, 2], {"part of another": 3}) == ([job.number for job in past.jobs], past.left_out)

    path.write_text("; MaxProcs: 4\n" + row.format(-1, 9, 600, 1) * 3 + row.format(1, 0, 60, 1))
    assert [(1, 0), (2, 9), (3, 9), (4, 9)] == [(j.number, j.submitted) for j in read(path).jobs]
    for one in compare(read(path), "marginal", 0.5):
        assert 4 == one.row.jobs


def test_a_beginning_that_no_clock_shows_is_not_told(tmp_path: Path) -> None:
    path = tmp_path / "log.swf"
    head = "; MaxProcs: 4\n; UnixStartTime: 99999999999999\n"
    path.write_text(head + "1 0 -1 60 4 -1 -1 4 120 -1 1 7 2 3 1 -1 -1 -1\n")
    assert read(path).epoch is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("; MaxProcs: 4\n1 0 -1 nan 4 -1 -1 4 9 -1 1 7 2 3 1 -1 -1 -1\n", "line 2 of log.swf"),
        ("; MaxProcs: 4\n1 inf -1 60 4 -1 -1 4 9 -1 1 7 2 3 1 -1 -1 -1\n", "line 2 of log.swf"),
        ("; MaxProcs: 4\n1 0 -1 60 4 -1 -1 4 1e15 -1 1 7 2 3 1 -1 -1 -1\n", "line 2 of log.swf"),
        ("; MaxProcs: 4\n1 2 3\n", "line 2 of log.swf is not one of the Standard Workload Format"),
        ("; MaxProcs: 4\nnot a log at all, of any kind whatever that may be\n", "line 2"),
        ("1 100 5 60 4 -1 -1 4 120 -1 1 7 2 3 1 -1 -1 -1\n", "give --procs N"),
        ("; MaxProcs: 4\n", "has no job that ran on 4 processors"),
    ],
)
def test_what_is_no_log_is_refused_with_the_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "log.swf"
    path.write_text(text)
    with pytest.raises(NotLog, match=said):
        read(path)


def test_a_log_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.swf.gz"
    path.write_bytes(gzip.compress(LINES.encode() * 1000)[:-40])
    with pytest.raises(NotLog, match="cut off"):
        read(path)
