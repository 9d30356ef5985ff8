"""May this job leave at all? Each rule is one line of ``RULES``; the first that objects decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from burstd.domain.jobs import QueuedJob
from burstd.domain.plan import Reason, ScriptFacts
from burstd.domain.policy import BurstPolicy

Objection = tuple[Reason, dict[str, str]]

HELD_REASONS = frozenset({"JobHeldUser", "JobHeldAdmin"})


@dataclass(frozen=True)
class Case:
    """One job before the court of eligibility."""

    job: QueuedJob
    policy: BurstPolicy
    now: datetime
    wish: bool


def _waiting(case: Case) -> Objection | None:
    job = case.job
    if job.reason in HELD_REASONS or (job.priority == 0 and not case.wish):
        return Reason.HELD, {"reason": job.reason}
    if job.reason.startswith("Dependency"):
        return Reason.DEPENDENT, {"dependency": job.dependency}
    if not case.wish and job.reason not in case.policy.reasons:
        return Reason.NOT_WAITING, {"reason": job.reason}
    return None


def _partition(case: Case) -> Objection | None:
    if case.wish or set(case.job.partition.split(",")) & case.policy.partitions:
        return None
    return Reason.OTHER_PARTITION, {"partition": case.job.partition}


def _who(case: Case) -> Objection | None:
    policy, job = case.policy, case.job
    if policy.users and job.identity.user not in policy.users:
        return Reason.OTHER_USER, {"user": job.identity.user}
    if policy.accounts and job.account not in policy.accounts:
        return Reason.OTHER_ACCOUNT, {"account": job.account}
    return None


def _kind(case: Case) -> Objection | None:
    job = case.job
    if job.het:
        return Reason.HETEROGENEOUS, {}
    if job.time_limit is None:
        return Reason.NO_TIME_LIMIT, {}
    if job.gres:
        return Reason.GPUS, {"gres": job.gres}
    return None


def _comment(case: Case) -> Objection | None:
    if "burst:never" in case.job.comment.split():
        return Reason.USER_FORBIDS, {"comment": case.job.comment}
    return None


def _age(case: Case) -> Objection | None:
    age = case.now - case.job.identity.submitted_at
    if not case.wish and age < case.policy.min_age:
        return Reason.TOO_YOUNG, {
            "age": f"{age.total_seconds():.0f}s",
            "min_age": f"{case.policy.min_age.total_seconds():.0f}s",
        }
    return None


RULES: tuple[Callable[[Case], Objection | None], ...] = (
    _partition,
    _kind,
    _who,
    _comment,
    _waiting,
    _age,
)


def objection(case: Case) -> Objection | None:
    """The first rule that keeps this job here, or ``None``. Needs no look at the script."""
    return next((found for rule in RULES if (found := rule(case)) is not None), None)


def script_objection(facts: ScriptFacts | None) -> Objection | None:
    """What the batch script says against leaving; ``None`` facts mean it was not read yet."""
    if facts is None:
        return Reason.SCRIPT_UNREAD, {}
    if not facts.present:
        return Reason.NO_SCRIPT, {}
    if facts.never:
        return Reason.USER_FORBIDS, {"script": "#BURST mode=never"}
    if facts.application is None:
        return Reason.NO_APPLICATION, {}
    return None
