"""Estimates of starts are compared with what came of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from burstd.domain.estimates import Source
from burstd.domain.jobs import JobState, QueuedJob
from burstd.domain.plan import Snapshot
from burstd.shell.estimates import FEWEST, Estimates
from tests.unit.values import NOW, POLICY, queued, snapshot

MINUTE = timedelta(minutes=1)


def at(minutes: float, *jobs: QueuedJob) -> Snapshot:
    seen = snapshot(*jobs)
    return replace(seen, queue=replace(seen.queue, taken_at=NOW + minutes * MINUTE))


def waits(number: int, told: float) -> QueuedJob:
    return queued(number, starts=NOW + told * MINUTE)


def runs(number: int, for_minutes: float = 0, partition: str = "cae") -> QueuedJob:
    return queued(number, state=JobState.RUNNING, elapsed=for_minutes * MINUTE, partition=partition)


def test_the_first_word_counts_and_its_part_is_what_really_passed() -> None:
    estimates, numbers = Estimates(), range(1, FEWEST + 1)
    estimates.hear(at(0, *(waits(n, 10) for n in numbers)), POLICY)
    estimates.hear(at(10, *(waits(n, 500) for n in numbers)), POLICY)  # a later word
    assert {} == estimates.accuracy()
    estimates.hear(at(30, *(runs(n, 30 - n) for n in numbers)), POLICY)  # waited n minutes
    found = estimates.accuracy()[Source.SLURM]

    assert (FEWEST, 0.19, 0.55, 0.91) == (
        found.jobs, round(found.early, 2), round(found.likely, 2), round(found.late, 2)
    )  # fmt: skip


def test_who_left_was_cancelled_or_was_told_to_start_at_once_tells_nothing() -> None:
    estimates, numbers = Estimates(), range(1, 3 * FEWEST)
    estimates.hear(at(0, *(waits(n, 10) for n in numbers)), POLICY)
    estimates.hear(at(5, *(runs(n, partition="burst") for n in numbers)), POLICY)
    estimates.hear(at(6, *(runs(n) for n in numbers)), POLICY)
    estimates.hear(at(7, *(waits(n + 90, 7.5) for n in numbers)), POLICY)
    estimates.hear(at(8, *(runs(n + 90) for n in numbers)), POLICY)

    assert {} == estimates.accuracy()


def test_our_own_are_judged_apart_from_slurms() -> None:
    estimates, numbers = Estimates(), range(2, FEWEST + 2)
    full = queued(1, state=JobState.RUNNING, cpus=8, time_limit=10 * MINUTE)
    estimates.hear(at(0, full, *(queued(n, cpus=8) for n in numbers)), POLICY)
    estimates.hear(at(5, *(runs(n) for n in numbers)), POLICY)

    assert [Source.OWN] == list(estimates.accuracy())
