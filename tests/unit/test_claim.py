"""Claims that must not change a job for good, or not begin at all. On real Slurm: tests/lab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from burstd.adapters.slurm import records
from burstd.adapters.slurm.claim import kept, mending, obstacle, parking, undoing
from burstd.adapters.slurm.commands import NotNow, translate
from burstd.domain.jobs import JobIdentity, JobRecord, JobState, Shape
from burstd.domain.targets import Money, TargetName
from burstd.ports.errors import Rejected
from burstd.shell.marks import mark
from burstd.testing.simulators import SimulatedSlurm, SteppedClock, simulated_queue
from tests.unit.values import burst, identity

NOW = datetime(2030, 1, 15, 12, tzinfo=UTC)
BASE = {"Partition": "cae", "TimeLimit": "01:00:00", "Requeue": "1", "NumNodes": "1"}


def record(**shown: str) -> JobRecord:
    return JobRecord(identity(), Shape(), timedelta(hours=1), kept({**BASE, **shown}))


def stamp(moment: datetime) -> str:
    return str(int(moment.timestamp()))


# --- what stays


@pytest.mark.parametrize(
    ("shown", "word"),
    [
        ({"Priority": "0"}, "held"),
        ({"Dependency": "afterok:7(unfulfilled)"}, "another job"),
        ({"EligibleTime": stamp(NOW + timedelta(minutes=1))}, "later"),
        ({"EligibleTime": stamp(NOW + timedelta(minutes=9)), "Restarts": "1"}, "later"),
        ({"Reservation": "crash"}, "reserved"),
        ({"OverSubscribe": "USER"}, "user"),
        ({"OverSubscribe": "MCS"}, "label"),
        ({"GresEnforceBind": "Yes"}, "bound"),
        ({"CoreSpec": "2"}, "cores"),
        ({"ThreadSpec": "2"}, "cores"),
        ({"NtasksPerTRES": "2"}, "by GPUs"),
    ],
    ids=str,
)
def test_a_job_that_would_not_come_back_is_not_claimed(shown: dict[str, str], word: str) -> None:
    assert word in str(obstacle(shown, NOW))


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"Priority": "1", "Dependency": "(null)", "CoreSpec": "*", "OverSubscribe": "NO"},
        {"EligibleTime": stamp(NOW)},
        {"EligibleTime": "Unknown"},
        {"EligibleTime": stamp(NOW + timedelta(minutes=2)), "Restarts": "1"},  # requeued just now
        {"GresEnforceBind": "No", "NtasksPerTRES": "0"},
    ],
    ids=str,
)
def test_any_other_job_may_be_claimed(shown: dict[str, str]) -> None:
    assert obstacle(shown, NOW) is None


def test_what_slurm_writes_after_the_users_own_words_is_seen() -> None:
    text = "JobId=7 JobName=x UserId=alice(1001) Command=a WorkDir=/ NtasksPerTRES=2 Power="
    assert "2" == records.fields(text)["NtasksPerTRES"]
    assert "Power" not in records.fields(text)


def test_a_part_of_a_heterogeneous_job_is_refused_as_that() -> None:
    slurm, who = one_job()
    slurm.job("1").het = True
    with pytest.raises(Rejected, match="heterogeneous"):
        simulated_queue(slurm).record(who)


# --- what comes back


def test_a_range_of_nodes_is_not_narrowed_to_the_estimate_that_slurm_shows() -> None:
    job = record(NumNodes="8-8", ReqTRES="cpu=1,mem=100M,node=2,billing=1")
    assert "numnodes=1" in parking(job.fields, "burst")[0]
    assert "numnodes=2-8" in undoing(job)[0]


def test_nodes_without_a_bound_get_none() -> None:
    shown = {"NumNodes": "2", "ReqTRES": "cpu=8,node=2", "NumTasks": "8", "NumCPUs": "8"}
    job = record(**shown)
    bound = {**job.fields, "numnodes": "2-2"}
    assert [["numnodes=2-0", "numtasks=8", "numcpus=8"]] == mending(job, bound)
    assert [] == mending(job, job.fields)


def test_counts_that_slurm_derives_anew_are_put_right_and_the_memory_of_them_too() -> None:
    job = record(NumNodes="2-2", ReqTRES="node=2", NumCPUs="2", MinMemoryCPU="1G")
    now = {**job.fields, "numcpus": "32"}
    assert [["numcpus=2", "minmemorycpu=1024"]] == mending(job, now)
    whole = record(NumNodes="2-2", ReqTRES="node=2", NumCPUs="2", MinMemoryNode="1G")
    assert [["numcpus=2"]] == mending(whole, now)


def test_a_record_of_an_older_ledger_without_these_counts_is_left_at_that() -> None:
    job = record(NumNodes="2-2", ReqTRES="node=2", NumCPUs="2")
    older = replace(job, fields={n: v for n, v in job.fields.items() if n != "numcpus"})
    assert [] == mending(older, {**job.fields, "numcpus": "32"})


def test_thousands_are_written_out() -> None:
    fields = kept({**BASE, "NumNodes": "1K-2K", "NumTasks": "1K", "NumCPUs": "8K"})
    assert ("1024-2048", "1024", "8192") == (
        fields["numnodes"], fields["numtasks"], fields["numcpus"],
    )  # fmt: skip


def test_more_tasks_than_one_node_may_have_are_fewer_while_it_is_parked() -> None:
    shown = {"NumNodes": "2", "TRES": "node=1", "NumTasks": "8", "NtasksPerN:B:S:C": "4:0:*:*"}
    job = record(**shown)
    assert ["numtasks=4"] in parking(job.fields, "burst")
    assert ["numtasks=8"] in undoing(job)


# --- on a cluster


def one_job() -> tuple[SimulatedSlurm, JobIdentity]:
    slurm = SimulatedSlurm(SteppedClock())
    slurm.submit()
    return slurm, simulated_queue(slurm).observe().jobs[0].identity


def come_home(slurm: SimulatedSlurm, job: JobRecord) -> None:
    for _ in range(9):
        if simulated_queue(slurm).give_back(job):
            return
        slurm.clock.forward(seconds=1)
        slurm.schedule()
    pytest.fail("it does not come home")


def test_a_job_that_slurm_holds_for_bad_constraints_is_refused_and_goes_back() -> None:
    slurm, who = one_job()
    queue = simulated_queue(slurm)
    job = queue.record(who)
    queue.park(job, "burst=0123456789ab")
    slurm.job("1").reason, slurm.job("1").held = "BadConstraints", True
    with pytest.raises(Rejected, match="BadConstraints"):
        queue.park(job, "burst=0123456789ab")
    come_home(slurm, job)
    assert ("cae", False) == (slurm.job("1").shown["Partition"], slurm.job("1").held)


def test_a_mark_says_where_the_job_is_and_is_taken_back() -> None:
    slurm, who = one_job()
    line = mark(burst(reserved=Money(Decimal("1.5")), target=TargetName("far east")), "EUR")
    queue = simulated_queue(slurm)
    job = queue.record(who)
    queue.park(job, line)
    assert "burst=000000000001,where=far_east,application=calculix,at_most=1.5EUR" == line
    assert line == slurm.job("1").shown["Extra"]
    assert ("000000000001",) == queue.record(who).marks
    queue.park(job, line)
    come_home(slurm, job)
    assert "" == slurm.job("1").shown["Extra"].replace("(null)", "")
    assert len(mark(burst(target=TargetName("x" * 999)), "EUR")) == 255


@pytest.mark.parametrize("extra", ["mine", "burst=me", "a burst=0123456789ab"])
def test_an_extra_of_its_users_stays(extra: str) -> None:
    slurm, who = one_job()
    slurm.job("1").shown["Extra"] = extra
    job = simulated_queue(slurm).record(who)
    simulated_queue(slurm).park(job, "burst=0123456789ab")
    assert extra == slurm.job("1").shown["Extra"]
    come_home(slurm, job)
    assert extra == slurm.job("1").shown["Extra"]


def test_the_begin_of_a_job_that_was_never_requeued_is_its_users() -> None:
    slurm, who = one_job()
    job = simulated_queue(slurm).record(who)
    simulated_queue(slurm).park(job, "burst=0123456789ab")
    come_home(slurm, job)
    assert "starttime=now" not in [word for command in slurm.commands for word in command]


def test_a_stand_in_whose_node_was_lost_begins_again_when_slurm_lets_it() -> None:
    """Sooner, Slurm's own end of the life before reaches the new one as soon as the node is back:
    it fails, or is RUNNING for slurmctld long after it has ended (seen on 24.11.5)."""
    slurm, who = one_job()
    queue = simulated_queue(slurm)
    job = queue.record(who)
    queue.park(job, "burst=0123456789ab")
    slurm.schedule()
    assert JobState.RUNNING is queue.look(who).state
    slurm.lose(slurm.job("1").node)
    slurm.job("1").reason = "BeginTime"
    before = len(slurm.commands)
    queue.park(job, "burst=0123456789ab")
    assert {"show"} == {command[1] for command in slurm.commands[before:]}


@dataclass
class Grumbling(SimulatedSlurm):
    """After a change it says that the job can't start in one of its partitions now."""

    def run(self, argv: Sequence[str]) -> str:
        said = super().run(argv)
        if argv[1] in {"update", "release"}:
            raise translate("scontrol", "Requested partition configuration not available now")
        return said


def test_what_slurm_did_with_a_complaint_is_done() -> None:
    slurm = Grumbling(SteppedClock())
    slurm.submit(partition="cae,short", NumNodes="2-2", OverSubscribe="NO", ReqNodeList="n[1-2]")
    before = dict(slurm.job("1").shown)
    queue = simulated_queue(slurm)
    job = queue.record(queue.observe().jobs[0].identity)
    queue.park(job, "burst=0123456789ab")
    slurm.schedule()
    assert JobState.RUNNING is queue.look(job.identity).state
    come_home(slurm, job)

    assert isinstance(translate("x", "Requested partition configuration not available now"), NotNow)
    assert before | {"Extra": "(null)"} == slurm.job("1").shown
    assert not slurm.job("1").held


def test_a_wish_that_stands_in_asks_for_what_it_asked_for_not_for_whole_cores() -> None:
    running = {"NumCPUs": "2", "NumNodes": "1", "ReqTRES": "cpu=1,mem=1G,node=1,billing=1"}
    assert "1" == records.before_its_start(running)["NumCPUs"]
    assert 1 == records.shape(records.before_its_start(running)).cpus
    assert "NumCPUs" not in records.before_its_start({"NumCPUs": "2", "TRES": "cpu=2"})
