"""Slurm's texts, as its programs really print them, to values and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burstd.adapters.slurm import records
from burstd.adapters.slurm.claim import kept, parking, several_nodes, undoing
from burstd.adapters.slurm.commands import NoSuchJob, answer, translate
from burstd.domain.gres import Gres, Per
from burstd.domain.jobs import JobKey, JobRecord, JobState, Shape
from burstd.domain.slurm import time_limit
from burstd.ports.errors import AccessDenied, PortError, Rejected, Transient, Unreachable
from tests.unit.values import identity

#: ``scontrol show job -o`` of Slurm 24.11, with SLURM_TIME_FORMAT=%s.
PENDING = (
    "JobId=34 JobName=beam UserId=alice(1001) GroupId=alice(1001) MCS_label=N/A Priority=4294901727"
    " Nice=0 Account=phys QOS=normal JobState=PENDING Reason=Resources Dependency=(null) Requeue=1"
    " Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0 RunTime=00:00:00 TimeLimit=01:00:00 TimeMin=N/A"
    " SubmitTime=1795455139 EligibleTime=1795455139 AccrueTime=1795455139 StartTime=Unknown"
    " EndTime=Unknown Deadline=N/A SuspendTime=None SecsPreSuspend=0 LastSchedEval=1795455140"
    " Scheduler=Main Partition=cae AllocNode:Sid=ctl:812 ReqNodeList=(null) ExcNodeList=(null)"
    " NodeList= NumNodes=2-2 NumCPUs=8 NumTasks=8 CPUs/Task=1 ReqB:S:C:T=0:0:*:*"
    " ReqTRES=cpu=8,mem=800M,node=2,billing=8 AllocTRES=(null) Socks/Node=*"
    " NtasksPerN:B:S:C=4:0:*:* CoreSpec=* MinCPUsNode=4"
    " MinMemoryCPU=100M MinTmpDiskNode=0 Features=(null) DelayBoot=00:00:00"
    " OverSubscribe=OK Contiguous=0 Licenses=(null) LicensesAlloc=(null)"
    " Network=(null) Command=/home/alice/run.sh a=b WorkDir=/home/alice StdErr= StdOut=/dev/null"
)


# --- the queue


def line(**changes: str) -> list[str]:
    cells = {
        "i": "34", "F": "34", "K": "N/A", "T": "PENDING", "r": "Resources", "P": "cae", "a": "phys",
        "q": "normal", "u": "alice", "C": "8", "D": "2", "l": "1:00:00", "V": "1795455139",
        "Q": "4294901727", "b": "N/A", "W": "(null)", "E": "(null)", "M": "0:00", "N": "",
        "S": "N/A", "k": "(null)", "Z": "/home/alice", "j": "beam",
    }  # fmt: skip
    cells |= changes
    return [cells[letter] for letter in records.QUEUE_FIELDS]


def test_an_account_is_written_small() -> None:
    assert "phys" == records.queued_job("onprem", line(a="PHYS")).account
    assert "" == records.queued_job("onprem", line(a="(null)")).account


def test_a_line_of_the_queue_becomes_a_job() -> None:
    job = records.queued_job("onprem", line())

    assert (JobKey("onprem", 34), "alice", "beam") == (
        job.key,
        job.identity.user,
        job.identity.name,
    )
    assert (JobState.PENDING, "Resources", 8, 2, timedelta(hours=1)) == (
        job.state, job.reason, job.cpus, job.nodes, job.time_limit,
    )  # fmt: skip
    assert ("", "", "", "") == (job.gres, job.licences, job.comment, job.dependency)
    assert datetime.fromtimestamp(1795455139, UTC) == job.identity.submitted_at


@given(st.text(min_size=0, max_size=60))
def test_any_name_comes_through_whole(name: str) -> None:
    assert name == records.queued_job("onprem", line(j=name)).identity.name


@pytest.mark.parametrize(
    ("cells", "tasks", "elements"),
    [
        ({"i": "34_[1-3]", "K": "1-3"}, (1, 2, 3), ["34_1", "34_2", "34_3"]),
        ({"i": "34_[1,5-6%2]", "K": "1,5-6%2"}, (1, 5, 6), ["34_1", "34_5", "34_6"]),
        ({"i": "34_[0-10:5]", "K": "0-10:5"}, (0, 5, 10), ["34_0", "34_5", "34_10"]),
        ({"i": "34_[7]", "K": "7"}, (7,), ["34_7"]),
        ({"i": "34_7", "K": "7"}, (), ["34_7"]),
        ({"i": "34_7", "K": "7", "T": "RUNNING"}, (), ["34_7"]),
    ],
)
def test_an_array_is_one_line_or_one_element(
    cells: dict[str, str], tasks: tuple[int, ...], elements: list[str]
) -> None:
    job = records.queued_job("onprem", line(**cells))

    assert (tasks, elements) == (job.tasks, [str(key) for key in job.elements])


@pytest.mark.parametrize(
    ("name", "waiting", "most"),
    [
        ("34_[1,5-6%2]", "1,5-6%2", 2),
        ("34_[1]", "1", None),
        ("34_7", "7%2", None),
        ("34_[1-2]", "1-2%x", None),
    ],
)
def test_a_waiting_arrays_throttle_is_read(name: str, waiting: str, most: int | None) -> None:
    assert most == records.queued_job("onprem", line(i=name, K=waiting)).throttle


def test_a_part_of_a_heterogeneous_job_is_one() -> None:
    assert records.queued_job("onprem", line(i="34+0")).het


@pytest.mark.parametrize(
    "broken",
    [[], ["34", "PENDING"], line(V="N/A"), line(C="many"), line(l="soon"), line(Q=""), line(F="x")],
)
def test_a_line_that_cannot_be_read_is_no_queue_at_all(broken: list[str]) -> None:
    with pytest.raises(Unreachable):
        records.queued_job("onprem", broken)


@given(st.lists(st.text(max_size=20), max_size=len(records.QUEUE_FIELDS)))
def test_noise_is_never_taken_for_a_job(noise: list[str]) -> None:
    with pytest.raises(Unreachable):
        records.queued_job("onprem", noise)


# --- the record


def test_a_record_becomes_fields_shape_and_sight() -> None:
    f = records.fields(PENDING, "beam")
    seen = records.sight(identity(34), f)

    assert ("cae", "01:00:00", "2-2", "4:0:*:*") == (
        f["Partition"], f["TimeLimit"], f["NumNodes"], f["NtasksPerN:B:S:C"],
    )  # fmt: skip
    assert Shape(2, 8, 8, 1, 4, None, 100) == records.shape(f)
    assert (JobState.PENDING, "Resources", False, 0) == (
        seen.state, seen.reason, seen.held, seen.restarts,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "x Partition=y",
        "two\nlines",
        "a UserId=root(0) b",
        " JobName=x",
        "",
        "=",
        "JobState=RUNNING",
    ],
)
def test_what_a_user_may_write_is_never_read_as_a_field(name: str) -> None:
    record = PENDING.replace("JobName=beam", f"JobName={name}")
    f = records.fields(record, name)

    assert ("cae", "PENDING", "alice(1001)") == (f["Partition"], f["JobState"], f["UserId"])
    assert "WorkDir" not in f
    assert {} == records.fields(record, name + "x")


@pytest.mark.parametrize(
    ("late", "told"),
    [
        ("TresPerJob=gres/gpu:4", [Gres("gpu", 4, Per.JOB)]),
        ("TresPerJob=gres:gpu:4", [Gres("gpu", 4, Per.JOB)]),  # 22.05
        ("TresPerTask=cpu=2,gres/gpu:a100=1", [Gres("gpu", 1, Per.TASK, "a100")]),
        (
            "TresPerSocket=gres/gpu:1 TresPerJob=gres/nvme:2K",
            [Gres("gpu", 1, Per.SOCKET), Gres("nvme", 2048, Per.JOB)],
        ),
        ("TresPerTask=cpu=2", []),
        ("TresPerNode=gres/gpu:h100-80gb:2", [Gres("gpu", 2, Per.NODE, "h100-80gb")]),
        ("TresPerNode=gres/gpu", [Gres("gpu")]),
        (
            "CpusPerTres=gres/gpu:4 TresPerJob=gres/gpu:1",
            [Gres("gpu", 1, Per.JOB), Gres("CpusPerTres=gres/gpu:4", None, Per.JOB)],
        ),
        ("MemPerTres=gres:gpu:10240", [Gres("MemPerTres=gres:gpu:10240", None, Per.JOB)]),
        ("TresPerNode=gres/a:b:c:d", [Gres("gres/a:b:c:d", None)]),
        ("Comment=a TresPerJob=gres/gpu:4 StdErr=/x TresPerJob=none", [Gres("gpu", 4, Per.JOB)]),
    ],
)
def test_generic_resources_are_read_from_each_form(late: str, told: list[Gres]) -> None:
    assert told == list(records.gres(f"{PENDING} {late}\n"))


@pytest.mark.parametrize(
    ("shape", "gpus", "types", "other"),
    [
        (Shape(nodes=2, gres=(Gres("gpu", 2, Per.NODE, "a100"),)), 4, {"a100"}, 0),
        (Shape(tasks=6, gres=(Gres("gpu", 1, Per.TASK),)), 6, set(), 0),
        (Shape(nodes=2, sockets_per_node=2, gres=(Gres("gpu", 1, Per.SOCKET),)), 4, set(), 0),
        (Shape(nodes=2, gres=(Gres("gpu", 3, Per.JOB), Gres("gpu", 1, Per.NODE))), 3, set(), 0),
        (Shape(gres=(Gres("nvme", 1), Gres("gpu", None))), 0, set(), 2),
    ],
)
def test_a_shape_has_so_many_gpus(shape: Shape, gpus: int, types: set[str], other: int) -> None:
    assert (gpus, types, other) == (shape.gpus, set(shape.gpu_types), len(shape.other_gres))


@pytest.mark.parametrize(
    ("shape", "cpus", "memory"),
    [
        (Shape(nodes=2, cpus=9, memory_per_cpu=100), 5, 500),
        (Shape(nodes=2, cpus=8, tasks_per_node=6, memory_per_cpu=100), 6, 600),
        (Shape(nodes=2, cpus=8, cpus_per_task=2, tasks_per_node=2, memory_per_node=70), 4, 70),
        (Shape(cpus=4), 4, 0),
    ],
)
def test_a_shape_has_so_much_on_its_fullest_node(shape: Shape, cpus: int, memory: int) -> None:
    assert (cpus, memory) == (shape.cpus_per_node, shape.memory)


def test_an_element_is_found_inside_its_unsplit_array() -> None:
    record = PENDING.replace("JobId=34 ", "JobId=34 ArrayJobId=34 ArrayTaskId=1-3,7 ")
    inside = records.sight(identity(34, 7), records.fields(record))
    outside = records.sight(identity(34, 5), records.fields(record))

    assert inside.is_job(identity(34, 7, name="beam")) == (inside.identity == identity(34, 7))
    assert (JobKey("onprem", 34, 7), JobKey("onprem", 34)) == (
        inside.identity.key, outside.identity.key,  # type: ignore[union-attr]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PENDING", JobState.PENDING), ("REQUEUE_HOLD", JobState.PENDING),
        ("RUNNING", JobState.RUNNING), ("CANCELLED by 1001", JobState.CANCELLED),
        ("CANCELLED+", JobState.CANCELLED), ("TIMEOUT", JobState.FAILED),
        ("OUT_OF_MEMORY", JobState.FAILED), ("NODE_FAIL", JobState.FAILED),
        ("COMPLETING", JobState.COMPLETING), ("", JobState.UNKNOWN), ("???", JobState.UNKNOWN),
        ("EXPEDITING", JobState.UNKNOWN),
    ],
)  # fmt: skip
def test_a_state_without_a_name_is_unknown_and_not_over(text: str, expected: JobState) -> None:
    assert expected is records.state(text)
    assert not JobState.UNKNOWN.over


# --- times, memory, counts


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_a_time_limit_comes_back_from_each_of_its_forms(d: int, h: int, m: int, s: int) -> None:
    whole = timedelta(days=d, hours=h, minutes=m, seconds=s)
    assert whole == time_limit(f"{d}-{h:02}:{m:02}:{s:02}")
    assert timedelta(hours=h, minutes=m, seconds=s) == time_limit(f"{h:02}:{m:02}:{s:02}")
    assert timedelta(minutes=m, seconds=s) == time_limit(f"{m}:{s:02}")
    assert timedelta(days=d, hours=h) == time_limit(f"{d}-{h}")
    assert timedelta(minutes=m) == time_limit(str(m))


@pytest.mark.parametrize("text", ["UNLIMITED", "Partition_Limit", "NOT_SET", "N/A", ""])
def test_no_limit_is_none(text: str) -> None:
    assert time_limit(text) is None


@pytest.mark.parametrize("text", ["soon", "1:2:3:4x", "-", "1-x"])
def test_a_limit_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        time_limit(text)


@pytest.mark.parametrize(
    ("text", "mib"),
    [("2000M", 2000), ("4G", 4096), ("1.50G", 1536), ("1T", 1048576), ("2048K", 2), ("100", 100),
     ("0", None), ("N/A", None), ("", None)],
)  # fmt: skip
def test_memory_is_counted_in_mebibytes(text: str, mib: int | None) -> None:
    assert mib == records.mebibytes(text)


@pytest.mark.parametrize(("text", "n"), [("4", 4), ("4-8", 4), ("1K", 1024), ("1.5K", 1536)])
def test_a_count_is_the_least(text: str, n: int) -> None:
    assert n == records.count(text)


@given(st.sets(st.integers(0, 10_000), min_size=1, max_size=50))
def test_task_lists_come_back(ids: set[int]) -> None:
    assert tuple(sorted(ids)) == records.tasks(",".join(map(str, sorted(ids))))


# --- complaints


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("slurm_load_jobs error: Invalid job id specified", NoSuchJob),
        (
            "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
            Unreachable,
        ),
        ("scontrol: error: Socket timed out on send/recv operation", Unreachable),
        ("slurm_update error: Access/permission denied", AccessDenied),
        ("Transaction rejected, try again", Transient),
        (
            "sacct: error: slurm_persist_conn_open_without_init: DBD_x: Connection refused",
            Unreachable,
        ),
        ("slurm_update error: Requested node configuration is not available", Rejected),
        ("", Rejected),
    ],
)
def test_each_complaint_has_its_error(text: str, kind: type[PortError]) -> None:
    assert kind is type(translate("scontrol", text))


def test_a_program_that_complains_and_ends_with_zero_has_failed() -> None:
    with pytest.raises(Unreachable):
        answer("scontrol", 0, "", "job script retrieval failed: Unable to contact slurm controller")
    with pytest.raises(NoSuchJob):
        answer("scontrol", 0, "", "job script retrieval failed: Invalid job id specified")
    assert "#!/bin/sh\n" == answer("scontrol", 0, "#!/bin/sh\n", "a warning")


# --- the claim and its undoing

BASE = {"Partition": "cae", "TimeLimit": "01:00:00", "Requeue": "1", "NumNodes": "1"}
FORMS = [
    {},
    {"NumNodes": "2-2", "NtasksPerN:B:S:C": "4:0:*:*", "NumTasks": "8"},
    {"NumNodes": "2-4"},
    {"OverSubscribe": "NO", "MinMemoryNode": "0"},
    {"OverSubscribe": "EXCLUSIVE"},
    {"ReqNodeList": "n[1-2]", "ExcNodeList": "n3"},
    {"ReqNodeList": "(null)", "ExcNodeList": "(null)", "MinMemoryNode": "2000M"},
    {"Requeue": "0", "TimeLimit": "UNLIMITED"},
]


@pytest.mark.parametrize("form", FORMS, ids=lambda f: " ".join(f.values()) or "plain")
def test_undoing_names_every_field_that_parking_changed_with_its_old_value(
    form: dict[str, str],
) -> None:
    shown = {**BASE, **form}
    fields = kept(shown)
    record = JobRecord(identity(), Shape(), timedelta(hours=1), fields)
    changed = dict(pair.split("=", 1) for update in parking(fields, "burst") for pair in update)
    undone = dict(pair.split("=", 1) for update in undoing(record) for pair in update)

    assert set(changed) == set(undone)
    words = {"oversubscribe": "no"}
    assert {name: words.get(name, fields[name]) for name in changed} == undone
    assert "burst" == changed["partition"]


def test_slurms_estimate_of_nodes_is_not_mistaken_for_a_wish() -> None:
    estimate = kept({**BASE, "NumNodes": "2", "ReqTRES": "cpu=2,mem=200M,node=1,billing=2"})
    one = {**BASE, "NumNodes": "1-1"}
    wish = kept({**BASE, "NumNodes": "2", "TRES": "cpu=2,mem=200M,node=2,billing=2"})

    assert (False, True, False) == (
        several_nodes(estimate), several_nodes(wish), several_nodes(kept(one)),
    )  # fmt: skip


def test_a_name_made_of_our_separators_cannot_cut_the_list() -> None:
    form = records.QueueFormat("c0ffee00")
    name = f"x{records.RECORD}deadbeef{records.RECORD}\n{records.FIELD}y"
    cells = line(k="@", j="@")
    cells[records.QUEUE_FIELDS.index("k")], cells[-1] = f"a{records.FIELD}comment", name
    answer = form.field.join(cells) + form.record + "\n"

    rows = form.rows(answer * 2)

    assert 2 == len(rows)
    job = records.queued_job("onprem", rows[0])
    assert ("a comment", name) == (job.comment, job.identity.name)


def test_idle_cpus_of_each_partition_are_read_and_what_can_not_be_read_is_not_told() -> None:
    text = "cae|30/2/64/96\nburst|0/8192/0/8192\nodd|name|1/2/3/6\ncut|1/\n\n"
    assert {"cae": 2, "burst": 8192, "odd|name": 2} == records.idle(text)
