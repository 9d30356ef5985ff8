"""What Slurm's programs may say, and how little of it may stop burstd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from burstd.adapters.slurm import records
from burstd.adapters.slurm.commands import NOTHING_MORE, Slurm
from burstd.adapters.slurm.controller import CommandController
from burstd.adapters.slurm.queue import SlurmQueue
from burstd.domain.jobs import JobIdentity, JobKey, JobState, Shape
from burstd.domain.targets import Image, WorkKey, WorkOrder
from burstd.ports.errors import AccessDenied, Rejected, Unreachable
from burstd.testing import slurm_programs
from burstd.testing.clock import SteppedClock
from burstd.testing.simulators import SimulatedSlurm, simulated_queue
from burstd_slurm import batch
from burstd_slurm.settings import SlurmTargetSettings

WHO = JobIdentity(JobKey("onprem", 7), datetime(2030, 1, 15, 12, tzinfo=UTC), "alice", "beam")


def queue_of(slurm: Slurm) -> SlurmQueue:
    controller = CommandController(slurm)
    return SlurmQueue("onprem", "burst", "cae", lambda: WHO.submitted_at, slurm, controller)


class Complaining(Slurm):
    """The real thing, with a program that only complains."""

    def __init__(self, complaint: str) -> None:
        super().__init__()
        object.__setattr__(self, "complaint", complaint)

    def run(self, argv: Sequence[str], environment: Mapping[str, str] = NOTHING_MORE) -> str:
        words = ["sh", "-c", 'printf "%s\\n" "$1" >&2; exit 1', "sh", self.complaint]  # type: ignore[attr-defined]
        return super().run(words)


# --- bytes


def test_what_is_not_utf8_becomes_text_that_a_database_and_json_can_hold() -> None:
    """A job name in Latin-1 or a comment of any bytes must not stop the tick for everybody."""
    said = Slurm().run(["printf", r"L\374fter"])
    assert said.encode().decode() == said
    assert said.startswith("L")


def test_the_same_bytes_give_the_same_name_everywhere() -> None:
    slurm = Slurm()
    assert slurm.run(["printf", r"\374"]) == slurm.run(["printf", r"\374"])


# --- nodes


def test_a_site_without_sinfo_has_its_queue_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = SimulatedSlurm(SteppedClock())
    slurm.submit()
    slurm.schedule()
    assert {"cae": 0, "burst": 1} == simulated_queue(slurm).observe().idle
    monkeypatch.delitem(slurm_programs._PROGRAMS, "sinfo")
    seen = simulated_queue(slurm).observe()
    assert (1, {}) == (len(seen.jobs), seen.idle)


# --- arrays


def test_slurm_is_asked_for_array_tasks_in_full(tmp_path: Path) -> None:
    """squeue(1): the list of tasks is cut to 64 bytes unless SLURM_BITSTR_LEN=0."""
    assert "0\n" == Slurm().run(["sh", "-c", "echo $SLURM_BITSTR_LEN"])


@pytest.mark.parametrize("text", ["1,3,5,...", "1-", "x", "5-1"])
def test_tasks_that_cannot_be_read_are_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        records.tasks(text)


# --- who a job is


def test_a_job_that_its_user_renamed_is_still_that_job() -> None:
    """``scontrol update name=`` is the user's right; the twin in the cloud must not die of it."""
    clock = SteppedClock()
    slurm = SimulatedSlurm(clock)
    key = slurm.submit(name="beam")
    queue = simulated_queue(slurm)
    (job,) = queue.observe().jobs
    slurm.job(key).name = "beam v2"
    seen = queue.look(job.identity)
    assert seen.is_job(job.identity)
    assert JobState.PENDING is seen.state


def test_a_renamed_job_is_found_in_accounting_too() -> None:
    clock = SteppedClock()
    slurm = SimulatedSlurm(clock)
    key = slurm.submit(name="beam")
    queue = simulated_queue(slurm)
    (job,) = queue.observe().jobs
    slurm.job(key).name = "beam v2"
    slurm.cancel(key)
    clock.forward(seconds=1000)
    seen = queue.look(job.identity)
    assert JobState.CANCELLED is seen.state


def test_a_stranger_with_the_id_is_not_the_job_even_in_accounting() -> None:
    """Same id, same user, same name, other submit time: a lost id was given out again."""
    clock = SteppedClock()
    slurm = SimulatedSlurm(clock)
    key = slurm.submit(name="beam")
    queue = simulated_queue(slurm)
    (job,) = queue.observe().jobs
    slurm.jobs.clear()
    clock.forward(seconds=60)
    slurm._next_id = 1
    assert key == slurm.submit(name="beam")
    slurm.cancel(key)
    clock.forward(seconds=1000)
    assert JobState.LOST is queue.look(job.identity).state


@pytest.mark.parametrize("hours", [1, -1])
def test_a_job_is_found_in_accounting_though_its_clock_was_set(hours: int) -> None:
    """Set back, its start lies ahead; set forward before that, its end before its submission."""
    clock = SteppedClock()
    slurm = SimulatedSlurm(clock)
    key = slurm.submit(name="beam", partition="burst")
    queue = simulated_queue(slurm)
    (job,) = queue.observe().jobs
    clock.at += timedelta(hours=hours)
    slurm.schedule()
    slurm.finish(key)
    clock.at -= timedelta(hours=hours)
    slurm.jobs.clear()
    assert JobState.COMPLETED is queue.look(job.identity).state


def test_a_requeued_job_is_found_in_accounting_though_its_submit_time_changed() -> None:
    clock = SteppedClock()
    slurm = SimulatedSlurm(clock)
    key = slurm.submit(name="beam", partition="burst")
    queue = simulated_queue(slurm)
    (job,) = queue.observe().jobs
    slurm.schedule()
    clock.forward(seconds=60)
    slurm.begin_again(slurm.job(key))
    slurm.cancel(key)
    clock.forward(seconds=1000)
    assert JobState.CANCELLED is queue.look(job.identity).state


# --- a question without an answer says nothing of the job

PASSING = [
    'scontrol: error: Munge encode failed: Failed to connect to "/run/munge/munge.socket.2"',
    "slurm_load_jobs error: Protocol authentication error",
    "squeue: error: If munged is up, restart with --num-threads=10",
    "slurm_load_jobs error: Insane message length",
    "sacct: error: Sending PersistInit msg: No route to host",
    "Segmentation fault",
    "",
]


@pytest.mark.parametrize("complaint", PASSING)
def test_a_look_that_fails_is_unreachable_whatever_slurm_says(complaint: str) -> None:
    queue = queue_of(Complaining(complaint))
    for ask in (queue.observe, queue.boot, lambda: queue.look(WHO), lambda: queue.record(WHO)):
        with pytest.raises(Unreachable):
            ask()


def test_no_right_to_look_is_said_as_such() -> None:
    with pytest.raises(AccessDenied):
        queue_of(Complaining("slurm_load_jobs error: Access/permission denied")).look(WHO)


@pytest.mark.parametrize("complaint", PASSING[:2])
def test_a_change_that_munge_hinders_is_tried_again(complaint: str) -> None:
    with pytest.raises(Unreachable):
        Complaining(complaint).run(["scontrol", "hold", "7"])


def test_a_refused_change_is_refused() -> None:
    with pytest.raises(Rejected):
        Complaining("slurm_update error: Invalid partition name specified").run(["x"])


# --- at the target


def test_a_job_with_a_node_of_its_own_gets_all_its_memory_there_too() -> None:
    settings = SlurmTargetSettings.model_validate(
        {"host": "h", "known_hosts": "/k", "root": "/r", "partition": "p", "users": {}}
    )
    image = Image("i", "/i.sqfs", "ab" * 32)

    def words(shape: Shape) -> list[str]:
        order = WorkOrder(WorkKey("b-1"), "alice", shape, timedelta(hours=1), image)
        return batch.arguments(order, settings)

    whole = words(records.shape({"OverSubscribe": "NO", "MinMemoryNode": "0", "NumCPUs": "8"}))
    assert {"--exclusive", "--mem=0"} <= set(whole)
    assert "--mem=0" not in words(Shape())
    assert "--mem=100M" in words(Shape(memory_per_node=100, exclusive=True))
    assert "--mem=0" not in words(Shape(memory_per_node=100, exclusive=True))
