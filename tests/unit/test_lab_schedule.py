"""The bench that holds the rehearsed cluster against a real Slurm: all of it but the Slurm."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench.lab_schedule import (
    CORES,
    ROWS,
    Agreement,
    compared,
    main,
    order,
    scenario,
    told,
    written,
)
from burstd.rehearsal.sacct import FIELDS

T = 1_767_225_600


def row(number: int, submit: int, start: int, ran: int, cores: int = 1, minutes: int = 1) -> str:
    cells = (number, T + submit, T + submit, T + start, ran, minutes, cores, cores, "alice", "phys",
             "cae", "COMPLETED", "schedule")  # fmt: skip
    return "|".join(map(str, cells)) + "\n"


HEADING = "|".join(FIELDS) + "\n"
#: On two cores: 2 needs both; 3 is short by its limit and overtakes it; 4 is not, and comes last.
SEEN = HEADING + (
    row(1, 0, 0, 30, minutes=2) + row(2, 5, 31, 10, cores=2) + row(3, 6, 11, 20)
    + row(4, 7, 42, 9, minutes=9)
)  # fmt: skip


def test_a_scenario_is_the_same_for_its_seed_and_a_line_forms() -> None:
    jobs = scenario(3, 50, 2)
    assert jobs == scenario(3, 50, 2) != scenario(4, 50, 2)
    assert 50 == len(jobs) == len(written(jobs).splitlines()) - 1
    assert 0 == jobs[0].offset
    assert sorted(job.offset for job in jobs) == [job.offset for job in jobs]
    assert {1, 2} == {job.cores for job in jobs}
    assert all(job.seconds < 60 * job.minutes for job in jobs)
    assert sum(job.cores * job.seconds for job in jobs) > 2 * jobs[-1].offset


def test_what_slurm_did_is_held_against_the_rehearsal_of_the_same_jobs() -> None:
    # Rehearsed: 1 at 0; 3 at once, at 6, over by 66 as 1 is promised until 120; 2 at 30, when 1 has
    # ended; 4 at 40.
    found = compared(SEEN, 2)
    assert Agreement(4, 6, 6, 1.0, 16.5, -2.0, 2.0, 5.0) == found


@pytest.mark.parametrize(
    ("starts", "pairs", "alike", "tau"),
    [
        ([(1, 10), (2, 20), (3, 30)], 3, 3, 1.0),
        ([(1, 30), (2, 20), (3, 10)], 3, 0, -1.0),
        ([(1, 10), (2, 30), (3, 20)], 3, 2, 1 / 3),
        ([(1, 10), (1, 20), (2, 30)], 2, 2, 2 / math.sqrt(2 * 3)),
        ([(1, 10)], 0, 0, 1.0),
    ],
)
def test_an_order_is_told_by_its_pairs(
    starts: list[tuple[int, int]], pairs: int, alike: int, tau: float
) -> None:
    assert (pairs, alike) == order(starts)[:2]
    assert tau == pytest.approx(order(starts)[2])


def test_a_row_that_is_cut_off_is_none() -> None:
    assert ["1", "2"] == [cells["JobIDRaw"] for cells in told(SEEN)[:2]]
    assert 3 == len(told(SEEN[:-30]))
    assert [] == told("")


def test_what_was_kept_is_compared_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ROWS).write_text(
        SEEN.replace("9|9|1|1|alice|phys|cae|COMPLETED", "9|9|1|1|alice|phys|cae|FAILED")
    )
    (tmp_path / CORES).write_text("2\n")
    assert 0 == main(["compare", str(tmp_path), "--json"])
    record = json.loads(capsys.readouterr().out)
    assert (4, 1.0, 2, ["4"]) == (
        record["jobs"], record["tau"], record["cores"], record["not_completed"],
    )  # fmt: skip
    assert 0 == main(["compare", str(tmp_path)])
    assert "6 of 6 pairs alike, tau 1.000" in capsys.readouterr().out


def test_what_was_not_kept_is_said_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == main(["compare", str(tmp_path)])
    assert "No such file" in capsys.readouterr().err
