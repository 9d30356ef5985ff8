"""A job of every shape is claimed and comes home as it was, on real Slurm 24.11 and 22.05; one that
would not, stays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest

from burstd.domain.jobs import JobRecord, JobState, QueuedJob
from burstd.ports.errors import Rejected
from lab.errors import CommandFailed
from lab.lab import Lab
from tests.contract.real import PyslurmCluster, RealCluster, without_burstd, worker_in
from tests.lab.shapes import BURSTD, PROXY, SBATCH, SHAPES, Shape

pytestmark = pytest.mark.lab

#: What is the moment's and not the job's.
PASSING = """
    JobState Reason Restarts RunTime StartTime EndTime LastSchedEval Scheduler SchedNodeList
    SubmitTime EligibleTime AccrueTime PreemptEligibleTime PreemptTime SuspendTime SecsPreSuspend
    ResvTime Priority NodeList BatchHost AllocTRES
"""
Fields = Mapping[str, str]
Answer = TypeVar("Answer")


@dataclass
class Trip:
    """All shapes of one Slurm, there and back. ``keys`` of the jobs that were submitted;
    ``refused``: who refused it and why; ``ran``: the stand-ins that ran, all at the same time."""

    release: str
    cluster: RealCluster
    keys: dict[Shape, str] = field(default_factory=dict)
    refused: dict[Shape, tuple[str, str]] = field(default_factory=dict)
    ran: set[Shape] = field(default_factory=set)
    before: dict[Shape, Fields] = field(default_factory=dict)
    after: dict[Shape, Fields] = field(default_factory=dict)
    queued: dict[str, QueuedJob] = field(default_factory=dict)  #: before
    left: dict[str, QueuedJob] = field(default_factory=dict)  #: after

    def go(self) -> None:
        running = self.cluster.blockers[0]
        for shape in SHAPES:
            if shape.known_to(self.release):
                self._submit(shape, shape.options.replace("{running}", running))
        self.queued = self._queue()
        self.before = self._shown()
        records = dict(self._records())
        self._park(records)
        self._give_back(list(records.values()))
        self.left = self._queue()
        self.after = self._shown()

    def _submit(self, shape: Shape, options: str) -> None:
        try:
            key = self.cluster.submit(f"-p rack -t 60 {options}")
        except CommandFailed as error:
            self.refused[shape] = (SBATCH, str(error))
            return
        element = re.search(r"--array=(\d+)", options)
        self.keys[shape] = f"{key}_{element[1]}" if element else key

    def _records(self) -> Iterator[tuple[Shape, JobRecord]]:
        for shape, key in self.keys.items():
            job = self.queued[key]
            one = next(k for k in job.elements if str(k) == key)
            try:
                yield shape, self.cluster.queue.record(replace(job.identity, key=one))
            except Rejected as error:
                self.refused[shape] = (BURSTD, str(error))

    def _park(self, records: Mapping[Shape, JobRecord]) -> None:
        """As burstd does: each tick another step of every claim, until all stand-ins run."""

        def parked() -> bool:
            jobs = self._queue()
            running = {shape for shape in going if runs(jobs.get(self.keys[shape]))}
            self.ran |= running
            steps = {shape: record for shape, record in going.items() if shape not in running}
            for shape, error in zip(steps, at_once(self._step, steps.values()), strict=True):
                if error is not None:
                    self.refused[shape] = (PROXY, str(error))
                    going.pop(shape)
            return running == going.keys()

        going = dict(records)
        all_run = self.cluster.wait(parked, 45)
        assert all_run, f"no stand-in runs of {[s.options for s in going.keys() - self.ran]}"

    def _step(self, record: JobRecord) -> Rejected | None:
        try:
            self.cluster.queue.park(record, "burst=0123456789ab")
        except Rejected as error:
            return error
        return None

    def _give_back(self, records: Sequence[JobRecord]) -> None:
        left = list(records)

        def home() -> bool:
            done = at_once(self.cluster.queue.give_back, left)
            left[:] = [record for record, there in zip(left, done, strict=True) if not there]
            return not left

        assert self.cluster.wait(home, 60), [record.identity for record in left]

    def _queue(self) -> dict[str, QueuedJob]:
        jobs = self.cluster.queue.observe().jobs
        return {str(key): job for job in jobs for key in job.elements}

    def _shown(self) -> dict[Shape, Fields]:
        return {shape: shown(self.cluster, key) for shape, key in self.keys.items()}


def at_once(call: Callable[[JobRecord], Answer], records: Iterable[JobRecord]) -> list[Answer]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(call, records))


def runs(job: QueuedJob | None) -> bool:
    return job is not None and (job.state, job.partition) == (JobState.RUNNING, "burst")


def shown(cluster: RealCluster, key: str) -> Fields:
    """All fields of a job's record, those that Slurm leaves out or empty left out alike."""
    text = cluster.login.run(["scontrol", "show", "job", "-o", key]).stdout.strip()
    pairs = re.finditer(r"(?:^|\s)([A-Z][A-Za-z:/_-]*)=(.*?)(?=\s[A-Z][A-Za-z:/_-]*=|$)", text)
    return {pair[1]: pair[2].strip() for pair in pairs if pair[2].strip()}


def most(numnodes: str) -> str:
    """The bound of a node count; the least is in the TRES, and shown as an estimate here."""
    return "" if numnodes == "1-1" else numnodes.partition("-")[2]


def changed(trip: Trip, shape: Shape) -> dict[str, tuple[str | None, str | None]]:
    """field: before, after"""
    before, after = (dict(fields) for fields in (trip.before[shape], trip.after[shape]))
    for fields in (before, after):
        # 22.05 shows the number of nodes of a job's last life, and no bound.
        fields["NumNodes"] = most(fields["NumNodes"]) if trip.release != "22.05" else ""
        if "ArrayJobId" in fields:
            fields.pop("JobId")  # an element has one of its own since it was touched
    names = sorted((before.keys() | after.keys()) - set(PASSING.split()))
    return {n: (before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)}


@pytest.fixture(scope="module", params=["24.11", "24.11 by pyslurm", "22.05"])
def trip(request: pytest.FixtureRequest, _lab: Lab) -> Iterator[Trip]:
    _lab.up()
    with ExitStack() as stack:
        cluster = opened(request.param, _lab, stack)
        stack.enter_context(without_burstd(cluster.proxy))
        stack.enter_context(emptied(cluster))
        cluster.fill()
        reserve = "reservationname=crash users=alice nodes=r4 starttime=now duration=60"
        cluster.login.run(["scontrol", "create", "reservation", *reserve.split()])
        trip = Trip(request.param.split()[0], cluster)
        trip.go()
        yield trip


def opened(way: str, lab: Lab, stack: ExitStack) -> RealCluster:
    if way == "22.05":
        old = lab.legacy_up()
        return RealCluster(old, old, cluster="legacy")
    hosts = (lab.host("ctl"), lab.host("px"))
    if way == "24.11":
        return RealCluster(*hosts)
    worker = stack.enter_context(closing(worker_in(lab.host("px"), lab.install_pyslurm())))
    return PyslurmCluster(*hosts, worker=worker)


@contextmanager
def emptied(cluster: RealCluster) -> Iterator[None]:
    """No job and no reservation is there before and after."""

    def clear() -> None:
        cluster.clear()
        cluster.login.run(["scontrol", "delete", "reservation=crash"], check=False)

    clear()
    try:
        yield
    finally:
        clear()


def test_each_shape_is_claimed_or_refused_as_the_page_says(trip: Trip) -> None:
    said = {s.options: (s.who, s.words) for s in SHAPES if s.known_to(trip.release)}
    happened = {}
    for shape in SHAPES:
        if shape.known_to(trip.release):
            who, why = trip.refused.get(shape, ("", ""))
            words = shape.words if shape.words in why else why
            happened[shape.options] = (who, words)
    assert said == happened
    assert {s for s in trip.keys if s not in trip.refused} == trip.ran


def test_what_was_claimed_comes_home_as_it_was_and_the_rest_was_not_touched(trip: Trip) -> None:
    changes = {shape.options: changed(trip, shape) for shape in trip.keys}
    assert {} == {options: fields for options, fields in changes.items() if fields}


def test_every_job_waits_at_home_and_none_is_held(trip: Trip) -> None:
    home = {
        shape.options: (JobState.PENDING, trip.queued[key].partition, "--hold" in shape.options)
        for shape, key in trip.keys.items()
    }
    there = {
        shape.options: (trip.left[key].state, trip.left[key].partition, held(trip.after[shape]))
        for shape, key in trip.keys.items()
    }
    assert home == there


def held(fields: Fields) -> bool:
    return fields["Priority"] == "0"


def test_no_element_of_an_array_is_lost_and_the_others_never_left(trip: Trip) -> None:
    arrays = {key.partition("_")[0] for key in trip.keys.values() if "_" in key}
    before, after = (
        {key: job.partition for key, job in jobs.items() if key.partition("_")[0] in arrays}
        for jobs in (trip.queued, trip.left)
    )
    assert len(arrays) == sum("--array" in shape.options for shape in trip.keys)
    assert before == after
