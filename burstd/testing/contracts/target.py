"""What every ``ports.target.Target`` must keep, tried on a far end with a payload that waits."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from burstd.domain.findings import Grade
from burstd.domain.jobs import Shape
from burstd.domain.targets import (
    Image,
    Outcome,
    RemoteJob,
    RemoteState,
    RunState,
    WorkKey,
    WorkOrder,
)
from burstd.ports.errors import Rejected, Transient
from burstd.ports.target import Target

_numbers = itertools.count(1)


class FarEnd(Protocol):
    """A target that is all ours: payloads started there run until ``finish``."""

    @property
    def target(self) -> Target: ...
    @property
    def user(self) -> str:
        """An on-prem user with an account there."""

    @property
    def image(self) -> Image: ...

    def ready(self, key: WorkKey) -> None:
        """Lay the run directory, as the agent does before the submission."""

    def finish(self, key: WorkKey, code: int) -> None:
        """The running payload of this key ends."""

    def heard(self, key: WorkKey) -> list[str]:
        """The signals that the payload of this key has got: ``USR1``."""

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Let time pass until it is so, at most that long; whether it came."""

    def controller(self, *, up: bool) -> None:
        """Stop or start the far scheduler."""

    def accounting(self, *, up: bool) -> None:
        """Stop or start what remembers ended work; nothing where the scheduler does."""

    def again(self, order: WorkOrder) -> None:
        """Hand in a second job under the key of ``order``, as a crash of burstd's might."""


class TargetContract:
    """Give a fixture ``far``."""

    @pytest.fixture
    def order(self, far: FarEnd, tmp_path: Path) -> WorkOrder:
        """A fresh key, its image and its run directory."""
        key = WorkKey(f"b-{abs(hash(str(tmp_path))) % 10**8:08d}{next(_numbers):04d}")
        far.target.prepare(far.image)
        far.ready(key)
        return WorkOrder(key, far.user, Shape(), timedelta(minutes=5), far.image)

    def test_it_says_what_it_offers_without_being_asked_over_the_link(self, far: FarEnd) -> None:
        far.controller(up=False)
        try:
            view = far.target.observe()
        finally:
            far.controller(up=True)
        assert view.open
        assert view.capabilities.max_cores >= 1

    def test_a_mark_is_kept_for_each_site_until_the_next(self, far: FarEnd) -> None:
        site = f"site{next(_numbers)}"
        assert far.target.mark(site) is None
        for text in ("7:ab", "12:cd"):
            far.target.keep_mark(site, text)
            assert text == far.target.mark(site)
        far.target.keep_mark(f"{site}x", "1:ef")
        assert "12:cd" == far.target.mark(site)

    def test_preparing_twice_is_preparing_once(self, far: FarEnd) -> None:
        far.target.prepare(far.image)
        far.target.prepare(far.image)

    def test_work_never_submitted_is_absent_and_its_poll_is_unknown(self, far: FarEnd) -> None:
        key = WorkKey("b-00000000never")

        assert far.target.find(key) is None
        assert RemoteState.UNKNOWN is far.target.poll([key])[key].state

    def test_any_amount_of_work_is_polled(self, far: FarEnd, order: WorkOrder) -> None:
        """A command line has an end (execve(2)), and the names of much work are longer."""
        far.target.submit(order)
        keys = [WorkKey(f"b-{number:08d}none") for number in range(9000)] + [order.key]
        seen = far.target.poll(keys)

        assert keys == [*seen]
        assert RemoteState.HELD is seen[order.key].state

    def test_submitted_work_is_held_until_it_may_start(self, far: FarEnd, order: WorkOrder) -> None:
        remote_id = far.target.submit(order)
        far.wait(lambda: False, 2)
        job = found(far, order)

        assert (remote_id, order.key, RemoteState.HELD, None) == (
            job.id, job.key, job.state, job.outcome,
        )  # fmt: skip
        far.target.start(order.key)
        far.target.start(order.key)
        assert far.wait(lambda: found(far, order).state is RemoteState.RUNNING, 20)
        assert RemoteState.RUNNING is far.target.poll([order.key])[order.key].state

    def test_an_end_comes_with_its_proof(self, far: FarEnd, order: WorkOrder) -> None:
        running(far, order)
        far.finish(order.key, 7)
        assert far.wait(lambda: found(far, order).state is RemoteState.ENDED, 30)
        outcome = outcome_of(far.target.poll([order.key])[order.key])

        assert ("exited", 7, None) == (outcome.reason, outcome.exit_code, outcome.signal)
        assert RemoteState.ENDED is found(far, order).state

    def test_the_run_directory_shows_whether_the_work_ever_began(
        self, far: FarEnd, order: WorkOrder
    ) -> None:
        assert not far.target.run_state(WorkKey("b-00000000never"), far.user).began
        far.target.submit(order)
        assert RunState.NEVER is far.target.run_state(order.key, far.user)
        far.target.start(order.key)
        assert far.wait(lambda: far.target.run_state(order.key, far.user) is RunState.RUNNING, 20)
        far.finish(order.key, 0)
        assert far.wait(lambda: far.target.run_state(order.key, far.user) is RunState.OVER, 30)

    def test_cancelled_work_ends_and_cancelling_again_is_no_error(
        self, far: FarEnd, order: WorkOrder
    ) -> None:
        running(far, order)
        far.target.cancel(order.key)
        assert far.wait(lambda: found(far, order).state is RemoteState.ENDED, 30)
        far.target.cancel(order.key)
        far.target.cancel(WorkKey("b-00000000never"))

        assert "cancelled" == outcome_of(found(far, order)).reason

    def test_a_signal_comes_to_its_own_payload_once_and_ends_nothing(
        self, far: FarEnd, order: WorkOrder
    ) -> None:
        other = replace(order, key=WorkKey(f"{order.key}x"))
        far.ready(other.key)
        running(far, order)
        assert far.wait(lambda: far.target.run_state(order.key, far.user) is RunState.RUNNING, 20)
        far.target.submit(other)
        far.target.signal(order.key, "USR1")
        far.target.signal(other.key, "USR2")  # it does not run
        far.target.signal(WorkKey("b-00000000never"), "USR1")
        assert far.wait(lambda: far.heard(order.key) != [], 20)
        far.wait(lambda: False, 2)

        assert (["USR1"], []) == (far.heard(order.key), far.heard(other.key))
        states = [found(far, one).state for one in (order, other)]
        assert [RemoteState.RUNNING, RemoteState.HELD] == states
        for one in (order, other):
            far.target.cancel(one.key)

    def test_a_signal_before_the_payload_has_begun_ends_nothing(
        self, far: FarEnd, order: WorkOrder
    ) -> None:
        running(far, order)
        far.target.signal(order.key, "USR1")
        assert far.wait(lambda: far.target.run_state(order.key, far.user) is RunState.RUNNING, 20)
        assert RemoteState.RUNNING is found(far, order).state
        far.target.cancel(order.key)

    def test_held_work_that_is_cancelled_never_starts(self, far: FarEnd, order: WorkOrder) -> None:
        far.target.submit(order)
        far.target.cancel(order.key)
        assert far.wait(lambda: found(far, order).state is RemoteState.ENDED, 30)
        assert ("cancelled", timedelta()) == (
            outcome_of(found(far, order)).reason, outcome_of(found(far, order)).elapsed,
        )  # fmt: skip
        assert "" == found(far, order).place

    def test_a_cancel_touches_no_other_work(self, far: FarEnd, order: WorkOrder) -> None:
        other = replace(order, key=WorkKey(f"{order.key}x"))
        far.ready(other.key)
        far.target.submit(order)
        far.target.submit(other)
        far.target.cancel(order.key)
        assert far.wait(lambda: found(far, order).state is RemoteState.ENDED, 30)

        assert RemoteState.HELD is found(far, other).state
        far.target.cancel(other.key)

    def test_of_two_jobs_under_one_key_one_is_chosen_and_the_other_ends(
        self, far: FarEnd, order: WorkOrder
    ) -> None:
        first = far.target.submit(order)
        far.again(order)
        assert first == found(far, order).id
        far.target.start(order.key)
        assert far.wait(lambda: found(far, order).state is RemoteState.RUNNING, 20)
        far.finish(order.key, 0)
        assert far.wait(lambda: found(far, order).state is RemoteState.ENDED, 30)
        far.wait(lambda: False, 3)

        assert first == found(far, order).id
        assert "exited" == outcome_of(found(far, order)).reason

    def test_what_cannot_be_asked_is_never_an_answer(self, far: FarEnd, order: WorkOrder) -> None:
        far.target.submit(order)
        for stop in (far.controller, far.accounting):
            stop(up=False)
            try:
                with pytest.raises(Transient):
                    far.target.find(order.key)
                try:
                    seen = far.target.poll([order.key])[order.key].state
                except Transient:
                    seen = RemoteState.UNKNOWN
                assert RemoteState.UNKNOWN is seen
            finally:
                stop(up=True)
        assert RemoteState.HELD is found(far, order).state
        far.target.cancel(order.key)

    def test_a_restart_of_the_far_scheduler_is_another_generation(self, far: FarEnd) -> None:
        before = far.target.generation()
        assert before == far.target.generation()
        far.controller(up=False)
        far.controller(up=True)

        assert before != far.target.generation()

    def test_a_user_without_an_account_is_rejected(self, far: FarEnd, order: WorkOrder) -> None:
        with pytest.raises(Rejected):
            far.target.submit(replace(order, user="mallory"))
        with pytest.raises(Rejected):
            far.target.ticket(order.key, "mallory", "ssh-ed25519 AAAA")

    def test_cleaning_what_is_not_there_is_fine(self, far: FarEnd, order: WorkOrder) -> None:
        far.target.clean(order.key, order.user)
        far.target.clean(order.key, order.user)
        far.target.clean(WorkKey("b-00000000never"), order.user)

    def test_there_may_be_nothing_to_tidy(self, far: FarEnd) -> None:
        far.target.tidy()
        far.target.tidy()

    def test_an_examination_finds_a_healthy_target_well(self, far: FarEnd) -> None:
        failed = [f for f in far.target.examine() if f.grade is Grade.FAILED]
        assert [] == failed

    def test_a_scheduler_that_does_not_answer_is_a_finding_with_its_cure(self, far: FarEnd) -> None:
        far.controller(up=False)
        try:
            failed = [f for f in far.target.examine() if f.grade is Grade.FAILED]
        finally:
            far.controller(up=True)
        assert failed
        assert all(finding.fix for finding in failed)


def found(far: FarEnd, order: WorkOrder) -> RemoteJob:
    job = far.target.find(order.key)
    assert job is not None
    return job


def outcome_of(job: RemoteJob) -> Outcome:
    assert job.outcome is not None
    return job.outcome


def running(far: FarEnd, order: WorkOrder) -> None:
    far.target.submit(order)
    far.target.start(order.key)
    assert far.wait(lambda: found(far, order).state is RemoteState.RUNNING, 20)
