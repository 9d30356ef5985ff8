"""Jobs that ask for GPUs, or for much of a node, leave for where these are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from burstd.core.decide import decide
from burstd.core.explain import explain
from burstd.domain.gres import Gres, Per
from burstd.domain.jobs import CoreHours, QueuedJob, Shape
from burstd.domain.plan import Plan, Reason, ScriptFacts, Snapshot
from burstd.domain.policy import BurstPolicy, Ledger, Pressure, Stand, Watermarks
from burstd.domain.targets import Capabilities, Money, TargetName, TargetView
from burstd.domain.usage import PastRun, Usage
from tests.unit.values import CLOUD, POLICY, VIEW, queued, snapshot

GPUS, HOUR = TargetName("gpus"), timedelta(hours=1)
WITH = replace(
    VIEW, name=GPUS, price=Money(Decimal("0.10")), gpu_price=Money(Decimal("2.00")), gpus=8,
    capabilities=Capabilities(16, 1024, 2 * 24 * HOUR, 4, frozenset({"a100"}), 64, 256_000),
)  # fmt: skip
OPEN = replace(POLICY, watermarks=Watermarks(CoreHours(1), CoreHours(0)), targets=(CLOUD, GPUS))
TWO = Shape(cpus=2, gres=(Gres("gpu", 2),))


def seen(
    *jobs: QueuedJob, shape: Shape = TWO, views: tuple[TargetView, ...] = (VIEW, WITH)
) -> Snapshot:
    return snapshot(*jobs or (queued(),), views=views, facts=ScriptFacts(True, "ccx", shape=shape))


def gone(*jobs: QueuedJob, ledger: Ledger = Ledger(), **more: Any) -> Plan:  # noqa: B008 - a value
    return decide(seen(*jobs, **more), OPEN, ledger)


def test_a_job_with_gpus_goes_where_they_are_and_pays_for_them() -> None:
    (placed,) = gone().placements

    # 2 cores at 0.10 and 2 GPUs at 2.00, for an hour
    assert (GPUS, 2, Decimal("4.2")) == (placed.target, placed.gpus, placed.reserved)
    assert [CLOUD] == [one.target for one in gone(shape=Shape(cpus=2)).placements]


@pytest.mark.parametrize(
    ("shape", "reason", "numbers"),
    [
        (Shape(gres=(Gres("gpu", 5),)), Reason.GPUS, {"gpus": "5", "max_gpus": "4"}),
        (Shape(gres=(Gres("nvme", 1),)), Reason.GPUS, {"gres": "nvme:1 by node"}),
        (Shape(gres=(Gres("x:y:z", None),)), Reason.GPUS, {"gres": "x:y:z"}),
        (
            Shape(gres=(Gres("gpu", 1, Per.NODE, "h100"),)), Reason.NO_TARGET_FITS,
            {"cloud": "it asks for too many GPUs", "gpus": "it asks for GPUs of another type"},
        ),
        (
            Shape(cpus=65), Reason.NO_TARGET_FITS,
            {"gpus": "it asks for too many cores on a node"},
        ),
        (
            Shape(cpus=2, memory_per_cpu=128_001), Reason.NO_TARGET_FITS,
            {"gpus": "it asks for too much memory on a node"},
        ),
    ],
)  # fmt: skip
def test_what_no_target_has_stays_and_says_what(
    shape: Shape, reason: Reason, numbers: dict[str, str]
) -> None:
    views = (VIEW, WITH) if shape.gres else (WITH,)
    (declined,) = gone(shape=shape, views=views).declined

    assert (reason, numbers) == (declined.reason, declined.numbers)


def test_a_type_that_is_there_and_a_node_that_is_filled_fit() -> None:
    for shape in (
        Shape(gres=(Gres("gpu", 4, Per.JOB, "a100"),)),
        Shape(cpus=64),
        Shape(memory_per_node=256_000),
        Shape(nodes=2, cpus=128, tasks=2, cpus_per_task=64),
    ):
        assert gone(shape=shape, views=(WITH,)).placements, shape


def test_no_more_gpus_are_taken_at_once_than_the_site_may_have_there() -> None:
    jobs = [queued(n) for n in range(1, 4)]
    assert 3 == len(gone(*jobs, ledger=Ledger(open_at={GPUS: Stand(2, gpus=2)})).placements)
    plan = gone(*jobs, ledger=Ledger(open_at={GPUS: Stand(4, gpus=4)}))

    assert 2 == len(plan.placements)
    (declined,) = plan.declined
    assert "8 of 8 GPUs there are taken" == declined.numbers["gpus"]


def marked(high: float, low: float = 0.0) -> BurstPolicy:
    """The whole is quiet; GPUs have marks of their own."""
    gpus = Pressure("gpus", Watermarks(CoreHours(high), CoreHours(low)), gpus=True)
    return replace(OPEN, watermarks=Watermarks(CoreHours(1000), CoreHours(500)), pressures=(gpus,))


def test_gpu_hours_are_a_pressure_of_their_own() -> None:
    jobs = [queued(n) for n in range(1, 4)]  # 2 GPU-hours each
    quiet = decide(seen(*jobs), marked(6.5), Ledger())
    surging = decide(seen(*jobs), marked(6, 4), Ledger())

    assert {Reason.BELOW_WATERMARK} == {d.reason for d in quiet.declined}
    assert frozenset({"gpus"}) == surging.surging
    assert 2 == len(surging.placements)  # down to 2, which is below 4
    plain = decide(seen(*jobs, shape=Shape(cpus=2)), marked(0.1), Ledger())
    assert () == plain.placements


def test_gpu_hours_are_reckoned_by_what_jobs_are_expected_to_run() -> None:
    usage = Usage([PastRun("alice", "beam", "phys", HOUR, HOUR / 10)] * 9)
    used = replace(seen(queued()), usage=usage)  # (1 + 0.9) / 10 of two GPU-hours

    assert decide(used, marked(0.38), Ledger()).placements
    assert not decide(used, marked(0.39), Ledger()).placements


def test_why_names_the_pressure_and_what_each_target_offers() -> None:
    now = seen(queued())
    plan = decide(now, marked(9), Ledger())
    steps = {step.rule: step for step in explain(queued(), now, marked(9), Ledger(), plan)}

    assert ("GPU-hours", "9") == tuple(steps["pressure gpus"].numbers[k] for k in ("of", "high"))
    assert "it asks for too many GPUs" == steps["target cloud"].text
    assert steps["target gpus"].holds
