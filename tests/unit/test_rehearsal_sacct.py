"""A site's past out of Slurm's accounting."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from burstd.cli.burst import app
from burstd.rehearsal.history import History, NotLog, PastJob
from burstd.rehearsal.sacct import COMMAND, FIELDS, read
from burstd.rehearsal.swf import read as read_swf
from burstd.rehearsal.swf import written

T = 1767225600  #: a beginning


def line(number: str, *, state: str = "COMPLETED", name: str = "crash_012", **told: str) -> str:
    cells = {
        "submit": str(T), "eligible": str(T), "start": str(T + 60), "elapsed": "3600",
        "limit": "120", "allocated": "8", "requested": "8", "user": "alice", "account": "auto",
        "partition": "batch", **told,
    }  # fmt: skip
    return "|".join([number, *cells.values(), state, name]) + "\n"


def jobs(*lines: str, cores: int = 16) -> tuple[PastJob, ...]:
    return read(lines, "log", cores).jobs


def test_a_job_is_read_with_its_study_as_its_application() -> None:
    assert (PastJob(7, T, 8, 7200, 3600, "alice", "auto", "crash", "batch"),) == jobs(line("7"))


@pytest.mark.parametrize(
    ("name", "application"),
    [("run-3", "run"), ("a|b 2026-01-02", "a|b"), ("wing v2.5 rc", "wing v2.5 rc"), ("42", "42")],
)
def test_a_name_may_have_anything_in_it(name: str, application: str) -> None:
    assert application == jobs(line("7", name=name))[0].application


def test_one_that_left_had_the_processors_that_it_asked_for_and_not_its_stand_ins() -> None:
    told = line("7", partition="burst", allocated="2", requested="8")
    assert [8] == [job.cores for job in read([told], "log", 16, "burst").jobs]
    assert [2] == [job.cores for job in read([told], "log", 16, "cloud").jobs]


def test_who_waited_for_another_job_was_in_the_queue_only_since_it_was_eligible() -> None:
    for eligible, since, before in ((str(T + 500), T + 500, 500), ("Unknown", T, 0)):
        (job,) = jobs(line("7", eligible=eligible))
        assert (since, before) == (job.submitted, job.before)


@pytest.mark.parametrize(
    ("limit", "asked"), [("UNLIMITED", 3600), ("Partition_Limit", 3600), ("", 3600), ("10", 3600)]
)
def test_without_a_limit_or_beyond_it_a_job_is_taken_to_have_asked_for_what_it_ran(
    limit: str, asked: int
) -> None:
    assert asked == jobs(line("7", limit=limit))[0].limit


def test_a_job_that_was_cancelled_while_it_ran_is_one() -> None:
    assert 1 == len(jobs(line("7", state="CANCELLED by 1001")))


def test_what_is_left_out_is_counted_by_reason() -> None:
    left = [
        ("heading", COMMAND.split()[-1].replace(",", "|")),
        ("not readable", "7|what|is|this"),
        ("not readable", line("7", submit="Unknown")),
        ("not readable", line("7_[8-9]")),
        ("step of a job", line("7.batch")),
        ("not ended", line("8", state="RUNNING", elapsed="60")),
        ("not ended", line("9", state="PENDING", start="Unknown", elapsed="0", allocated="0")),
        ("never ran", line("10", state="CANCELLED by 0", start="None", elapsed="0")),
        ("never ran", line("11", state="CANCELLED", start="Unknown")),
        ("no processor", line("12", allocated="0", requested="0")),
        ("wider than the cluster", line("13", allocated="17")),
        ("told again", line("7")),
    ]
    history = read([line("7"), "\n", *(text for _, text in left)], "log", 16)
    assert [7] == [job.number for job in history.jobs]
    counted = {why: sum(why == other for other, _ in left) for why, _ in left}
    assert counted == history.left_out


def test_a_heading_may_name_more_fields_in_another_order() -> None:
    heading = "Priority|NNodes|QOS|" + "|".join(FIELDS) + "\n"
    (found,) = jobs(heading, "900|3|long|" + line("7", name="a|b"))
    assert (900, 3, "long", "a|b") == (found.priority, found.nodes, found.qos, found.application)


@pytest.mark.parametrize(
    ("heading", "said"),
    [
        ("JobIDRaw|JobName", "lacks Account, AllocCPUS"),
        ("|".join(reversed(FIELDS)), "JobName must be the last field"),
    ],
)
def test_a_heading_without_what_is_needed_says_so(heading: str, said: str) -> None:
    with pytest.raises(NotLog, match=said):
        jobs(heading, line("7"))


def test_accounting_knows_the_date_and_the_names() -> None:
    history = read([line("7")], "log", 16)
    assert (0, True) == (history.epoch, history.named)


@pytest.mark.parametrize(
    ("text", "cores", "said"),
    [
        (line("7"), None, "give --procs N"),
        (line("7", submit="2026-10-25T02:30:00"), 16, "local times: write SLURM_TIME_FORMAT=%s"),
        ("", 16, "has no job that ran on 16 processors"),
    ],
)
def test_what_can_not_be_rehearsed_says_what_to_do(text: str, cores: int | None, said: str) -> None:
    with pytest.raises(NotLog, match=said):
        read([text], "log", cores)


def test_the_same_history_in_numbers_has_no_name_in_it(tmp_path: Path) -> None:
    lines = [
        line("70", user="bob", account="aero", name="wing", submit=str(T + 5)),
        line("71", submit=str(T + 9), partition="long"),
        line("72", submit=str(T + 9)),
    ]
    past = read(lines, "log", 16)
    path = tmp_path / "log.swf"
    path.write_text("".join(written(past)))
    assert (
        PastJob(1, 0, 8, 7200, 3600, "1", "1", "1", "1"),
        PastJob(2, 4, 8, 7200, 3600, "2", "2", "2", "2"),
        PastJob(3, 4, 8, 7200, 3600, "2", "2", "2", "1"),
    ) == read_swf(path).jobs
    assert 16 == read_swf(path).cores
    assert T + 5 == read_swf(path).epoch
    assert not any(name in path.read_text() for name in ("bob", "alice", "aero", "wing", "batch"))


def test_what_is_not_known_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "log.swf"
    path.write_text("".join(written(History("log", 4, (PastJob(9, 50, 1, 20, 10),)))))
    assert (PastJob(1, 0, 1, 20, 10),) == read_swf(path).jobs


# --- the command


def test_the_command_reads_a_file_or_what_is_piped_into_it(tmp_path: Path) -> None:
    log = tmp_path / "sacct.txt"
    log.write_text("".join(line(str(n), submit=str(T + n), eligible="") for n in range(1, 9)))
    argv = ["simulate", "--procs", "16", "--json", "-", "--sacct"]
    filed = CliRunner().invoke(app, [*argv, str(log)])
    piped = CliRunner().invoke(app, [*argv, "-"], input=log.read_text())
    assert (0, 0) == (filed.exit_code, piped.exit_code)
    assert filed.output == piped.output.replace('"stdin"', '"sacct.txt"')


def test_the_command_writes_the_history_in_numbers_and_says_what_it_left_out(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out.swf"
    argv = ["simulate", "--procs", "16", "--sacct", "-", "--anonymise", str(out)]
    done = CliRunner().invoke(app, argv, input=line("7") + line("8", state="RUNNING"))
    assert (0, "1 jobs; left out: 1 not ended\n") == (done.exit_code, done.output)
    assert 1 == len(read_swf(out).jobs)


def test_the_help_has_the_command_to_ask_slurm_with() -> None:
    told = CliRunner().invoke(app, ["simulate", "--help"], env={"COLUMNS": "200"}).output
    assert "".join(COMMAND.split()) in "".join(told.split())


NODES = """\
n1|cae|0/16/0/16|idle
n1|long|0/16/0/16|idle
n2|cae|16/0/0/16|alloc
n3|cae|0/0/16/16|down*
n4|long|0/0/8/8|drain
px|burst|4/8188/0/8192|mix
"""


def ask_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sinfo: str = NODES) -> Path:
    """Programs that answer as Slurm's do, and the file that holds what sacct was asked."""
    asked, past = tmp_path / "asked", tmp_path / "past"
    past.write_text(line("1") + line("2", start=str(T + 7200), partition="burst"))
    (tmp_path / "nodes").write_text(sinfo)
    for name, does in (
        ("sinfo", f"cat {tmp_path}/nodes"),
        ("sacct", f'echo "$SLURM_TIME_FORMAT $*" > {asked}; cat {past}'),
    ):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return asked


def test_the_last_days_are_asked_of_slurm_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask_slurm(tmp_path, monkeypatch)
    argv = ["simulate", "--days", "30"]
    done = CliRunner().invoke(app, argv, env={"COLUMNS": "200"})

    assert 0 == done.exit_code, done.output
    assert "the last 30 days: 2 jobs on 40" in done.output
    assert "assumed: 40 processors, of 3 nodes that are not down now" in done.output
    assert f"%s -a -X -P -n -S now-30days -E now -o {','.join(FIELDS)}" == asked.read_text().strip()

    done = CliRunner().invoke(app, [*argv, "--partition", "cae", "--procs", "9"])
    assert (0, False) == (done.exit_code, "assumed" in done.output)
    assert " -r cae,burst " in asked.read_text()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--swf", "a", "--sacct", "b"], "give one past: --days N, --sacct FILE or --swf FILE"),
        (["--days", "3", "--sacct", "past"], "give one past: --days N, --sacct FILE or --swf FILE"),
        ([], "give one past: --days N, --sacct FILE or --swf FILE"),
        (["--sacct", "past", "--partition", "cae"], "--partition goes with --days"),
    ],
)
def test_there_is_one_past(argv: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["simulate", *argv])
    assert (2, True) == (done.exit_code, said in done.output)


def test_without_an_answer_of_slurms_nothing_is_rehearsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_slurm(tmp_path, monkeypatch)
    (tmp_path / "bin" / "sacct").write_text(
        "#!/bin/sh\necho 'sacct: error: DBD_GET_JOBS_COND: no' >&2; exit 1\n"
    )
    done = CliRunner().invoke(app, ["simulate", "--days", "3"])
    assert 2 == done.exit_code
    assert "Slurm could not be asked: sacct: sacct: error: DBD_GET_JOBS_COND: no" in done.output
