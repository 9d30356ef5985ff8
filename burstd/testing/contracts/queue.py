"""What every ``ports.queue.Queue`` must keep, tried on a cluster with a user's hands on it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from burstd.domain.jobs import JobKey, JobState
from burstd.ports.errors import Rejected, Unreachable
from burstd.testing.contracts.cluster import (
    MARK,
    STRANGE,
    Cluster,
    claimed,
    give_back,
    line,
    look,
    park_all,
    who,
)


class QueueContract:
    """Give a fixture ``cluster``; it is empty of jobs at the beginning of each test."""

    # --- seeing

    def test_the_whole_queue_is_seen_with_names_of_any_kind(self, cluster: Cluster) -> None:
        key = cluster.submit("-n1 -t 90", name=STRANGE)
        job = line(cluster, key)

        assert (STRANGE, "alice", JobState.PENDING) == (
            job.identity.name, job.identity.user, job.state,
        )  # fmt: skip
        assert (timedelta(minutes=90), 1, cluster.home_partition, ()) == (
            job.time_limit, job.cpus, job.partition, job.tasks,
        )  # fmt: skip

    def test_a_waiting_array_is_one_line_with_its_tasks(self, cluster: Cluster) -> None:
        key = cluster.submit("--array=1-3,7")
        job = line(cluster, key)

        assert (1, 2, 3, 7) == job.tasks
        assert [f"{key}_{task}" for task in (1, 2, 3, 7)] == [str(k) for k in job.elements]

    def test_held_and_dependent_jobs_say_so(self, cluster: Cluster) -> None:
        first = cluster.submit("--hold")
        second = cluster.submit(f"--dependency=afterok:{first}")
        assert cluster.wait(lambda: "Depend" in line(cluster, second).reason, 10)

        assert "JobHeldUser" == line(cluster, first).reason
        assert line(cluster, second).dependency.startswith(f"afterok:{first}")

    def test_the_script_comes_back_as_it_was_and_is_none_for_an_interactive_job(
        self, cluster: Cluster
    ) -> None:
        key = cluster.submit(script="#BURST app=calculix\nccx beam  # ünïcode")
        assert "#BURST app=calculix\nccx beam  # ünïcode" in str(
            cluster.queue.script(who(cluster, key))
        )
        assert cluster.queue.script(who(cluster, cluster.interactive())) is None

    def test_what_a_job_asks_for_is_seen_in_whatever_way_it_asks(self, cluster: Cluster) -> None:
        gpus = {
            "-n1 --gres=gpu:2": 2,
            "-N2 --gpus-per-node=2": 4,
            "-n4 --gpus=4": 4,
            "-n4 --gpus-per-task=1": 4,
            "-N2 --gpus-per-socket=1 --sockets-per-node=2": 4,
            "-n1 --cpus-per-task=2": 0,
        }
        keys = {form: cluster.submit(f"-p rack {form}") for form in gpus}
        asked = {form: cluster.queue.shape(who(cluster, key)) for form, key in keys.items()}

        assert gpus == {form: shape.gpus for form, shape in asked.items()}
        assert {()} == {shape.other_gres for shape in asked.values()}

    def test_what_is_counted_by_gpus_is_seen_and_not_understood(self, cluster: Cluster) -> None:
        forms = ["-n4 --cpus-per-gpu=4 --gpus=1", "--mem-per-gpu=100M --gpus=2 -n2"]
        for key in [cluster.submit(f"-p rack {form}") for form in forms]:
            assert 1 == len(cluster.queue.shape(who(cluster, key)).other_gres)

    def test_the_memory_of_a_node_is_what_it_or_its_cpus_are_asked_to_have(
        self, cluster: Cluster
    ) -> None:
        forms = {"--mem=700M": 700, "-n2 --mem-per-cpu=150M": 300}
        keys = {form: cluster.submit(f"-p rack {form}") for form in forms}
        asked = {form: cluster.queue.shape(who(cluster, key)) for form, key in keys.items()}

        assert forms == {form: shape.memory for form, shape in asked.items()}

    def test_idle_cpus_are_told_while_somebody_waits_for_resources(self, cluster: Cluster) -> None:
        held = cluster.submit("--hold")
        assert {} == cluster.queue.observe().idle
        key = cluster.submit()
        assert cluster.wait(lambda: line(cluster, key).reason == "Resources", 60)

        idle = cluster.queue.observe().idle
        assert (0, True) == (idle[cluster.home_partition], idle[cluster.burst_partition] > 0)
        assert "JobHeldUser" == line(cluster, held).reason

    def test_a_stopped_controller_is_unreachable_and_never_an_empty_queue(
        self, cluster: Cluster
    ) -> None:
        key = cluster.submit()
        job = who(cluster, key)
        record = cluster.queue.record(job)
        boot = cluster.queue.boot()
        calls: list[Callable[[], object]] = [
            cluster.queue.observe,
            cluster.queue.boot,
            lambda: cluster.queue.look(job),
            lambda: cluster.queue.script(job),
            lambda: cluster.queue.shape(job),
            lambda: cluster.queue.record(job),
            lambda: cluster.queue.park(record, MARK),
            lambda: cluster.queue.give_back(record),
        ]
        cluster.controller(up=False)
        try:
            with ThreadPoolExecutor(len(calls)) as pool:  # each tries for many seconds
                errors = [f.exception() for f in [pool.submit(call) for call in calls]]
        finally:
            cluster.controller(up=True)
        assert [Unreachable] * len(calls) == [type(error) for error in errors]
        assert boot != cluster.queue.boot()
        assert JobState.PENDING is cluster.queue.look(job).state

    # --- what may be kept

    def test_a_record_is_refused_of_a_job_that_is_not_the_one_that_was_seen(
        self, cluster: Cluster
    ) -> None:
        job = who(cluster, cluster.submit())
        day = timedelta(days=1)
        for stranger in (
            replace(job, name="another"),
            replace(job, user="bob"),
            replace(job, submitted_at=job.submitted_at - day),
        ):
            with pytest.raises(Rejected):
                cluster.queue.record(stranger)

    def test_a_record_is_refused_of_interactive_heterogeneous_and_running_jobs(
        self, cluster: Cluster
    ) -> None:
        running = cluster.submit()
        for key in (cluster.interactive(), cluster.heterogeneous()):
            if key is not None:
                assert JobState.PENDING is line(cluster, key).state
                with pytest.raises(Rejected):
                    cluster.queue.record(who(cluster, key))
                cluster.cancel(key)
        cluster.make_room()
        assert cluster.wait(lambda: line(cluster, running).state is JobState.RUNNING, 20)
        with pytest.raises(Rejected):
            cluster.queue.record(who(cluster, running))

    # --- the claim

    def test_a_parked_job_runs_as_a_stand_in_and_parking_again_changes_nothing(
        self, cluster: Cluster
    ) -> None:
        key = cluster.submit("-t 60")
        record = claimed(cluster, key)
        before = cluster.shown(key)
        cluster.queue.park(record, MARK)
        cluster.queue.park(record, MARK)

        assert before == cluster.shown(key)
        seen = cluster.queue.look(record.identity)
        assert (JobState.RUNNING, cluster.burst_partition, 0) == (
            seen.state, seen.partition, seen.restarts,
        )  # fmt: skip

    def test_a_job_that_runs_is_not_changed_by_parking(self, cluster: Cluster) -> None:
        key = cluster.submit()
        record = cluster.queue.record(who(cluster, key))
        cluster.make_room()
        assert cluster.wait(lambda: look(cluster, record).state is JobState.RUNNING, 20)
        before = cluster.shown(key)
        cluster.queue.park(record, MARK)

        assert before == cluster.shown(key)
        assert (cluster.home_partition, False) == (
            look(cluster, record).partition, look(cluster, record).held,
        )  # fmt: skip

    def test_a_job_of_the_same_id_that_is_another_is_never_touched(self, cluster: Cluster) -> None:
        key = cluster.submit()
        record = cluster.queue.record(who(cluster, key))
        before = cluster.shown(key)
        # A lost id comes again with another submit time; another name alone is a renamed job.
        earlier = record.identity.submitted_at - timedelta(hours=1)
        stranger = replace(record, identity=replace(record.identity, submitted_at=earlier))
        for call in (
            lambda: cluster.queue.park(stranger, MARK),
            lambda: cluster.queue.give_back(stranger),
        ):
            try:
                call()
            except Rejected:
                continue
        seen = cluster.queue.look(stranger.identity)

        assert before == cluster.shown(key)
        assert not seen.is_job(stranger.identity)
        assert not seen.state.over

    def test_one_element_of_an_array_leaves_alone_and_comes_back(self, cluster: Cluster) -> None:
        key = cluster.submit("--array=1-3")
        record = claimed(cluster, f"{key}_2")
        rest = [j for j in cluster.queue.observe().jobs if j.key.job_id == int(key)]
        waiting = [e for j in rest if j.state is JobState.PENDING for e in j.elements]

        assert [f"{key}_1", f"{key}_3"] == sorted(str(e) for e in waiting)
        assert {cluster.home_partition} == {
            j.partition for j in rest if j.state is JobState.PENDING
        }
        give_back(cluster, [record])
        seen = look(cluster, record)
        assert (JobState.PENDING, cluster.home_partition) == (seen.state, seen.partition)

    # --- the way back

    def test_jobs_of_many_shapes_run_as_stand_ins_and_come_home_as_they_were(
        self, cluster: Cluster
    ) -> None:
        keys = {shape: cluster.submit(f"-t 60 {shape}") for shape in cluster.shapes}
        keys = {s: f"{k}_2" if "--array" in s else k for s, k in keys.items()}
        before = {shape: cluster.shown(key) for shape, key in keys.items()}
        records = {shape: cluster.queue.record(who(cluster, key)) for shape, key in keys.items()}
        park_all(cluster, list(records.values()))
        give_back(cluster, list(records.values()))
        after = {shape: cluster.shown(key) for shape, key in keys.items()}

        changed = {
            shape: {
                name: (before[shape].get(name), after[shape].get(name))
                for name in before[shape].keys() | after[shape].keys()
                if before[shape].get(name) != after[shape].get(name)
                and name not in cluster.shapes[shape]
            }
            for shape in keys
        }
        assert {} == {shape: fields for shape, fields in changed.items() if fields}

    def test_a_job_given_back_before_it_started_is_as_it_was(self, cluster: Cluster) -> None:
        key = cluster.submit("-t 60")
        before = cluster.shown(key)
        record = cluster.queue.record(who(cluster, key))
        cluster.queue.park(record, MARK)  # it may have started by now, or not
        give_back(cluster, [record])

        assert before == cluster.shown(key)
        assert cluster.queue.give_back(record)
        assert before == cluster.shown(key)

    def test_a_job_given_back_runs_at_home_as_soon_as_there_is_room(self, cluster: Cluster) -> None:
        record = claimed(cluster, cluster.submit("-t 60"))
        give_back(cluster, [record])
        cluster.make_room()

        assert cluster.wait(lambda: look(cluster, record).state is JobState.RUNNING, 20)
        assert cluster.home_partition == look(cluster, record).partition
        assert cluster.queue.give_back(record)
        assert look(cluster, record).is_job(record.identity)

    def test_a_job_that_its_user_requeued_to_wait_is_given_back_held_by_them(
        self, cluster: Cluster
    ) -> None:
        key = cluster.submit("-t 60")
        record = replace(claimed(cluster, key), requeued_held=True)
        give_back(cluster, [record])

        assert look(cluster, record).held
        assert cluster.queue.give_back(record)
        cluster.make_room()
        assert not cluster.wait(lambda: look(cluster, record).state is JobState.RUNNING, 3)
        cluster.let_go(key)
        assert cluster.wait(lambda: look(cluster, record).state is JobState.RUNNING, 20)
        assert cluster.home_partition == look(cluster, record).partition

    # --- the end

    def test_a_cancelled_job_ends_wherever_it_is_and_cancelling_again_is_no_error(
        self, cluster: Cluster
    ) -> None:
        waiting, parked = who(cluster, cluster.submit()), claimed(cluster, cluster.submit("-t 60"))
        keys = (waiting, parked.identity)
        for one in keys:
            cluster.queue.cancel(one)
        over = [JobState.CANCELLED, JobState.CANCELLED]
        assert cluster.wait(lambda: [cluster.queue.look(one).state for one in keys] == over, 45)
        for one in keys:
            cluster.queue.cancel(one)

    def test_cancelling_one_element_of_an_array_or_a_stranger_touches_no_other(
        self, cluster: Cluster
    ) -> None:
        key = cluster.submit("--array=1-3")
        two = who(cluster, f"{key}_2")
        earlier = replace(two, submitted_at=two.submitted_at - timedelta(hours=1))
        with pytest.raises(Rejected):
            cluster.queue.cancel(earlier)
        cluster.queue.cancel(two)
        assert cluster.wait(lambda: cluster.queue.look(two).state is JobState.CANCELLED, 20)
        rest = [str(e) for j in cluster.queue.observe().jobs for e in j.elements]

        assert [f"{key}_1", f"{key}_3"] == sorted(r for r in rest if r.startswith(f"{key}_"))

    def test_an_ended_job_is_seen_as_over_even_when_only_accounting_knows_it(
        self, cluster: Cluster
    ) -> None:
        key = cluster.submit()
        job = who(cluster, key)
        record = cluster.queue.record(job)
        cluster.cancel(key)
        assert JobState.CANCELLED is cluster.queue.look(job).state
        assert cluster.queue.give_back(record)
        cluster.queue.park(record, MARK)
        cluster.forget(key)
        assert cluster.wait(lambda: cluster.queue.look(job).state is JobState.CANCELLED, 15)
        assert cluster.queue.look(job).is_job(job)

    def test_what_neither_controller_nor_accounting_knows_is_lost_and_not_over(
        self, cluster: Cluster
    ) -> None:
        job = who(cluster, cluster.submit())
        nobody = replace(job, key=JobKey(job.key.cluster, 7_654_321))
        assert cluster.wait(lambda: cluster.queue.look(nobody).state is JobState.LOST, 20)

        assert not JobState.LOST.over
        with pytest.raises(Unreachable):  # nor is it a job without a script
            cluster.queue.script(nobody)

    def test_a_line_on_a_job_that_nobody_knows_is_no_error(self, cluster: Cluster) -> None:
        job = who(cluster, cluster.submit())
        cluster.queue.annotate(replace(job, key=JobKey(job.key.cluster, 7_654_321)), "burst=1")
