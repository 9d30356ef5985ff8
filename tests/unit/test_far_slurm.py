"""The Slurm plugin's reading of the far scheduler, and its words to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from burstd.domain.gres import Gres, Per
from burstd.domain.jobs import Shape
from burstd.domain.targets import Image, RemoteState, WorkKey, WorkOrder
from burstd_slurm import batch, records
from burstd_slurm.settings import SlurmTargetSettings

KEY = WorkKey("b-000000000001")
SETTINGS = SlurmTargetSettings(
    host="login", known_hosts=Path("/etc/x"), root=PurePosixPath("/scratch/burst"),
    partition="hpc", users={"alice": "cae01"},
)  # fmt: skip
ORDER = WorkOrder(KEY, "alice", Shape(), timedelta(minutes=30), Image("i", "/i.sqfs", "ab" * 32))


def queue(*rows: str) -> list[records.Row]:
    return records.read_queue("".join(f"{row}|{KEY}\n" for row in rows), [KEY]).rows


def past(*rows: str) -> list[records.Row]:
    return records.read_accounting("".join(f"{row}|{KEY}\n" for row in rows), [KEY]).rows


@pytest.mark.parametrize(
    ("row", "state"),
    [
        ("7|PENDING|JobHeldUser|", RemoteState.HELD),
        ("7|PENDING|JobHeldAdmin|", RemoteState.HELD),
        ("7|PENDING|Resources|", RemoteState.QUEUED),
        ("7|PENDING|Dependency|", RemoteState.QUEUED),
        ("7|RUNNING|None|c1", RemoteState.RUNNING),
        ("7|COMPLETING|None|c1", RemoteState.RUNNING),
        ("7|CONFIGURING|None|c1", RemoteState.RUNNING),
        ("7|COMPLETED|None|c1", RemoteState.UNKNOWN),
        ("7|FAILED|NonZeroExitCode|c1", RemoteState.UNKNOWN),
        ("7|CANCELLED|None|c1", RemoteState.UNKNOWN),
        ("7|CANCELLED|JobHeldUser|", RemoteState.ENDED),
        ("7|WHATEVER|None|c1", RemoteState.UNKNOWN),
    ],
)
def test_the_queue_alone_proves_no_end_of_anything_that_ran(row: str, state: RemoteState) -> None:
    assert [state] == [r.state for r in queue(row)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("7|COMPLETED|0:0|12|c1", ("exited", 0, None)),
        ("7|FAILED|7:0|12|c1", ("exited", 7, None)),
        ("7|FAILED|0:9|12|c1", ("signalled", None, 9)),
        ("7|OUT_OF_MEMORY|0:125|12|c1", ("signalled", None, 125)),
        ("7|TIMEOUT|0:0|12|c1", ("timeout", None, None)),
        ("7|CANCELLED by 2100|0:15|12|c1", ("cancelled", None, 15)),
        ("7|NODE_FAIL|1:0|12|c1", ("lost", None, None)),
        ("7|PREEMPTED|0:0|12|c1", ("lost", None, None)),
    ],
)
def test_accounting_proves_an_end(row: str, expected: tuple[str, int | None, int | None]) -> None:
    (found,) = past(row)
    assert found.outcome is not None
    assert RemoteState.ENDED is found.state
    assert expected == (found.outcome.reason, found.outcome.exit_code, found.outcome.signal)
    assert timedelta(seconds=12) == found.outcome.elapsed


@pytest.mark.parametrize(
    "state", ["RUNNING", "PENDING", "REQUEUED", "RESIZING", "SUSPENDED", "", "?"]
)
def test_an_accounting_row_that_is_not_final_proves_nothing(state: str) -> None:
    assert [RemoteState.UNKNOWN] == [r.state for r in past(f"7|{state}|0:0|12|c1")]


@given(st.text(max_size=300))
def test_noise_is_never_an_ending(noise: str) -> None:
    found = [records.read_queue(noise, [KEY]), records.read_accounting(noise, [KEY])]
    assert [] == [row for one in found for row in one.rows]
    assert all(one.garbled for one in found) or not noise.strip("\n") or noise[0].isdigit()


def chosen(*rows: records.Row) -> tuple[str, RemoteState]:
    job = records.choose(records.merge([], rows)[KEY])
    return job.id, job.state


def test_what_runs_wins_over_what_accounting_says_of_it() -> None:
    merged = records.merge(queue("7|RUNNING|None|c1"), past("7|RUNNING|0:0|12|c1"))
    assert [RemoteState.RUNNING] == [r.state for r in merged[KEY]]
    merged = records.merge(queue("7|COMPLETED|None|c1"), past("7|COMPLETED|0:0|12|c1"))
    assert [RemoteState.ENDED] == [r.state for r in merged[KEY]]


def test_of_duplicates_the_one_that_started_is_ours_and_the_others_are_spare() -> None:
    rows = queue("7|PENDING|JobHeldUser|", "8|RUNNING|None|c1", "9|PENDING|JobHeldUser|")
    job = records.choose(rows)

    assert "8" == job.id
    assert [7, 9] == [row.id for row in records.spare(rows, job)]


def test_a_cancelled_duplicate_is_not_the_end_of_the_work() -> None:
    held = queue("7|PENDING|JobHeldUser|")
    assert ("7", RemoteState.HELD) == chosen(
        *held, *past("8|CANCELLED by 2100|0:0|0|None assigned")
    )
    assert ("8", RemoteState.ENDED) == chosen(*held, *past("8|COMPLETED|0:0|9|c1"))
    assert ("7", RemoteState.ENDED) == chosen(*past("7|CANCELLED|0:0|0|", "8|CANCELLED|0:0|0|"))


def test_what_never_had_a_node_has_no_place() -> None:
    def place(*rows: records.Row) -> str:
        return records.choose(records.merge([], rows)[KEY]).place

    assert "" == place(*past("7|CANCELLED by 0|0:0|0|None assigned"))
    assert "c1" == place(*past("7|CANCELLED by 0|0:15|0|c1"))


def test_work_goes_in_held_under_its_name_and_without_our_environment() -> None:
    argv = batch.arguments(ORDER, SETTINGS)

    assert ["sbatch", "--parsable", "--hold"] == argv[:3]
    assert {
        f"--job-name={KEY}", "--dependency=singleton", "--no-requeue", "--export=NIL",
        f"--chdir=/scratch/burst/runs/{KEY}", "--partition=hpc", "--time=40", "--nodes=1",
    } <= set(argv)  # fmt: skip
    assert not any("alice" in word for word in argv)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Shape(2, 8, 8, 1, 4), {"--nodes=2", "--ntasks=8", "--ntasks-per-node=4"}),
        (Shape(memory_per_node=2000), {"--mem=2000M"}),
        (Shape(memory_per_cpu=100), {"--mem-per-cpu=100M"}),
        (Shape(cpus_per_task=4, exclusive=True), {"--cpus-per-task=4", "--exclusive"}),
        (Shape(gres=(Gres("gpu", 2, Per.NODE, "a100"),)), {"--gpus-per-node=a100:2"}),
        (Shape(gres=(Gres("gpu", 4, Per.JOB),)), {"--gpus=4"}),
        (Shape(tasks=2, gres=(Gres("gpu", 1, Per.TASK),)), {"--ntasks=2", "--gpus-per-task=1"}),
        (
            Shape(sockets_per_node=2, gres=(Gres("gpu", 1, Per.SOCKET),)),
            {"--gpus-per-socket=1", "--sockets-per-node=2"},
        ),
    ],
)
def test_the_shape_goes_along(shape: Shape, words: set[str]) -> None:
    assert words <= set(batch.arguments(replace(ORDER, shape=shape), SETTINGS))


@pytest.mark.parametrize(
    ("given", "mebibytes"), [("4000 MiB", 4000), ("500 GiB", 512_000), ("2 TiB", 2 * 1024**2)]
)
def test_a_nodes_memory_is_told_with_its_unit(given: str, mebibytes: int) -> None:
    told = SlurmTargetSettings.model_validate(
        {**SETTINGS.model_dump(exclude_unset=True), "node_memory": given}
    )
    assert mebibytes == told.node_memory


@pytest.mark.parametrize("given", ["500", 500, "500 GB", "GiB", "-1 GiB", "1.5 TiB"])
def test_memory_without_a_unit_that_is_known_is_an_error(given: object) -> None:
    with pytest.raises(ValidationError, match="expected a size like '4000 MiB'"):
        SlurmTargetSettings.model_validate(
            {**SETTINGS.model_dump(exclude_unset=True), "node_memory": given}
        )


@given(st.integers(1, 10**6))
def test_the_far_limit_is_never_shorter_than_the_jobs_own(seconds: int) -> None:
    limit = timedelta(seconds=seconds)
    argv = batch.arguments(replace(ORDER, time_limit=limit), SETTINGS)
    minutes = next(int(w.removeprefix("--time=")) for w in argv if w.startswith("--time="))

    assert timedelta(minutes=minutes) >= limit + batch.MARGIN


@pytest.mark.parametrize("code", ["", "0", "x:0", "0:x", "-1:0", "1:", ":9", "1:2:3", "²:0"])
def test_an_end_without_a_readable_exit_code_is_no_end(code: str) -> None:
    (row,) = past(f"7|COMPLETED|{code}|5|c1")

    assert (RemoteState.UNKNOWN, None) == (row.state, row.outcome)


@pytest.mark.parametrize("elapsed", ["", "-1", "x", "²", "9" * 400])
def test_an_end_that_took_no_readable_time_is_no_row(elapsed: str) -> None:
    assert [] == past(f"7|COMPLETED|0:0|{elapsed}|c1")


# --- what a hostile or broken far end says


@pytest.mark.parametrize(
    "line",
    [
        f"7|COMPLETED|0:0|12|c1|{KEY}x",  # a name that begins like ours
        f"7|COMPLETED|0:0|12|c1|evil\n{KEY}",  # a name with a newline, twice a line
        f"7|COMPLETED|0:0|1e9|c1|{KEY}",
        "7|COMPLETED|0:0|12|c1",  # cut off
        f"|COMPLETED|0:0|12|c1|{KEY}",
        '{"jobs": [{"job_id": 7, "state": "COMPLETED"}]}',
        "slurm_load_jobs error: something new",
        f"\x1b[2J7|COMPLETED|0:0|12|c1|{KEY}",
        f"\u0667|COMPLETED|0:0|12|c1|{KEY}",  # a digit, but none of ours
    ],
)
def test_a_garbled_line_is_no_row_and_proves_no_absence(line: str) -> None:
    for found in (records.read_queue(line, [KEY]), records.read_accounting(line, [KEY])):
        assert [] == found.rows
        assert found.garbled


@pytest.mark.parametrize(
    "row",
    [
        "7|EXPEDITING|0:0|12|c1",
        "7|COMPLETED|zero|12|c1",
        "7|COMPLETED|0:0:0|12|c1",
        "7||0:0|12|c1",
        "7|\x1b]0;title\x07|0:0|12|c1",
    ],
)
def test_a_state_that_nobody_knows_is_unknown_and_shown(row: str) -> None:
    job = records.choose(past(row))
    assert RemoteState.UNKNOWN is job.state
    assert job.remark
    assert job.remark.isprintable()


def test_known_states_need_no_remark() -> None:
    rows = [*queue("7|PENDING|Resources|", "8|COMPLETED|None|c1"), *past("9|RUNNING|0:0|12|c1")]
    assert ["", "", ""] == [records.choose([row]).remark for row in rows]


def test_somebodys_array_under_our_name_is_nobodys_row() -> None:
    found = records.read_queue(f"7_[1-3]|PENDING|Resources||{KEY}", [KEY])
    assert ([], []) == (found.rows, found.garbled)
